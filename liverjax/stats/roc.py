"""The area under the ROC curve of a binary truth, with its interval.

A higher score always means "positive"; the direction is never flipped. Areas and their
variances come from midranks, so that they cost a sort, not all pairs.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Num, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.proportions import beta_interval
from liverjax.stats.resampling import percentile_interval

METHODS = ("logit", "delong", "hanley_mcneil", "exact_binomial", "bootstrap")
# A variance below this is rounding: areas are ratios of whole numbers of half pairs.
NO_VARIANCE = 1e-15
# Numbers of a resampled table that are held at once: 2 million, 16 MB.
_BLOCK = 2_000_000


@dataclasses.dataclass(frozen=True)
class Auc(Estimate):
    """An area under the ROC curve.

    Attributes:
        se: Standard error of the method (DeLong's for intervals that have none).
        positives: Positive rows.
        negatives: Negative rows.
        wald_low: Lower end of ``estimate -+ z se``, cut at 0 and 1.
        wald_high: Its upper end.
        degenerate: DeLong's variance is 0 (perfect separation or one score for all), so
            that the interval is exact binomial in the smaller class instead.
    """

    se: float = np.nan
    positives: int = 0
    negatives: int = 0
    wald_low: float = np.nan
    wald_high: float = np.nan
    degenerate: bool = False


def auc(
    score: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    method: str = "logit",
    subject: Shaped[np.ndarray, " n"] | None = None,
    weight: Num[np.ndarray, "b n"] | None = None,
    conf: float = 0.95,
) -> Auc:
    """Returns the area under the ROC curve with its interval.

    Args:
        score: Higher means positive.
        positive: Truth.
        method: Of the interval, one of `METHODS`: ``logit`` is Wald's with DeLong's
            variance on the logit scale, ``delong`` on the plain scale, cut at 0 and 1
            (too short in small cohorts), ``exact_binomial`` is
            `exact_binomial_interval`; ``bootstrap`` needs ``weight``.
        subject: Who each row belongs to, where subjects have several rows: the variance
            is then Obuchowski's for clusters. None: each row is a subject.
        weight: Resamples of the rows (`resampling.subject_weights`).
        conf: Confidence level.

    Raises:
        ValueError: If a score is NaN, a class is absent or an option is unknown.

    Reference:
        DeLong et al., Biometrics 44 (1988) 837; Sun and Xu, IEEE Signal Processing
        Letters 21 (2014) 1389 (midranks); Obuchowski, Biometrics 53 (1997) 567
        (clusters); Hanley and McNeil, Radiology 143 (1982) 29.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {METHODS}")
    if (method == "bootstrap") != (weight is not None):
        raise ValueError("a bootstrap interval needs `weight`, and no other takes it")
    areas, covariance = areas_covariance(
        score[None], positive=positive, subject=subject
    )
    area, n = float(areas[0]), len(score)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    variance = float(covariance[0, 0])
    if method == "hanley_mcneil":
        variance = hanley_mcneil_variance(
            area, positives=positives, negatives=negatives
        )
    se = float(np.sqrt(variance))
    half = normal_quantile(conf) * se
    # Unlike max and min, clip keeps an unknown end (one row of a class) NaN.
    wald = np.clip([area - half, area + half], 0.0, 1.0)
    degenerate = variance <= NO_VARIANCE and method in ("delong", "logit")
    words = f"AUC, {conf:.0%} interval {_interval_words(method, subject)}"
    if degenerate:
        fewer = min(positives, negatives)
        low, high = beta_interval(area * fewer, n=fewer, conf=conf)
        words += (
            "; DeLong's variance is 0 here, so the interval is exact binomial in the "
            f"{fewer} rows of the smaller class"
        )
    elif method == "logit":
        low, high = logit_interval(area, se=se, conf=conf)
    elif method == "exact_binomial":
        low, high = beta_interval(area * n, n=n, conf=conf)
    elif weight is not None:
        draws = resampled_auc(score, positive=positive, weight=weight)
        low, high = percentile_interval(draws, conf=conf)
    else:
        low, high = wald
    return Auc(
        area,
        float(low),
        float(high),
        method=words,
        n=n,
        se=se,
        positives=positives,
        negatives=negatives,
        wald_low=float(wald[0]),
        wald_high=float(wald[1]),
        degenerate=degenerate,
    )


def hanley_mcneil_variance(area: float, *, positives: int, negatives: int) -> float:
    """Returns the variance of an area from it and the class sizes alone.

    Reference:
        Hanley and McNeil, Radiology 143 (1982) 29.
    """
    q1 = area / (2 - area)
    q2 = 2 * area**2 / (1 + area)
    spread = area * (1 - area)
    spread += (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return max(0.0, spread) / (positives * negatives)


def exact_binomial_interval(
    area: float, *, n: int, conf: float = 0.95
) -> tuple[float, float]:
    """Returns Clopper-Pearson limits with ``n * area`` successes, not rounded.

    MedCalc's default and what study 001 printed. It treats the area as a share of right
    answers among n patients, which it is not; kept to reproduce such papers.
    """
    return beta_interval(area * n, n=n, conf=conf)


def resampled_auc(
    score: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    weight: Num[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Returns the area in each resample; NaN where a class was not drawn.

    Raises:
        ValueError: If a score is NaN or a class is absent from the sample itself.
    """
    check_binary(score, positive=positive)
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives], kind="stable")]
    positives = np.flatnonzero(positive)
    below = np.searchsorted(score[negatives], score[positives], side="left")
    not_above = np.searchsorted(score[negatives], score[positives], side="right")
    ties = bool(np.any(below != not_above))
    out = np.empty(len(weight))
    step = max(1, _BLOCK // len(score))
    for start in range(0, len(weight), step):
        drawn = weight[start : start + step]
        # Rows are resamples: sums of negatives up to each rank, 0 before the first.
        up_to = np.zeros((len(drawn), len(negatives) + 1), np.float32)
        np.cumsum(drawn[:, negatives], axis=1, dtype=np.float32, out=up_to[:, 1:])
        beaten = np.take(up_to, below, axis=1)
        if ties:
            beaten += np.take(up_to, not_above, axis=1)
            beaten *= 0.5
        chosen = drawn[:, positives]
        won = np.einsum("bp,bp->b", chosen, beaten, dtype=float)
        pairs = chosen.sum(axis=1, dtype=float) * up_to[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            out[start : start + step] = won / pairs
    return out


def check_binary(
    score: Num[np.ndarray, " n"], *, positive: Bool[np.ndarray, " n"]
) -> None:
    """Refuses what has no ROC curve.

    Raises:
        ValueError: If a score is NaN or a class is absent.
    """
    if np.isnan(score).any():
        raise ValueError("a score is NaN; leave such rows out and say how many")
    for name, number in (("positive", positive.sum()), ("negative", (~positive).sum())):
        if number == 0:
            raise ValueError(
                f"no {name} row among {len(positive)}: an ROC curve needs both classes"
            )


def areas_covariance(
    scores: Num[np.ndarray, "s n"],
    *,
    positive: Bool[np.ndarray, " n"],
    subject: Shaped[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "s s"]]:
    """Returns the areas of several scores of the same rows, and their covariance.

    Obuchowski's clustered form; where each row is a subject it is DeLong's. The
    covariance is NaN where a class has one subject.

    Args:
        scores: A row a score.
        positive: Truth.
        subject: Who each row belongs to; None: each row is a subject.

    Raises:
        ValueError: If a score is NaN or a class is absent.
    """
    won, kept = _placements(scores, positive=positive)
    areas = won.mean(axis=1)
    m, k = won.shape[1], kept.shape[1]
    above, under = won - areas[:, None], kept - areas[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        if subject is None:
            s10 = above @ above.T / np.float64(m - 1)
            s01 = under @ under.T / np.float64(k - 1)
            return areas, s10 / m + s01 / k
        who = np.unique(subject, return_inverse=True)[1]
        clusters = who.max() + 1

        def sums(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return np.stack(
                [np.bincount(who[rows], one, minlength=clusters) for one in values]
            )

        up, down = sums(above, positive), sums(under, ~positive)
        with_positive = np.float64(len(np.unique(who[positive])))
        with_negative = np.float64(len(np.unique(who[~positive])))
        s10 = with_positive / (with_positive - 1) * (up @ up.T) / m**2
        s01 = with_negative / (with_negative - 1) * (down @ down.T) / k**2
        cross = np.float64(clusters) / (clusters - 1) * (up @ down.T) / (m * k)
        return areas, s10 + s01 + cross + cross.T


def jackknife_covariance(
    scores: Num[np.ndarray, "s n"], *, positive: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "s s"]]:
    """Returns the areas of several scores, and their covariance by leaving rows out.

    Args:
        scores: A row a score.
        positive: Truth.

    Raises:
        ValueError: If a score is NaN, or a class has fewer than two rows.
    """
    won, kept = _placements(scores, positive=positive)
    (m, k), n = (won.shape[1], kept.shape[1]), scores.shape[1]
    if min(m, k) < 2:
        raise ValueError(f"{m} positive and {k} negative rows: leaving one out needs 2")
    areas = won.mean(axis=1)
    without = np.concatenate(
        [
            (m * areas[:, None] - won) / (m - 1),
            (k * areas[:, None] - kept) / (k - 1),
        ],
        axis=1,
    )
    gap = without - without.mean(axis=1, keepdims=True)
    return areas, (n - 1) / n * (gap @ gap.T)


def _placements(
    scores: np.ndarray, *, positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives that each positive beats, and of positives each is below."""
    for score in scores:
        check_binary(score, positive=positive)
    rank = functools.partial(scipy.stats.rankdata, axis=1)
    among_all = rank(scores)
    m, k = int(positive.sum()), int((~positive).sum())
    won = (among_all[:, positive] - rank(scores[:, positive])) / k
    kept = 1 - (among_all[:, ~positive] - rank(scores[:, ~positive])) / m
    return won, kept


def normal_quantile(conf: float) -> float:
    """Returns how many standard errors a two-sided interval reaches."""
    return float(scipy.stats.norm.ppf((1 + conf) / 2))


def logit_interval(
    area: float, *, se: float, conf: float = 0.95
) -> tuple[float, float]:
    """Returns Wald's interval of the log odds of an area, which stays inside 0 and 1.

    NaN for an area of exactly 0 or 1.
    """
    if not 0 < area < 1:
        return np.nan, np.nan
    half = normal_quantile(conf) * se / (area * (1 - area))
    centre = scipy.special.logit(area)
    low, high = scipy.special.expit([centre - half, centre + half])
    return float(low), float(high)


def _interval_words(method: str, subject: np.ndarray | None) -> str:
    words = {
        "delong": "by DeLong",
        "logit": "by DeLong on the logit scale",
        "hanley_mcneil": "by Hanley and McNeil",
        "exact_binomial": "exact binomial (n times the area of n)",
        "bootstrap": "from bootstraps of subjects",
    }[method]
    clustered = subject is not None and method in ("delong", "logit")
    return f"{words}, clustered by subject" if clustered else words
