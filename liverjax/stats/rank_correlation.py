"""Kendall's tau: pooled, within folds, and the pair counts behind it."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import PERMUTATIONS, percentile_interval, shuffles

# Columns of a sign matrix that are held at once: 1024 x 20,000 float32 are 80 MB.
_BLOCK = 1024
_ALTERNATIVES = ("two-sided", "greater", "less")


@dataclasses.dataclass(frozen=True)
class KendallTau(Estimate):
    """Kendall's tau of two variables.

    Attributes:
        z: Of the asymptotic test; NaN for the exact one.
        concordant: Number of concordant pairs.
    """

    z: float = np.nan
    concordant: int = 0


@dataclasses.dataclass(frozen=True)
class KendallTauWithinFolds(Estimate):
    """Kendall's tau over pairs of one fold; the counts are sums over folds.

    Attributes:
        concordant: C.
        discordant: D.
        tied_x: Tx, pairs tied in the score, whatever the target.
        tied_y: Ty, pairs tied in the target, whatever the score.
        pairs: N.
        folds: Number of folds.
        p_bound: The p where networks learn from each other's held-out rows.
    """

    p_bound: float = np.nan
    concordant: int = 0
    discordant: int = 0
    tied_x: int = 0
    tied_y: int = 0
    pairs: int = 0
    folds: int = 0

    def as_metric(self) -> dict[str, float | str | int]:
        """Returns the six fields, and the bound of p."""
        return super().as_metric() | {"p_bound": float(self.p_bound)}


@dataclasses.dataclass(frozen=True)
class ConcordancePairs:
    """Pairs of rows by their order in two variables, and the ratios made of them.

    Attributes:
        concordant: Same order in both.
        discordant: Opposite order.
        tied_x: Tied in x only.
        tied_y: Tied in y only.
        tied_xy: Tied in both.
        n: Rows.
    """

    concordant: int
    discordant: int
    tied_x: int
    tied_y: int
    tied_xy: int
    n: int

    @property
    def pairs(self) -> int:
        """Number of all pairs."""
        untied = self.concordant + self.discordant
        return untied + self.tied_x + self.tied_y + self.tied_xy

    @property
    def tau_a(self) -> float:
        """Returns (C - D) / pairs."""
        return _ratio(self.concordant - self.discordant, self.pairs)

    @property
    def gamma(self) -> float:
        """Goodman and Kruskal's gamma, (C - D) / (C + D)."""
        both = self.concordant + self.discordant
        return _ratio(self.concordant - self.discordant, both)

    @property
    def somers_d_xy(self) -> float:
        """Somers' D for predicting the order of y: (C - D) / (pairs untied in y)."""
        untied = self.concordant + self.discordant + self.tied_x
        return _ratio(self.concordant - self.discordant, untied)

    @property
    def tau_b(self) -> float:
        """Returns (C - D) / sqrt((pairs untied in x)(pairs untied in y))."""
        both = self.concordant + self.discordant
        untied = float(both + self.tied_y) * float(both + self.tied_x)
        return _ratio(self.concordant - self.discordant, untied**0.5)


