"""Confusion matrices and the figures made of them, for one table or many resamples."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_UNDEFINED = float("nan")


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """One-vs-rest figures of each class; the last axis is the class.

    ``0/0`` is NaN unless `class_figures` was told otherwise: a class that was never
    predicted has no precision, and so no F1.
    """

    sensitivity: Float[np.ndarray, "*b k"]
    specificity: Float[np.ndarray, "*b k"]
    precision: Float[np.ndarray, "*b k"]
    npv: Float[np.ndarray, "*b k"]
    f1: Float[np.ndarray, "*b k"]
    prevalence: Float[np.ndarray, "*b k"]
    detection_rate: Float[np.ndarray, "*b k"]
    detection_prevalence: Float[np.ndarray, "*b k"]

    @property
    def balanced_accuracy(self) -> Float[np.ndarray, "*b k"]:
        """Mean of sensitivity and specificity of each class."""
        return (self.sensitivity + self.specificity) / 2


def confusion_matrix(
    true_class: Int[np.ndarray, " n"],
    *,
    predicted_class: Int[np.ndarray, " n"],
    num_classes: int,
) -> Int[np.ndarray, "k k"]:
    """Returns counts: rows are the true class, columns the predicted one.

    Raises:
        ValueError: If a class is not in ``[0, num_classes)``.
    """
    code = _cell(true_class, predicted_class, num_classes=num_classes)
    counts = np.bincount(code, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def resampled_confusion(
    true_class: Int[np.ndarray, " n"],
    *,
    predicted_class: Int[np.ndarray, " n"],
    num_classes: int,
    weight: Int[np.ndarray, "b n"],
) -> Int[np.ndarray, "b k k"]:
    """Returns the confusion matrix of each resample (`resampling.subject_weights`).

    Raises:
        ValueError: If a class is not in ``[0, num_classes)``.
    """
    code = _cell(true_class, predicted_class, num_classes=num_classes)
    counts = np.stack(
        [weight[:, code == cell].sum(axis=1) for cell in range(num_classes**2)], axis=1
    )
    return counts.reshape(len(weight), num_classes, num_classes)


def class_figures(
    confusion: Int[np.ndarray, "*b k k"], *, zero_division: float = _UNDEFINED
) -> ClassFigures:
    """Returns one-vs-rest figures of each class.

    Args:
        confusion: Counts, rows are the truth; leading axes are resamples.
        zero_division: What 0/0 becomes: NaN, or 0 as in scikit-learn.
    """
    total = confusion.sum(axis=(-2, -1))[..., None]
    true_positive = np.diagonal(confusion, axis1=-2, axis2=-1)
    positive = confusion.sum(axis=-1)
    called = confusion.sum(axis=-2)
    true_negative = total - positive - called + true_positive

    def share(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return _ratio(top, bottom, undefined=zero_division)

    sensitivity = share(true_positive, positive)
    precision = share(true_positive, called)
    return ClassFigures(
        sensitivity=sensitivity,
        specificity=share(true_negative, total - positive),
        precision=precision,
        npv=share(true_negative, total - called),
        f1=share(2 * precision * sensitivity, precision + sensitivity),
        prevalence=share(positive, total),
        detection_rate=share(true_positive, total),
        detection_prevalence=share(called, total),
    )


def accuracy(confusion: Int[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Returns the share of right answers."""
    right = np.trace(confusion, axis1=-2, axis2=-1)
    return _ratio(right, confusion.sum(axis=(-2, -1)))


def mean_class_error(confusion: Int[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Returns the mean absolute difference of class indices."""
    distance = _distance(confusion.shape[-1])
    weighted = (confusion * distance).sum(axis=(-2, -1))
    return _ratio(weighted, confusion.sum(axis=(-2, -1)))


def within_one_class(confusion: Int[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Returns the share of answers at most one class away from the truth."""
    near = _distance(confusion.shape[-1]) <= 1
    weighted = (confusion * near).sum(axis=(-2, -1))
    return _ratio(weighted, confusion.sum(axis=(-2, -1)))


def matthews(confusion: Int[np.ndarray, "k k"]) -> float:
    """Returns Gorodkin's correlation of truth and prediction; 0 for a one-class margin.

    Reference:
        Gorodkin, Computational Biology and Chemistry 28 (2004) 367.
    """
    counts = confusion.astype(float)
    n, rows, columns = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    covariance = np.trace(counts) * n - rows @ columns
    spread = (n**2 - rows @ rows) * (n**2 - columns @ columns)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def kappa(
    confusion: Int[np.ndarray, "*b k k"], *, weights: str = "none"
) -> Float[np.ndarray, "*b"]:
    """Returns Cohen's kappa; NaN when truth and prediction are one and the same class.

    Args:
        confusion: Counts over *all* levels, observed or not.
        weights: ``none``, ``linear`` or ``quadratic`` in the class index.

    Raises:
        ValueError: If the weights are unknown.

    Reference:
        Cohen, Psychological Bulletin 70 (1968) 213.
    """
    levels = confusion.shape[-1]
    distance = _distance(levels)
    penalties = {
        "none": (distance > 0).astype(float),
        "linear": distance.astype(float),
        "quadratic": distance.astype(float) ** 2,
    }
    if weights not in penalties:
        raise ValueError(f"weights {weights!r}: expected one of {list(penalties)}")
    penalty = penalties[weights]
    n = confusion.sum(axis=(-2, -1)).astype(float)
    rows, columns = confusion.sum(axis=-1), confusion.sum(axis=-2)
    by_chance = np.einsum("...i,...j,ij->...", rows * 1.0, columns * 1.0, penalty)
    observed = (confusion * penalty).sum(axis=(-2, -1)) * n
    return np.asarray(1.0 - _ratio(observed, by_chance))


def _cell(
    true_class: np.ndarray, predicted_class: np.ndarray, *, num_classes: int
) -> np.ndarray:
    for name, index in (("true", true_class), ("predicted", predicted_class)):
        if len(index) and not 0 <= index.min() <= index.max() < num_classes:
            raise ValueError(f"a {name} class is not in 0..{num_classes - 1}")
    return true_class * num_classes + predicted_class


def _distance(levels: int) -> np.ndarray:
    index = np.arange(levels)
    return np.abs(index[:, None] - index[None, :])


def _ratio(top: Any, bottom: Any, *, undefined: float = _UNDEFINED) -> np.ndarray:
    top, bottom = np.asarray(top, float), np.asarray(bottom, float)
    out = np.full(np.broadcast(top, bottom).shape, undefined)
    return np.divide(top, bottom, out=out, where=bottom != 0)
