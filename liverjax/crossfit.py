"""Models fitted in a run's own folds: who teaches them, and the table they write."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from liverjax.cohort import files, splits
from liverjax.cohort.schema import TRAIN
from liverjax.report.tables import write_predictions
from liverjax.tasks.question import Outcome, Task


@dataclasses.dataclass(frozen=True)
class FoldRows:
    """What each fold may do with the rows of a table.

    Attributes:
        train: Rows that fit its models.
        select: Rows that choose among them, and then fit them too. No row that the fold
            holds out is in either, whatever the splits say: where ``select`` is
            ``held_out``, nobody is left to choose on.
        fold: The fold that holds a row out; -1 for none.
        judged: Rows that are predicted: those held out, and other sets.
    """

    train: Bool[np.ndarray, "folds n"]
    select: Bool[np.ndarray, "folds n"]
    fold: Int[np.ndarray, "n"]
    judged: Bool[np.ndarray, "n"]

    @property
    def used(self) -> Bool[np.ndarray, "n"]:
        """Rows that teach a model or are predicted by one."""
        return self.judged | (self.train | self.select).any(axis=0)

    def take(self, kept: Bool[np.ndarray, "n"]) -> FoldRows:
        """Returns the same of some of the rows."""
        return FoldRows(
            self.train[:, kept],
            self.select[:, kept],
            self.fold[kept],
            self.judged[kept],
        )


def fold_rows(rows: Sequence[files.Row], *, folds: Sequence[splits.Fold]) -> FoldRows:
    """Returns who teaches and who is predicted.

    Args:
        rows: Of ``examinations.csv``.
        folds: Of the run; their subjects are those of the set ``train``.
    """
    own = [row["subject"] if row["set"] == TRAIN else "" for row in rows]
    train, select, held_out = (
        np.array([[name in group for name in own] for group in groups])
        for groups in (
            [set(fold.train) for fold in folds],
            [set(fold.select) for fold in folds],
            [set(fold.held_out) for fold in folds],
        )
    )
    fold = np.where(held_out.any(axis=0), held_out.argmax(axis=0), -1)
    others = np.array([row["set"] != TRAIN for row in rows])
    return FoldRows(train & ~held_out, select & ~held_out, fold, others | (fold >= 0))


def cross_predict(
    predict: Callable[..., np.ndarray], *, groups: FoldRows
) -> Float[np.ndarray, "n ..."]:
    """Returns each row's prediction by models that never saw its subject.

    A row that a fold holds out has that fold's prediction, any other the mean of all.

    Args:
        predict: Fits on the rows of its masks ``train`` and ``select``, each ``(n,)``,
            and returns the prediction of every row.
        groups: Of the rows.
    """
    every = np.stack(
        [
            predict(train=train, select=select)
            for train, select in zip(groups.train, groups.select, strict=True)
        ]
    )
    own = every[np.maximum(groups.fold, 0), np.arange(len(groups.fold))]
    held_out = groups.fold.reshape(-1, *[1] * (own.ndim - 1)) >= 0
    return np.where(held_out, own, every.mean(axis=0))


def write_model(
    path: pathlib.Path,
    *,
    rows: Sequence[files.Row],
    groups: FoldRows,
    task: Task,
    outcome: Outcome,
    classes: Int[np.ndarray, "n"],
) -> None:
    """Writes a model's table in the form of ``predictions.csv``.

    Rows that are not judged, or have no score, are left out.

    Args:
        path: ``models/<name>.csv`` of the run folder.
        rows: Of ``examinations.csv``.
        groups: Of these rows.
        task: The clinical question.
        outcome: Of each row.
        classes: Index of each row's class.
    """
    table = []
    for i in np.flatnonzero(groups.judged & np.isfinite(outcome.score)):
        row, fold = rows[i], groups.fold[i]
        made = {key: row[key] for key in ("subject", "visit", "set", "site")}
        made |= {"fold": str(fold) if fold >= 0 else ""}
        made |= {"target": task.parse(row[task.target_column])}
        made |= {"score": float(outcome.score[i])}
        if outcome.probs is not None:
            shares = zip(task.classes, outcome.probs[i].tolist(), strict=True)
            made |= {f"prob_{name}": share for name, share in shares}
        made |= {"class": task.classes[int(classes[i])]}
        made |= {"members": 1 if fold >= 0 else len(groups.train)}
        table.append(made)
    write_predictions(path, table, task=task)