def concordance_pairs(
    x: Shaped[np.ndarray, " n"],
    *,
    y: Shaped[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"] | None = None,
) -> ConcordancePairs:
    """Returns the pair counts of two variables.

    Args:
        x: Predictor.
        y: Outcome.
        group: Count only pairs inside one group (fold); None counts all pairs.

    Raises:
        ValueError: If a value is NaN.
    """
    _refuse_nan(x, y)
    counts = np.zeros(5, np.int64)
    for rows in _groups(group, len(x)):
        for start in range(0, len(rows), _BLOCK):
            order_x = _signs(x, rows, start=start)
            order_y = _signs(y, rows, start=start)
            product = order_x * order_y
            tied_x, tied_y = order_x == 0, order_y == 0
            counts += [
                np.count_nonzero(product > 0),
                np.count_nonzero(product < 0),
                np.count_nonzero(tied_x & ~tied_y),
                np.count_nonzero(tied_y & ~tied_x),
                np.count_nonzero(tied_x & tied_y) - product.shape[1],  # with itself
            ]
    return ConcordancePairs(*(int(count) // 2 for count in counts), n=len(x))


def kendall_tau(
    x: Shaped[np.ndarray, " n"],
    *,
    y: Shaped[np.ndarray, " n"],
    variant: str = "b",
    method: str = "asymptotic",
    alternative: str = "two-sided",
    weight: Int[np.ndarray, "b n"] | None = None,
    conf: float = 0.95,
) -> KendallTau:
    """Returns Kendall's tau with its p and, given resamples, its interval.

    Args:
        x: One variable.
        y: The other.
        variant: ``b``, or ``c`` for tables of unlike sides (its p is that of b).
        method: ``asymptotic`` (variance for ties), ``asymptotic_cc`` (with continuity
            correction) or ``exact`` (no ties).
        alternative: ``two-sided``, ``greater`` or ``less``.
        weight: Resamples of the rows (`resampling.subject_weights`); the interval is
            the percentiles of tau-b in them. None gives none.
        conf: Confidence level of the interval.

    Returns:
        NaN estimate and p when a variable is constant or there is one row.

    Raises:
        ValueError: If a value is NaN, an option is unknown, or the exact law is asked
            for with ties.

    Reference:
        Kendall, Rank Correlation Methods, 4th ed. 1970, chapters 3 to 5.
    """
    if method not in ("asymptotic", "asymptotic_cc", "exact"):
        raise ValueError(f"method {method!r}: asymptotic, asymptotic_cc or exact")
    if variant not in ("b", "c") or alternative not in _ALTERNATIVES:
        raise ValueError(
            f"variant {variant!r} (b, c); alternative one of {_ALTERNATIVES}"
        )
    pairs = concordance_pairs(x, y=y)
    tau, n = pairs.tau_b, len(x)
    if variant == "c" and not np.isnan(tau):
        smaller = min(len(np.unique(x)), len(np.unique(y)))
        excess = 2 * (pairs.concordant - pairs.discordant)
        tau = excess / (n**2 * (smaller - 1) / smaller)
    z, p = _test(x, y, pairs=pairs, method=method, alternative=alternative)
    low = high = np.nan
    words = f"tau-{variant}; {alternative} p, {method.replace('_cc', ', corrected')}"
    if weight is not None and variant == "b":
        draws = _weighted_tau(x, y=y, group=None, weight=weight)
        low, high = percentile_interval(draws, conf=conf)
        words += f"; {conf:.0%} interval from {len(weight):,} bootstraps of subjects"
    return KendallTau(tau, low, high, p, words, n, z=z, concordant=pairs.concordant)


def kendall_tau_within_folds(
    rng: np.random.Generator,
    score: Shaped[np.ndarray, " n"],
    *,
    target: Shaped[np.ndarray, " n"],
    fold: Shaped[np.ndarray, " n"],
    permutations: int = PERMUTATIONS,
    weight: Int[np.ndarray, "b n"] | None = None,
    reciprocity: float = 1.0,
    conf: float = 0.95,
) -> KendallTauWithinFolds:
    """Returns tau over pairs of the same fold, tested by permutation inside folds.

    With C, D, Tx, Ty and N counted over pairs inside a fold, summed over folds, it is
    ``(C - D) / sqrt((N - Tx)(N - Ty))``. Its p is one-sided: ``(1 + permutations at or
    above it) / (1 + permutations)``, targets permuted inside folds. Unlike the pooled
    tau it is not biased when networks of different folds have different means.

    Permuting fixed scores takes them for independent of the labels, which they are not:
    patient j taught the network that scores i, and i the one that scores j. Of a
    learner that is linear in its labels the statistic is ``sum K_ij y_i y_j`` with K
    symmetric; where (i, j) and (j, i) both occur they are one accident counted twice,
    and its null variance is ``1 + reciprocity`` times the permuted one. ``p_bound`` is
    p with the permuted statistics stretched by the root of that.

    Args:
        rng: Source of the permutations.
        score: Prediction of each row by the network that held it out.
        target: Truth.
        fold: The fold that held the row out.
        permutations: Number of them; 0 gives no p.
        weight: Resamples of subjects inside folds, for the interval; None gives none.
        reciprocity: Of the rows that train row i's network, the share whose networks
            row i trains. About the training share of the rows outside a fold; 1, the
            most it can be, asks for the largest bound.
        conf: Confidence level of the interval.

    Returns:
        NaN estimate and p when score or target is constant inside every fold.

    Raises:
        ValueError: If a value is NaN.
    """
    pairs = concordance_pairs(score, y=target, group=fold)
    groups = _groups(fold, len(score))
    excess = pairs.concordant - pairs.discordant
    tau, p, p_bound = pairs.tau_b, np.nan, np.nan
    words = "tau-b over pairs inside folds"
    if permutations and not np.isnan(tau):
        null = np.zeros(permutations, np.int64)
        for rows in groups:
            null += _null_excess(rng, score[rows], y=target[rows], number=permutations)
        p, p_bound = (
            (1 + np.count_nonzero(stretch * null >= excess)) / (1 + permutations)
            for stretch in (1, np.sqrt(1 + reciprocity))
        )
        words += (
            f"; one-sided p from {permutations:,} permutations inside folds, at most "
            f"{p_bound:.2g} where folds learn from each other"
        )
    low = high = np.nan
    if weight is not None:
        draws = _weighted_tau(score, y=target, group=fold, weight=weight)
        low, high = percentile_interval(draws, conf=conf)
        words += f"; {conf:.0%} interval from {len(weight):,} bootstraps inside folds"
    return KendallTauWithinFolds(
        tau,
        low,
        high,
        float(p),
        words,
        len(score),
        p_bound=float(p_bound),
        concordant=pairs.concordant,
        discordant=pairs.discordant,
        tied_x=pairs.tied_x + pairs.tied_xy,
        tied_y=pairs.tied_y + pairs.tied_xy,
        pairs=pairs.pairs,
        folds=len(groups),
    )


def resampled_tau(
    x: Shaped[np.ndarray, " n"],
    *,
    y: Shaped[np.ndarray, " n"],
    weight: Int[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Returns tau-b in each resample; two models' draws may be subtracted."""
    return _weighted_tau(x, y=y, group=None, weight=weight)


def _weighted_tau(
    x: np.ndarray, *, y: np.ndarray, group: np.ndarray | None, weight: np.ndarray
) -> np.ndarray:
    """Tau-b of resamples: three quadratic forms in the weights.

    Copies of one row are tied in both variables: the sign matrices are 0 there.
    """
    excess, untied_x, untied_y = np.zeros((3, len(weight)))
    for rows in _groups(group, len(x)):
        drawn = weight[:, rows].astype(np.float32)
        for start in range(0, len(rows), _BLOCK):
            order_x = _signs(x, rows, start=start).astype(np.float32)
            order_y = _signs(y, rows, start=start).astype(np.float32)
            columns = drawn[:, start : start + _BLOCK]
            for total, signs in (
                (excess, order_x * order_y),
                (untied_x, np.abs(order_x)),
                (untied_y, np.abs(order_y)),
            ):
                # Whole numbers below 2^24 are exact in float32; sums are in float64.
                total += np.einsum("bn,bn->b", drawn @ signs, columns, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return excess / np.sqrt(untied_x * untied_y)


def _null_excess(
    rng: np.random.Generator, x: np.ndarray, *, y: np.ndarray, number: int
) -> np.ndarray:
    """C - D for permuted y: rows sorted by x are compared with all rows below them."""
    order = np.argsort(x, kind="stable")
    first_equal = np.searchsorted(x[order], x[order])
    level = np.unique(y, return_inverse=True)[1]
    level = level.astype(np.int8 if level.max() < 127 else np.int32)
    table = shuffles(rng, level, number=number)
    excess = np.zeros(number, np.int64)
    for row in range(len(x)):
        below = table[: first_equal[row]]
        if len(below):
            excess += np.add.reduce(below < table[row], axis=0, dtype=np.int32)
            excess -= np.add.reduce(below > table[row], axis=0, dtype=np.int32)
    return excess


def _test(
    x: np.ndarray,
    y: np.ndarray,
    *,
    pairs: ConcordancePairs,
    method: str,
    alternative: str,
) -> tuple[float, float]:
    if np.isnan(pairs.tau_b):
        return np.nan, np.nan
    if method == "exact":
        if len(np.unique(x)) < len(x) or len(np.unique(y)) < len(y):
            raise ValueError("the exact law of tau holds without ties only")
        _, p = scipy.stats.kendalltau(x, y, method="exact", alternative=alternative)
        return np.nan, float(np.asarray(p))
    excess = pairs.concordant - pairs.discordant
    if method == "asymptotic_cc":
        excess = np.sign(excess) * (abs(excess) - 1)
    z = float(excess / np.sqrt(_null_variance(x, y)))
    tails = {
        "two-sided": 2 * scipy.stats.norm.sf(abs(z)),
        "greater": scipy.stats.norm.sf(z),
        "less": scipy.stats.norm.cdf(z),
    }
    return z, float(tails[alternative])


def _null_variance(x: np.ndarray, y: np.ndarray) -> float:
    """Variance of C - D under independence, with ties in either variable."""
    n = len(x)
    t = np.unique(x, return_counts=True)[1].astype(float)
    u = np.unique(y, return_counts=True)[1].astype(float)
    whole = n * (n - 1) * (2 * n + 5.0)
    for ties in (t, u):
        whole -= np.sum(ties * (ties - 1) * (2 * ties + 5))
    variance = whole / 18
    variance += np.sum(t * (t - 1)) * np.sum(u * (u - 1)) / (2.0 * n * (n - 1))
    if n > 2:
        triples = np.sum(t * (t - 1) * (t - 2)) * np.sum(u * (u - 1) * (u - 2))
        variance += triples / (9.0 * n * (n - 1) * (n - 2))
    return float(variance)


def _signs(values: np.ndarray, rows: np.ndarray, *, start: int) -> np.ndarray:
    """Order (-1, 0, 1) of all rows against a block of them."""
    own = values[rows]
    block = own[start : start + _BLOCK]
    above = own[:, None] > block[None, :]
    return above.astype(np.int8) - (own[:, None] < block[None, :])


def _groups(group: np.ndarray | None, n: int) -> list[np.ndarray]:
    if group is None:
        return [np.arange(n)]
    return [np.flatnonzero(group == name) for name in np.unique(group)]


def _refuse_nan(*variables: np.ndarray) -> None:
    if any(np.isnan(np.asarray(values, float)).any() for values in variables):
        raise ValueError("a value is NaN; leave such rows out and say how many")


def _ratio(top: float | int, bottom: float | int) -> float:
    return float(top / bottom) if bottom else np.nan
