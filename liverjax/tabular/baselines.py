"""Simple baselines on table columns, through the network's own folds.

A network that reads a liver must beat what two volumes, a blood count, or ascites alone
already say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Bool, Float

from liverjax.tabular import units
from liverjax.tabular.scores import SCORES

# A baseline by name: the columns, or scores of `SCORES`, that it reads. It is made when
# the table has them all.
BASELINES: dict[str, tuple[str, ...]] = {
    "liver volume": ("liver_volume_ml",),
    "liver and spleen volumes": ("liver_volume_ml", "spleen_volume_ml"),
    "ascites alone": ("ascites_points",),
    "platelets": ("platelets_10e9_per_l",),
    "FIB-4": ("fib4",),
    "APRI": ("apri",),
    "ALBI": ("albi",),
}
# Of a label's items what an image shows too: "ascites alone" asks whether the network
# saw more than that. The others would predict the label from itself.
SEEN_IN_IMAGES = frozenset({"ascites_points"})


def needed_columns(name: str) -> tuple[str, ...]:
    """Returns the columns of a table that a baseline is made of."""
    return tuple(
        column
        for read in BASELINES[name]
        for column in (SCORES[read].columns if read in SCORES else (read,))
    )


def used_columns(name: str) -> tuple[str, ...]:
    """Returns `needed_columns`, and those that are used where the table has them."""
    optional = [
        c for read in BASELINES[name] if read in SCORES for c in SCORES[read].optional
    ]
    return (*needed_columns(name), *optional)


def circular_columns(
    columns: Collection[str], *, label_items: Collection[str]
) -> list[str]:
    """Returns what a model's columns share with its label, but for what images show.

    Args:
        columns: That the model reads.
        label_items: Columns that a task's label is made of.
    """
    shared = [column for column in columns if column in label_items]
    return [column for column in shared if column not in SEEN_IN_IMAGES]


def read_columns(
    name: str, *, table: Mapping[str, Float[np.ndarray, "n"]]
) -> Float[np.ndarray, "n k"]:
    """Returns what a baseline reads, its scores computed; NaN where one is missing.

    Args:
        name: Of `BASELINES`.
        table: Columns by name, of `used_columns`.

    Raises:
        ImplausibleValueError: If a column is in another unit than its name says.
    """
    return np.stack([_read(column, table=table) for column in BASELINES[name]], axis=1)


def _read(
    name: str, *, table: Mapping[str, Float[np.ndarray, "n"]]
) -> Float[np.ndarray, "n"]:
    if name in SCORES:
        score = SCORES[name]
        given = (*score.columns, *(c for c in score.optional if c in table))
        return score.compute(**{column: table[column] for column in given})
    return units.checked(table[name], name=name) if name in units.KNOWN else table[name]


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
