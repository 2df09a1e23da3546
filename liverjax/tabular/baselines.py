"""Simple baselines on table columns, through the network's own folds.

A network that reads a liver must beat what two volumes, or ascites alone, already say.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

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


def predict_fold(
    columns: Float[np.ndarray, "n k"],
    *,
    target: Float[np.ndarray, "n"],
    train: Bool[np.ndarray, "n"],
    select: Bool[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Returns every row's prediction by a line fitted on two groups of rows.

    Args:
        columns: Of every row; NaN where one is missing.
        target: Truth; NaN where there is none.
        train: Rows of a fold's ``train`` subjects.
        select: Rows of its ``select`` subjects; a line has nothing to choose on them.

    Raises:
        ValueError: As `fit_linear`.
    """
    rows = train | select
    return fit_linear(columns[rows], target=target[rows]).predict(columns)
