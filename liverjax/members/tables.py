"""What a member leaves for judgement: its two prediction tables. No jax."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from liverjax.cohort import files
from liverjax.cohort.schema import TRAIN
from liverjax.members.member import Member
from liverjax.members.run_folder import Examinations
from liverjax.tasks.question import Outcome, Task, average_rows

SLICES, PREDICTIONS = "predictions_slices.csv", "predictions.csv"  # in its folder


@dataclasses.dataclass(frozen=True)
class Tables:
    """A member's predictions, as rows of its two tables.

    Attributes:
        slices: Of each predicted row.
        examinations: Of each examination.
        probs: Columns of probabilities.
    """

    slices: list[dict[str, Any]]
    examinations: list[dict[str, Any]]
    probs: list[str]


def make_tables(
    outcome: Outcome,
    *,
    task: Task,
    fold: int,
    examinations: Examinations,
    chosen: Int[np.ndarray, " e"],
    record: Int[np.ndarray, " n"],
    whose: Int[np.ndarray, " n"],
) -> Tables:
    """Returns what a member leaves of the examinations it has predicted.

    Args:
        outcome: Of each predicted row.
        task: Names the classes and gives an examination's.
        fold: The member's; stands in the rows of the set ``train``.
        examinations: Of the cohort.
        chosen: Places of the predicted ones.
        record: First record of each predicted row.
        whose: Place in ``chosen`` of each predicted row.
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
    return Tables(slices=slices, examinations=rows, probs=probs)


def write_tables(folder: pathlib.Path, made: Tables) -> None:
    """Writes ``predictions_slices.csv`` and ``predictions.csv`` of one member."""
    files.write_csv(
        folder / SLICES,
        made.slices,
        columns=["record", "subject", "visit", "set", "score", *made.probs],
    )
    key = ["subject", "visit", "set", "site", "fold", "target"]
    files.write_csv(
        folder / PREDICTIONS,
        made.examinations,
        columns=[*key, "score", *made.probs, "class"],
    )


def write_bundle_tables(
    folder: pathlib.Path, made: Sequence[tuple[Member, Tables]]
) -> None:
    """Writes the same tables of several members, with fold, seed and trial."""
    probs = made[0][1].probs if made else []
    keys = [field.name for field in dataclasses.fields(Member)]
    for name, columns, rows in (
        (SLICES, ["record", "subject", "visit", "set"], "slices"),
        (PREDICTIONS, ["subject", "visit", "set", "site", "target"], "examinations"),
    ):
        last = [] if name == SLICES else ["class"]
        files.write_csv(
            folder / name,
            [
                row | dataclasses.asdict(member)
                for member, tables in made
                for row in vars(tables)[rows]
            ],
            columns=[*keys, *columns, "score", *probs, *last],
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
