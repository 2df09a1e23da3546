"""Tests of the difference of two areas under ROC curves, of the same or other rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Num, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.roc import NO_VARIANCE, areas_covariance, auc

ALTERNATIVES = ("two-sided", "greater", "less")


@dataclasses.dataclass(frozen=True)
class AucDifference(Estimate):
    """One area minus another.

    Attributes:
        first: The first area.
        second: The second.
        z: Difference over its standard error; of a t law where ``df`` is finite.
        se: Standard error of the difference.
        covariance: Of the two areas; 0 for different subjects.
        df: Degrees of freedom of the reference law; infinite is the normal law.
    """

    first: float = np.nan
    second: float = np.nan
    z: float = np.nan
    se: float = np.nan
    covariance: float = 0.0
    df: float = np.inf


def compare_paired(
    score: Num[np.ndarray, " n"],
    *,
    other: Num[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    alternative: str = "two-sided",
    subject: Shaped[np.ndarray, " n"] | None = None,
    conf: float = 0.95,
) -> AucDifference:
    """Returns DeLong's test of two scores of the same rows: first minus ``other``.

    Identical curves give z 0 and p 1. A difference without variance (one score
    separates perfectly, the other is constant) has no p.

    Args:
        score: The first score.
        other: The second.
        positive: Truth.
        alternative: ``two-sided``, ``greater`` (the first area is) or ``less``.
        subject: As in `auc`.
        conf: Confidence level of the difference's two-sided interval.

    Raises:
        ValueError: If a score is NaN or a class is absent.

    Reference:
        DeLong et al., Biometrics 44 (1988) 837.
    """
    scores = np.stack([np.asarray(score, float), np.asarray(other, float)])
    areas, covariance = areas_covariance(scores, positive=positive, subject=subject)
    difference = float(areas[0] - areas[1])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    se = float(np.sqrt(max(0.0, variance)))
    z, p = z_test(difference, variance=variance, alternative=alternative)
    half = _quantile(conf) * se
    clusters = "" if subject is None else ", clustered by subject"
    return AucDifference(
        difference,
        difference - half,
        difference + half,
        p,
        f"difference of AUCs, paired DeLong test{clusters}, {alternative}",
        len(positive),
        first=float(areas[0]),
        second=float(areas[1]),
        z=z,
        se=se,
        covariance=float(covariance[0, 1]),
    )


def compare_unpaired(
    score: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    other_score: Num[np.ndarray, " m"],
    other_positive: Bool[np.ndarray, " m"],
    law: str = "t",
    conf: float = 0.95,
) -> AucDifference:
    """Returns DeLong's test of areas in different subjects, such as two subgroups.

    An area of exactly 1 contributes no variance, which makes p too small.

    Args:
        score: Scores of the first group.
        positive: Its truth.
        other_score: Scores of the second group.
        other_positive: Its truth.
        law: ``t`` with Satterthwaite's degrees of freedom (pROC), or ``normal``
            (MedCalc).
        conf: Confidence level.

    Raises:
        ValueError: If a score is NaN, a class is absent or the law is unknown.
    """
    if law not in ("t", "normal"):
        raise ValueError(f"law {law!r}: t or normal")
    one = auc(score, positive=positive)
    two = auc(other_score, positive=other_positive)
    v1, v2 = one.se**2, two.se**2
    difference, variance = one.estimate - two.estimate, v1 + v2
    df = np.inf
    if law == "t" and variance > NO_VARIANCE:
        df = variance**2 / (v1**2 / (one.n - 1) + v2**2 / (two.n - 1))
    z, p = z_test(difference, variance=variance, alternative="two-sided", df=df)
    half = _quantile(conf, df=df) * np.sqrt(variance)
    return AucDifference(
        difference,
        difference - half,
        difference + half,
        p,
        f"difference of AUCs, unpaired DeLong test, {law} law",
        one.n + two.n,
        first=one.estimate,
        second=two.estimate,
        z=z,
        se=float(np.sqrt(variance)),
        df=float(df),
    )


def z_test(
    difference: float,
    *,
    variance: float,
    alternative: str = "two-sided",
    df: float = np.inf,
) -> tuple[float, float]:
    """Returns z and p of a difference.

    Without variance there is no test: both are NaN, or 0 and 1 where the difference is
    0 as well.

    Args:
        difference: Of two estimates.
        variance: Of the difference.
        alternative: Of `ALTERNATIVES`.
        df: Of a t law; infinite is the normal law.

    Raises:
        ValueError: If the alternative is unknown.
    """
    if alternative not in ALTERNATIVES:
        raise ValueError(f"alternative {alternative!r}: one of {ALTERNATIVES}")
    if not variance > NO_VARIANCE:  # NaN too
        same = abs(difference) < 1e-12 and not np.isnan(variance)
        return (0.0, 1.0) if same else (np.nan, np.nan)
    z = difference / np.sqrt(variance)
    law = scipy.stats.norm if np.isinf(df) else scipy.stats.t(df)
    tails = {
        "two-sided": 2 * law.sf(abs(z)),
        "greater": law.sf(z),
        "less": law.cdf(z),
    }
    return float(z), float(tails[alternative])


def _quantile(conf: float, *, df: float = np.inf) -> float:
    law = scipy.stats.norm if np.isinf(df) else scipy.stats.t(df)
    return float(law.ppf((1 + conf) / 2))
