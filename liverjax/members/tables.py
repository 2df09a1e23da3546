"""What a member leaves for judgement: its two prediction tables. No jax."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from jaxtyping import Int

from liverjax.cohort import files
from liverjax.cohort.schema import TRAIN
from liverjax.members.run_folder import Examinations
from liverjax.tasks.question import Outcome, Task, average_rows

SLICES, PREDICTIONS = "predictions_slices.csv", "predictions.csv"  # in its folder


def write_tables(
    folder: pathlib.Path,
    *,
    task: Task,
    fold: int,
    examinations: Examinations,
    chosen: Int[np.ndarray, " e"],
    record: Int[np.ndarray, " n"],
    whose: Int[np.ndarray, " n"],
    outcome: Outcome,
) -> None:
    """Writes ``predictions_slices.csv`` and ``predictions.csv``.

    Args:
        folder: The member's.
        task: Names the classes and gives an examination's.
        fold: The member's; stands in the rows of the set ``train``.
        examinations: Of the cohort.
        chosen: Places of the predicted ones.
        record: First record of each predicted row.
        whose: Place in ``chosen`` of each predicted row.
        outcome: Of each predicted row.
    """
    names = [
        {
            "subject": examinations.subject[place],
            "visit": examinations.visit[place],
            "set": examinations.set[place],
        }
        for place in chosen
    ]
    probs = [] if outcome.probs is None else [f"prob_{name}" for name in task.classes]
    slices = [
        names[whose[i]] | {"record": int(record[i])} | values
        for i, values in enumerate(_values(outcome, probs=probs))
    ]
    averaged = average_rows(outcome, group=whose, num_groups=len(chosen))
    classes = task.classify(averaged)
    rows = [
        names[i]
        | values
        | {
            "site": examinations.site[place],
            "fold": fold if examinations.set[place] == TRAIN else None,
            "target": _number(float(examinations.truth[place])),
            "class": task.classes[int(classes[i])],
        }
        for i, (place, values) in enumerate(
            zip(chosen, _values(averaged, probs=probs), strict=True)
        )
    ]
    files.write_csv(
        folder / SLICES,
        slices,
        columns=["record", "subject", "visit", "set", "score", *probs],
    )
    key = ["subject", "visit", "set", "site", "fold", "target"]
    files.write_csv(
        folder / PREDICTIONS, rows, columns=[*key, "score", *probs, "class"]
    )


def _values(outcome: Outcome, *, probs: list[str]) -> list[dict[str, float]]:
    """Returns score and probabilities of each row by column."""
    columns = {"score": np.asarray(outcome.score, float)}
    if probs:
        columns |= dict(zip(probs, np.asarray(outcome.probs, float).T, strict=True))
    return [
        {name: float(column[i]) for name, column in columns.items()}
        for i in range(len(columns["score"]))
    ]


def _number(truth: float) -> Any:
    """Returns a truth as people write it: whole numbers without a point."""
    return int(truth) if truth.is_integer() else truth
