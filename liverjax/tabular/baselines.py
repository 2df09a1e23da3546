"""Simple baselines on table columns, through the network's own folds.

A network that reads a liver must beat what two volumes, or ascites alone, already say.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

# A baseline by name: the columns it reads. It is made when the table has them all.
BASELINES: dict[str, tuple[str, ...]] = {
    "liver volume": ("liver_volume_ml",),
    "liver and spleen volumes": ("liver_volume_ml", "spleen_volume_ml"),
    "ascites alone": ("ascites_points",),
}


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """Least squares on standardised columns.

    Attributes:
        mean: ``(k,)`` of each column in the training rows.
        spread: ``(k,)``, its standard deviation, 1 for a constant column.
        weight: ``(k,)``.
        bias: Prediction at the means.
    """

    mean: Float[np.ndarray, "k"]
    spread: Float[np.ndarray, "k"]
    weight: Float[np.ndarray, "k"]
    bias: float

    def predict(self, columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n"]:
        """Returns the target's estimate; NaN where a column is missing."""
        return (columns - self.mean) / self.spread @ self.weight + self.bias


def fit_linear(
    columns: Float[np.ndarray, "n k"], *, target: Float[np.ndarray, "n"]
) -> LinearModel:
    """Returns least squares of a target on columns; rows with a NaN are left out.

    Raises:
        ValueError: If fewer than ``k + 2`` whole rows remain.
    """
    whole = ~np.isnan(columns).any(axis=1) & ~np.isnan(target)
    columns, target = columns[whole], target[whole]
    count, width = columns.shape
    if count < width + 2:
        raise ValueError(f"{count} whole rows cannot fit {width} columns")
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    weight, *_ = np.linalg.lstsq(
        (columns - mean) / spread, target - target.mean(), rcond=None
    )
    return LinearModel(mean, spread, weight, float(target.mean()))


def cross_predict(
    columns: Float[np.ndarray, "n k"],
    *,
    target: Float[np.ndarray, "n"],
    fitted_on: Bool[np.ndarray, "folds n"],
    fold: Int[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Returns each row's prediction by models that never saw its subject.

    Args:
        columns: Of every row.
        target: Truth; NaN where there is none.
        fitted_on: Rows that each fold's model is fitted on.
        fold: The fold that held a row out; -1 for rows of other sets, which get the
            mean of all folds.
    """
    by_fold = np.stack(
        [
            fit_linear(columns[rows], target=target[rows]).predict(columns)
            for rows in fitted_on
        ]
    )
    own = by_fold[np.maximum(fold, 0), np.arange(len(fold))]
    return np.where(fold >= 0, own, by_fold.mean(axis=0))
