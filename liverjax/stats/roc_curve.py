"""The points of an ROC curve, the cut-off with the largest Youden index, precision."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.roc import check_binary


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """Points from threshold +inf down, one a distinct score, the first at (0, 0)."""

    fpr: Float[np.ndarray, " t"]
    tpr: Float[np.ndarray, " t"]
    threshold: Float[np.ndarray, " t"]


@dataclasses.dataclass(frozen=True)
class Cutoff:
    """The cut-off that maximises Youden's J; ``score >= threshold`` is positive.

    Attributes:
        threshold: The lowest optimum by the rule that was asked for.
        midpoints: All optima, halfway to the next lower score, in increasing order.
        observed: All optima as the smallest score that is called positive.
        sensitivity: At each optimum.
        specificity: At each optimum.
        youden_j: The maximum.
        rule: ``midpoint`` or ``observed``.
        n: Rows it was chosen on.
    """

    threshold: float
    midpoints: Float[np.ndarray, " o"]
    observed: Float[np.ndarray, " o"]
    sensitivity: Float[np.ndarray, " o"]
    specificity: Float[np.ndarray, " o"]
    youden_j: float
    rule: str
    n: int


def roc_curve(
    score: Num[np.ndarray, " n"], *, positive: Bool[np.ndarray, " n"]
) -> RocCurve:
    """Returns the empirical ROC curve; no collinear point is dropped.

    Raises:
        ValueError: If a score is NaN or a class is absent.
    """
    check_binary(score, positive=positive)
    levels, index = np.unique(score, return_inverse=True)
    hits = np.bincount(index, weights=positive, minlength=len(levels))[::-1]
    alarms = np.bincount(index, weights=~positive, minlength=len(levels))[::-1]
    return RocCurve(
        fpr=np.append(0.0, np.cumsum(alarms) / alarms.sum()),
        tpr=np.append(0.0, np.cumsum(hits) / hits.sum()),
        threshold=np.append(np.inf, levels[::-1].astype(float)),
    )


def youden_cutoff(
    score: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    rule: str = "midpoint",
) -> Cutoff:
    """Returns the cut-off with the largest sensitivity + specificity - 1.

    Choose it on one set (out-of-fold training predictions) and use it on another: on
    its own set it is optimistic. Midpoint and observed cut-offs call all rows of that
    set alike, but may call a new patient between two scores differently.

    Args:
        score: Higher means positive.
        positive: Truth.
        rule: ``midpoint`` of neighbouring scores (pROC) or ``observed``, the smallest
            score called positive.

    Raises:
        ValueError: If a score is NaN, a class is absent or the rule is unknown.

    Reference:
        Youden, Cancer 3 (1950) 32.
    """
    if rule not in ("midpoint", "observed"):
        raise ValueError(f"rule {rule!r}: midpoint or observed")
    curve = roc_curve(score, positive=positive)
    j = curve.tpr - curve.fpr
    best = np.flatnonzero(j >= j.max() - 1e-12)[::-1]
    lower = np.append(curve.threshold[1:], -np.inf)
    midpoints = (curve.threshold[best] + lower[best]) / 2
    observed = curve.threshold[best]
    return Cutoff(
        threshold=float((midpoints if rule == "midpoint" else observed)[0]),
        midpoints=midpoints,
        observed=observed,
        sensitivity=curve.tpr[best],
        specificity=1 - curve.fpr[best],
        youden_j=float(j.max()),
        rule=rule,
        n=len(score),
    )


def average_precision(
    score: Num[np.ndarray, " n"], *, positive: Bool[np.ndarray, " n"]
) -> Estimate:
    """Returns the sum of precision over the steps of recall (no interpolation).

    Raises:
        ValueError: If a score is NaN or a class is absent.
    """
    curve = roc_curve(score, positive=positive)
    hits = curve.tpr[1:] * positive.sum()
    precision = hits / (hits + curve.fpr[1:] * (~positive).sum())
    value = float(np.diff(curve.tpr) @ precision)
    return Estimate(value, method="average precision", n=len(score))
