"""Resampling at the independent unit: subjects or sites, inside folds or sets.

A resample is a row of weights: how often each row of the table was drawn. Statistics
take all resamples at once as a matrix, so 2,000 of them cost a few matrix products.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.special
from jaxtyping import Float, Int, Shaped

RESAMPLES = 2_000
PERMUTATIONS = 9_999
# Of statistics of pairs of rows: four times the cost of as many bootstraps.
EXCHANGES = 1_999


@dataclasses.dataclass(frozen=True)
class Bca:
    """A bias-corrected and accelerated interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        z0: Bias correction.
        acceleration: From the jackknife.
    """

    low: float
    high: float
    z0: float
    acceleration: float


def subject_weights(
    rng: np.random.Generator,
    *,
    subject: Shaped[np.ndarray, " n"],
    stratum: Shaped[np.ndarray, " n"] | None = None,
    resamples: int = RESAMPLES,
) -> Int[np.ndarray, "b n"]:
    """Returns how often each row is drawn when subjects are drawn with replacement.

    All rows of a subject are drawn together. Inside each stratum as many subjects are
    drawn as it has, so that every resample has the strata's sizes.

    Args:
        rng: Source of randomness.
        subject: Who each row belongs to; sites, to resample whole sites.
        stratum: Fold or set of each row, one for all rows of a subject; None is one
            stratum for all.
        resamples: Number of resamples ``b``.

    Raises:
        ValueError: If a subject has rows in two strata.
    """
    _, row_subject = np.unique(subject, return_inverse=True)
    code = np.zeros(len(subject), int)
    if stratum is not None:
        _, code = np.unique(stratum, return_inverse=True)
    subject_stratum = np.zeros(row_subject.max(initial=-1) + 1, int)
    subject_stratum[row_subject] = code
    if np.any(subject_stratum[row_subject] != code):
        raise ValueError("a subject has rows in two strata; resampling would split it")
    drawn = np.zeros((resamples, len(subject_stratum)), int)
    for number in np.unique(subject_stratum):
        inside = np.flatnonzero(subject_stratum == number)
        drawn[:, inside] = _draw(rng, len(inside), resamples=resamples)
    if np.array_equal(row_subject, np.arange(len(subject_stratum))):
        return drawn  # a row each, in order: spare the copy
    return drawn[:, row_subject]


def _draw(rng: np.random.Generator, number: int, *, resamples: int) -> np.ndarray:
    """How often each of a number of subjects is drawn; rows are resamples.

    Indices drawn and counted are ten times as fast as `Generator.multinomial`.
    """
    index = rng.integers(number, size=(resamples, number), dtype=np.int32)
    cell = index + number * np.arange(resamples)[:, None]
    counts = np.bincount(cell.ravel(), minlength=resamples * number)
    return counts.reshape(resamples, number)


def index_weights(index: Int[np.ndarray, "b m"], *, n: int) -> Int[np.ndarray, "b n"]:
    """Returns the weights of given resamples, for replay.

    Args:
        index: Rows that each resample draws, from 0.
        n: Rows of the table.

    Raises:
        ValueError: If an index is not in ``[0, n)``.
    """
    if index.size and not 0 <= index.min() <= index.max() < n:
        raise ValueError(f"an index is not in 0..{n - 1}")
    cell = index + n * np.arange(len(index))[:, None]
    counts = np.bincount(cell.ravel(), minlength=len(index) * n)
    return counts.reshape(len(index), n)


def shuffles(
    rng: np.random.Generator, values: Shaped[np.ndarray, " n"], *, number: int
) -> Shaped[np.ndarray, "n p"]:
    """Returns independent random orders of values, one a column."""
    order = np.argsort(rng.random((number, len(values))), axis=1)
    return np.ascontiguousarray(values[order].T)


def percentile_interval(
    draws: Float[np.ndarray, " b"], *, conf: float = 0.95
) -> tuple[float, float]:
    """Returns the central interval of a statistic's resamples.

    Resamples in which the statistic is undefined (a class that was not drawn) are left
    out; the interval is NaN when more than one in ten is.

    Args:
        draws: The statistic in each resample, NaN where undefined.
        conf: Confidence level.
    """
    defined = _defined(draws)
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - conf) / 2, (1 + conf) / 2])
    return float(low), float(high)


def _defined(draws: np.ndarray) -> np.ndarray:
    """The resamples that have the statistic; none where over one in ten lacks it."""
    defined = draws[np.isfinite(draws)]
    return defined if len(defined) >= max(2, 0.9 * len(draws)) else defined[:0]


def weighted_mean(
    values: Float[np.ndarray, " n"], *, weight: Int[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Returns the mean of values in each resample; every resample draws some row."""
    return weight @ values / weight.sum(axis=1)


def basic_interval(
    draws: Float[np.ndarray, " b"], *, estimate: float, conf: float = 0.95
) -> tuple[float, float]:
    """Returns the percentile interval mirrored at the estimate; it may leave the range.

    Undefined resamples are handled as in `percentile_interval`.
    """
    low, high = percentile_interval(draws, conf=conf)
    return 2 * estimate - high, 2 * estimate - low


