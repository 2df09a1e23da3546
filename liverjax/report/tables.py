"""Tables of predictions: read from anyone, checked whole, written in one form."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort.files import sha256_file, write_csv
from liverjax.cohort.table_text import Dialect, Table, number, read_table
from liverjax.errors import InputError, raise_all
from liverjax.report.predictions import Predictions
from liverjax.report.slices import from_slices
from liverjax.report.table_checks import (
    COLUMNS,
    LAST_COLUMNS,
    TableChecks,
    with_point,
)
from liverjax.report.words import counted
from liverjax.tasks.question import Question

VISITS = ("first", "closest", "all")
SLICES = ("mean", "clustered", "independent")


def read_predictions(
    path: pathlib.Path,
    *,
    task: Question,
    visits: str | None = None,
    slices: str | None = None,
    dialect: Dialect | None = None,
) -> Predictions:
    """Returns a table of predictions, whoever wrote it.

    ``subject``, ``target`` and one of ``score``, ``prob_<class>`` for all classes, and
    ``class`` are enough. Without ``score`` rows are ranked by the expected class index,
    or by the class itself; without ``class`` it is the task's cut-offs on the score, or
    the likeliest class. Absent ``visit`` is 1, absent ``set`` is ``test``. A column
    ``score_scale`` says ``rank`` of scores that only rank, ``target`` of those in the
    target's unit; without it their range tells.

    Args:
        path: A CSV file.
        task: The clinical question; its classes and the range of its target are
            checked.
        visits: Which examinations of a subject are kept (`choose_visits`); None keeps
            all.
        slices: How rows of slices are judged (`from_slices`);
            None refuses a table with several rows of one (subject, visit).
        dialect: How the file is written, if not with comma, point and UTF-8.

    Raises:
        InputError: For everything that is wrong with the table, at once.
    """
    if visits is not None and visits not in VISITS:
        raise InputError(f"--visits={visits!r}: expected one of {', '.join(VISITS)}")
    if slices is not None and slices not in SLICES:
        raise InputError(f"--slices={slices!r}: expected one of {', '.join(SLICES)}")
    dialect = dialect or Dialect()
    table = read_table(path, dialect=dialect)
    checks = TableChecks(
        table, task=task, decimal=dialect.decimal, slices=slices is not None
    )
    columns = checks.columns()
    raise_all(checks.problems, title=str(path))
    predictions = Predictions(
        name=path.stem, file=path.name, sha256=sha256_file(path), **columns
    )
    if visits:  # before slices take the place of visits
        predictions = choose_visits(predictions, rule=visits)
    return from_slices(predictions, rule=slices, task=task) if slices else predictions


def write_predictions(
    path: pathlib.Path, rows: Sequence[Mapping[str, Any]], *, task: Question
) -> None:
    """Writes rows as a table that `read_predictions` takes, atomically.

    Columns are ``subject, visit, set, site, fold, target, score, prob_<class>...,
    class, members``, then whatever else the rows hold, in the order it first appears.

    Args:
        path: The file.
        rows: One an examination (or a slice, or an examination and member). ``target``
            may be NaN or absent, ``fold`` None; ``class`` is a name of the task.
        task: The clinical question.

    Raises:
        ValueError: If a row lacks ``subject`` or ``score``, its score or a probability
            is not finite, or its class is not one of the task's.
    """
    probabilities = [f"prob_{name}" for name in task.classes]
    for row in rows:
        who = f"subject {row.get('subject')!r}, visit {row.get('visit', 1)}"
        if not row.get("subject"):
            raise ValueError("a row of predictions has no subject")
        for name in ("score", *(p for p in probabilities if p in row)):
            if not math.isfinite(row.get(name, math.nan)):
                raise ValueError(f"{who}: {name}={row.get(name)} is not finite")
        if "class" in row and row["class"] not in task.classes:
            raise ValueError(f"{who}: class {row['class']!r} is not in {task.classes}")
    present = {name for row in rows for name in row}
    ordered = [*COLUMNS, *(p for p in probabilities if p in present), *LAST_COLUMNS]
    ordered += [
        n for n in dict.fromkeys(n for r in rows for n in r) if n not in ordered
    ]
    write_csv(path, (_whole_numbers(row) for row in rows), columns=ordered)


def with_points(table: Table, *, dialect: Dialect) -> Iterator[dict[str, str]]:
    """Yields a table's rows with the decimal point in numbers; all else as it stands.

    Names (subject, set, site, fold, class) are no numbers, whatever they look like.
    """
    names = {"subject", "set", "site", "fold", "class"}
    for row in table.rows:
        yield {
            name: (name not in names and with_point(cell, decimal=dialect.decimal))
            or cell
            for name, cell in row.cells.items()
        }


def choose_visits(predictions: Predictions, *, rule: str) -> Predictions:
    """Returns the table with the examinations of a subject that a rule keeps.

    Args:
        predictions: Any number of examinations a subject, or of slices of them.
        rule: ``first`` (lowest visit), ``closest`` (to ``reference_day``, by
            ``exam_day``; ties: the lower visit) or ``all``.

    Raises:
        InputError: If the rule's columns are missing or hold anything but days.
    """
    keys = predictions.examinations()
    several = len(set(keys)) - len(np.unique(predictions.subject))
    if rule == "all" or not several:
        return predictions
    rank = predictions.visit.astype(float)
    if rule == "closest":
        rank = _days_apart(predictions)
    order = np.lexsort((predictions.visit, rank, predictions.subject))
    first = np.unique(predictions.subject[order], return_index=True)[1]
    chosen = {keys[row] for row in order[first]}
    kept = np.array([row for row, key in enumerate(keys) if key in chosen], int)
    note = (
        f"Left out (--visits {rule}): {counted(several, 'further examination')} of the "
        "same subjects."
    )
    others = predictions.take(np.delete(np.arange(len(predictions)), kept))
    return dataclasses.replace(
        predictions.take(kept),
        notes=(*predictions.notes, note),
        left_out=tuple(dict.fromkeys(others.examinations())),
    )


def matching_rows(
    predictions: Predictions, other: Predictions
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row numbers, in both tables, of rows that both have.

    Examinations are joined on (subject, visit), slices on the column ``slice`` too.

    Raises:
        InputError: If rows are slices without a number of their own.
    """
    place = {key: row for row, key in enumerate(row_keys(other))}
    pairs = [
        (row, place[key])
        for row, key in enumerate(row_keys(predictions))
        if key in place
    ]
    own, others = np.array(pairs, int).reshape(-1, 2).T
    return own, others


