"""Areas and curves of several classes: each against the rest, pairs, cuts."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from liverjax.stats.probabilities import normalised
from liverjax.stats.roc import auc, resampled_auc
from liverjax.stats.roc_curve import RocCurve, roc_curve


@dataclasses.dataclass(frozen=True)
class MulticlassAuc:
    """Areas of class probabilities.

    Attributes:
        one_vs_rest: Of each class against all others.
        macro: Their plain mean; not the area under the averaged curve.
        weighted: Their mean by the classes' sizes.
        micro: Of the flattened truth against the flattened probabilities.
        hand_till: Mean over pairs of classes.
        one_vs_one_weighted: Mean over pairs by their share of the rows.
        n: Rows.
    """

    one_vs_rest: Float[np.ndarray, " k"]
    macro: float
    weighted: float
    micro: float
    hand_till: float
    one_vs_one_weighted: float
    n: int


def multiclass_auc(
    probability: Num[np.ndarray, "n k"], *, true_class: Int[np.ndarray, " n"]
) -> MulticlassAuc:
    """Returns the usual areas of class probabilities, each row scaled to sum 1.

    Raises:
        ValueError: If a probability is NaN or negative, or a class does not occur.

    Reference:
        Hand and Till, Machine Learning 45 (2001) 171.
    """
    p = normalised(probability)
    k = p.shape[1]
    size = np.bincount(true_class, minlength=k)
    if len(size) > k or np.any(size == 0):
        raise ValueError(f"every class of 0..{k - 1} must occur; counts are {size}")
    each = np.array([_area(p[:, c], true_class == c) for c in range(k)])
    pairs, shares = [], []
    for i in range(k):
        for j in range(i + 1, k):
            rows = (true_class == i) | (true_class == j)
            first = _area(p[rows, i], true_class[rows] == i)
            second = _area(p[rows, j], true_class[rows] == j)
            pairs.append((first + second) / 2)
            shares.append(rows.mean())
    truth = _one_hot(true_class, k=k)
    return MulticlassAuc(
        one_vs_rest=each,
        macro=float(each.mean()),
        weighted=float(each @ size / size.sum()),
        micro=_area(p.ravel(), truth.ravel()),
        hand_till=float(np.mean(pairs)),
        one_vs_one_weighted=float(np.average(pairs, weights=shares)),
        n=len(true_class),
    )


def upper_stage_scores(
    probability: Num[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k"]:
    """Returns the probability of at least each stage; column 0 is 1.

    Column c scores the cut "stage c or later" (F2-4 is column 2).
    """
    return np.cumsum(normalised(probability)[:, ::-1], axis=1)[:, ::-1]


def micro_curve(
    probability: Num[np.ndarray, "n k"], *, true_class: Int[np.ndarray, " n"]
) -> RocCurve:
    """Returns the ROC curve of flattened truth against flattened probabilities."""
    p = normalised(probability)
    truth = _one_hot(true_class, k=p.shape[1])
    return roc_curve(p.ravel(), positive=truth.ravel())


def macro_curve(
    probability: Num[np.ndarray, "n k"],
    *,
    true_class: Int[np.ndarray, " n"],
    fpr: Num[np.ndarray, " t"] | None = None,
) -> RocCurve:
    """Returns the mean of the one-against-rest curves at each false positive rate.

    For drawing: the area under it is above the mean area, since vertical steps are
    interpolated, and depends on the grid. Report `MulticlassAuc.macro`.

    Args:
        probability: Of each class.
        true_class: Truth.
        fpr: Grid of false positive rates; None is the union of the curves' corners, as
            in scikit-learn's example.
    """
    p = normalised(probability)
    curves = [roc_curve(p[:, c], positive=true_class == c) for c in range(p.shape[1])]
    if fpr is None:
        fpr = np.unique(np.concatenate([_corners(curve) for curve in curves]))
    grid = np.asarray(fpr, float)
    tpr = np.mean([np.interp(grid, c.fpr, c.tpr) for c in curves], axis=0)
    return RocCurve(fpr=grid, tpr=tpr, threshold=np.full(len(grid), np.nan))


def area_under(curve: RocCurve) -> float:
    """Returns the area under a curve's points by trapezoids."""
    return float(np.trapezoid(curve.tpr, curve.fpr))


def resampled_macro_auc(
    probability: Num[np.ndarray, "n k"],
    *,
    true_class: Int[np.ndarray, " n"],
    weight: Num[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Returns the macro area in each resample; NaN where a class was not drawn."""
    p = normalised(probability)
    each = [
        resampled_auc(p[:, c], positive=true_class == c, weight=weight)
        for c in range(p.shape[1])
    ]
    return np.mean(each, axis=0)


def _corners(curve: RocCurve) -> np.ndarray:
    """False positive rates of the points where steps change."""
    fpr, tpr = curve.fpr[1:], curve.tpr[1:]  # the first score's point always stays
    bend = np.abs(np.diff(fpr, 2)) + np.abs(np.diff(tpr, 2)) > 1e-12
    return np.append(0.0, fpr[np.concatenate([[True], bend, [True]])[: len(fpr)]])


def _area(score: np.ndarray, positive: np.ndarray) -> float:
    return auc(score, positive=positive).estimate


def _one_hot(true_class: np.ndarray, *, k: int) -> Bool[np.ndarray, "n k"]:
    return true_class[:, None] == np.arange(k)