def bca_interval(
    draws: Float[np.ndarray, " b"],
    *,
    estimate: float,
    jackknife: Float[np.ndarray, " n"],
    ties: str = "half",
    conf: float = 0.95,
) -> Bca:
    """Returns Efron's bias-corrected and accelerated interval.

    Undefined resamples are handled as in `percentile_interval`.

    Args:
        draws: The statistic in each resample, NaN where undefined.
        estimate: The statistic itself.
        jackknife: The statistic without each subject in turn.
        ties: Resamples equal to the estimate count ``half``, or not (``below``).
        conf: Confidence level.

    Returns:
        NaN ends where the statistic is the same without every subject, where all
        resamples are on one side, or where too many are undefined.

    Raises:
        ValueError: If ``ties`` is unknown.

    Reference:
        Efron, Journal of the American Statistical Association 82 (1987) 171.
    """
    if ties not in ("half", "below"):
        raise ValueError(f"ties {ties!r}: half or below")
    draws = _defined(draws)
    if not len(draws):
        return Bca(np.nan, np.nan, np.nan, np.nan)
    share = float(np.mean(draws < estimate))
    if ties == "half":
        share += float(np.mean(draws == estimate)) / 2
    z0 = float(scipy.special.ndtri(share))
    gap = jackknife.mean() - jackknife
    spread = float(np.sum(gap**2))
    acceleration = np.nan
    if spread > 1e-20:
        acceleration = float(np.sum(gap**3)) / (6 * spread**1.5)
    if np.isnan(acceleration) or np.isinf(z0):
        return Bca(np.nan, np.nan, z0, acceleration)
    z = z0 + scipy.special.ndtri([(1 - conf) / 2, (1 + conf) / 2])
    level = scipy.special.ndtr(z0 + z / (1 - acceleration * z))
    low, high = np.quantile(draws, level)
    return Bca(float(low), float(high), z0, acceleration)


def sign_flip_test(
    rng: np.random.Generator,
    difference: Float[np.ndarray, " n"],
    *,
    subject: Shaped[np.ndarray, " n"],
    permutations: int = PERMUTATIONS,
) -> float:
    """Returns the two-sided p of a mean paired difference of 0.

    All differences of a subject change their sign together: of two models' losses this
    is what exchanging the models within the subject does (`exchange_test`).

    Args:
        rng: Source of the signs.
        difference: Of two measurements (losses, say) of each row.
        subject: Who each row belongs to.
        permutations: Number of them.

    Reference:
        Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed. 2005,
        chapter 3.
    """
    who = np.unique(subject, return_inverse=True)[1]
    total = np.bincount(who, weights=difference)
    sign = 2.0 * rng.integers(2, size=(permutations, len(total))) - 1
    return permutation_p(np.abs(sign @ total), observed=abs(float(total.sum())))


def exchange_test(
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    subject: Shaped[np.ndarray, " n"],
    permutations: int = EXCHANGES,
) -> float:
    """Returns the two-sided p of two models' equal statistics on the same rows.

    Under the null hypothesis nobody could tell which model gave which of a row's two
    scores: in each permutation a coin a subject exchanges them, in all its rows. The
    test is exact where the pair of scores is exchangeable given the truth, so they must
    be on one scale: losses, or of rankings the rank in each model's own scores. Where
    the statistics alone are equal it is approximate (docs/coverage.md).

    Args:
        rng: Source of the coins.
        statistic: Of weights ``(b, 2n)`` of the first model's n rows with the second's
            n rows after them; returns ``(b,)``. A weight is 1 for the score that stands
            in the row and 0 for the other.
        subject: Who each row belongs to.
        permutations: Number of them; one in which the statistic is undefined counts as
            extreme.

    Returns:
        NaN where a model's own statistic is undefined.

    Reference:
        Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed. 2005,
        chapter 3; Smucker et al., CIKM 2007, 623 (of two rankings).
    """
    who = np.unique(subject, return_inverse=True)[1]
    coins = (permutations, who.max(initial=-1) + 1)
    swapped = rng.integers(2, size=coins, dtype=np.int8)[:, who]
    swapped = np.concatenate([np.zeros((1, len(who)), np.int8), swapped])
    standing = np.concatenate([1 - swapped, swapped], axis=1)
    gap = np.abs(statistic(standing) - statistic(1 - standing))
    if np.isnan(gap[0]):
        return np.nan
    null = np.where(np.isnan(gap[1:]), np.inf, gap[1:])
    return permutation_p(null, observed=float(gap[0]))


def permutation_p(null: Float[np.ndarray, " b"], *, observed: float) -> float:
    """Returns the share of permutations at or above the observed value, never 0.

    ``(1 + number) / (1 + permutations)``; values that differ by rounding are equal.

    Reference:
        Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9
        (2010) 39.
    """
    slack = 1e-12 * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(null >= observed - slack)) / (1 + len(null)))
