"""From members' tables to the run's: one order of ensembling, one place."""

from __future__ import annotations

import dataclasses
import pathlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from liverjax.cohort import files
from liverjax.cohort.schema import TRAIN
from liverjax.errors import InputError
from liverjax.members import Member, folder_of
from liverjax.members.trials import HEADS
from liverjax.report import tables
from liverjax.tasks.question import Outcome, Task

MEMBER_KEYS = ("fold", "seed", "trial")
_EXAMINATION = ("subject", "visit", "set", "site")


def write_predictions(
    folder: pathlib.Path, members: Sequence[Member], *, trial: int, task: Task
) -> None:
    """Merges the members' tables into the run's three prediction tables.

    Args:
        folder: Of the run.
        members: All of the study.
        trial: The one that supplies ``predictions.csv``; all stand in the others, but
            of a bundle of heads that one alone.
        task: Gives the class.

    Raises:
        InputError: If no member has a usable state.
    """
    by_member = _of_members(folder, members, name="predictions.csv")
    by_slice = _of_members(folder, members, name="predictions_slices.csv")
    if not by_member:
        raise InputError(
            f"{folder}: every member became non-finite before its first selection; "
            "lower train.learning_rate (members/*/done.json name epoch and step)"
        )
    chosen = [row for row in by_member if row["trial"] == str(trial)]
    probs = [name for name in by_member[0] if name.startswith("prob_")]
    examination = ["subject", "visit", "set", "site", *MEMBER_KEYS, "target"]
    files.write_csv(
        folder / "predictions_members.csv",
        by_member,
        columns=[*examination, "score", *probs, "class"],
    )
    record = [*MEMBER_KEYS, "record", "subject", "visit", "set"]
    files.write_csv(
        folder / "predictions_slices.csv",
        by_slice,
        columns=[*record, "score", *probs],
    )
    tables.write_predictions(
        folder / "predictions.csv", average_members(chosen, task=task), task=task
    )


def _of_members(
    folder: pathlib.Path, members: Sequence[Member], *, name: str
) -> list[files.Row]:
    """Returns one table of every member, or of the heads that were trained together."""
    if (folder / HEADS).exists():
        return files.read_csv(folder / HEADS / name)[1]
    folders = [folder_of(folder, member) for member in members]
    keys = [dataclasses.asdict(member) for member in members]
    return concatenate(folders, name=name, keys=keys)


def concatenate(
    folders: Sequence[pathlib.Path], *, name: str, keys: Sequence[dict[str, int]]
) -> list[files.Row]:
    """Returns one table of every member, each row with its fold, seed and trial.

    Args:
        folders: Of the members that have the table; others are passed over.
        name: The table's file name.
        keys: Fold, seed and trial of each folder.
    """
    rows = []
    for folder, key in zip(folders, keys, strict=True):
        if (folder / name).exists():
            _, table = files.read_csv(folder / name)
            member = {k: str(v) for k, v in key.items()}
            rows += [row | member for row in table]
    return rows


def average_members(
    rows: Sequence[files.Row], *, task: Task
) -> list[dict[str, object]]:
    """Returns a row an examination: the mean of its members, then the class.

    A ``train`` row averages the seeds of the one fold that held it out, a row of
    another set every fold and seed.

    Args:
        rows: Of ``predictions_members.csv``: examinations by member.
        task: Gives the class.
    """
    groups: dict[tuple[str, ...], list[files.Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in _EXAMINATION)].append(row)
    merged = []
    for examination, members in groups.items():
        row: dict[str, object] = dict(zip(_EXAMINATION, examination, strict=True))
        row["fold"] = members[0]["fold"] if row["set"] == TRAIN else ""
        row["target"] = members[0]["target"]
        outcome = _mean(members, task=task)
        row["score"] = float(outcome.score[0])
        if outcome.probs is not None:
            shares = zip(task.classes, outcome.probs[0], strict=True)
            row |= {f"prob_{name}": float(share) for name, share in shares}
        row["class"] = task.classes[int(task.classify(outcome)[0])]
        row["members"] = len(members)
        merged.append(row)
    return sorted(merged, key=_order)


def _mean(members: Sequence[files.Row], *, task: Task) -> Outcome:
    score = np.mean([float(row["score"]) for row in members], keepdims=True)
    columns = [f"prob_{name}" for name in task.classes]
    if columns[0] not in members[0]:
        return Outcome(score)
    probs = [[float(row[column]) for column in columns] for row in members]
    return Outcome(score, np.mean(probs, axis=0, keepdims=True))


def _order(row: dict[str, object]) -> tuple[bool, str, str, int]:
    """Sorts ``train`` first, then by set, subject and visit."""
    visit = int(str(row["visit"]))
    return row["set"] != TRAIN, str(row["set"]), str(row["subject"]), visit