def row_keys(rows: Predictions) -> Sequence[tuple[str | int, ...]]:
    """Returns what tells each row from all others, here and in another table.

    (subject, visit), and the column ``slice`` of rows that are slices.

    Raises:
        InputError: If slices have no number of their own.
    """
    if rows.slice_of is None:
        return rows.examinations()
    cells = rows.extra.get("slice")
    if cells is None or "" in cells:
        raise InputError(
            f"{rows.file}: slices of two tables are paired by a column slice (its "
            "number or name in the examination), which "
            + ("is missing" if cells is None else "has an empty cell")
            + "; give it to every table, or average the slices (--slices mean)"
        )
    keys = [(*key, str(c)) for key, c in zip(rows.examined(), cells, strict=True)]
    if len(set(keys)) < len(keys):
        subject, visit, cell = next(key for key in keys if keys.count(key) > 1)
        raise InputError(
            f"{rows.file}: slice {cell!r} of subject {subject!r}, visit {visit}, "
            "stands twice; slices of two tables are paired by it"
        )
    return keys


def examination_name(subject: str, visit: int | str) -> str:
    """Returns ``P07``, or ``P07 (visit 2)`` for any visit but the first."""
    return subject if str(visit) in ("", "1") else f"{subject} (visit {visit})"


def _days_apart(predictions: Predictions) -> np.ndarray:
    days = {}
    for name in ("exam_day", "reference_day"):
        if name not in predictions.extra:
            raise InputError(
                f"{predictions.file}: --visits closest needs the column {name} (days "
                "from one index day of the subject)"
            )
        try:
            days[name] = np.array([number(cell) for cell in predictions.extra[name]])
        except InputError as error:
            raise InputError(f"{predictions.file}: {name}: {error}") from None
    apart = np.abs(days["exam_day"] - days["reference_day"])
    return np.where(np.isnan(apart), np.inf, apart)


def _whole_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """A target of 7.0 points is written 7."""
    target = row.get("target")
    if isinstance(target, float) and target.is_integer():
        return {**row, "target": int(target)}
    return dict(row)
