"""A stranger's table: which question it holds, and the simple baselines beside it."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Collection, Sequence

import numpy as np

from liverjax import tasks
from liverjax.cohort.files import read_json
from liverjax.cohort.table_text import (
    Dialect,
    is_missing_word,
    near_names,
    number,
    read_table,
)
from liverjax.errors import InputError
from liverjax.report.score_scale import RANK, SCALE
from liverjax.report.tables import Predictions
from liverjax.report.words import counted
from liverjax.tabular.baselines import circular_columns
from liverjax.tabular.scores import SCORES
from liverjax.tabular.units import ImplausibleValueError
from liverjax.tasks.question import Question

BASELINE = "baseline_"
_FIBROSIS = ("F0", "F1", "F2", "F3", "F4")


def question_of_table(
    path: pathlib.Path,
    *,
    name: str,
    classes: Sequence[str] | None = None,
    cutoff: str | None = None,
    dialect: Dialect | None = None,
) -> Question:
    """Returns the named question with the classes that a table has.

    Classes are those given; else those of its ``prob_`` columns in their order; else
    the whole numbers of its targets.

    Args:
        path: The table.
        name: A key of `liverjax.tasks.TASKS` or `liverjax.tasks.GENERIC`.
        classes: Names, the negative or mildest first.
        cutoff: Of two classes: from where a score is positive, or ``youden:SET``.
        dialect: How the table is written.

    Raises:
        InputError: If the table does not say what its classes are.
    """
    if name not in ("binary", "stages"):
        if classes or cutoff is not None:
            raise InputError(f"--classes and --cutoff do not belong to --task {name}")
        return tasks.make_question(name)
    if name == "stages" and cutoff is not None:
        raise InputError("--cutoff belongs to --task binary")
    found = tuple(classes or _classes(path, name=name, dialect=dialect))
    options = _cutoff(cutoff) if cutoff is not None else {}
    return tasks.make_question(name, classes=found, **options)


def question_of_folder(folder: pathlib.Path, *, name: str | None) -> Question:
    """Returns the question a folder was judged by, with its options.

    Args:
        folder: With ``config.json`` of a run, or ``metrics.json`` of a judged table.
        name: What the command line names; None is the folder's own.

    Raises:
        InputError: If neither says which.
    """
    config, metrics = folder / "config.json", folder / "metrics.json"
    options: dict = {}
    if config.exists():
        options = dict(read_json(config).get("task") or {})
    elif metrics.exists():
        judged = read_json(metrics)
        options = {"name": judged.get("task"), **(judged.get("options") or {})}
    own = options.pop("name", None)
    if own is not None and name in (None, own):
        if "classes" in options:
            options["classes"] = tuple(options["classes"])
        return tasks.make_question(own, **options)
    if name is None:
        known = ", ".join(sorted({*tasks.TASKS, *tasks.GENERIC}))
        raise InputError(f"--task is missing: one of {known}")
    return tasks.make_question(name)


def baseline_rows(
    predictions: Predictions, *, column: str, label_items: Collection[str] = ()
) -> list[dict[str, object]]:
    """Returns a column as the answers of another model, for `write_predictions`.

    The rows say that their scores only rank: a column may happen to lie where
    probabilities, stages or points do. Rows with an empty cell are left out: the
    comparison is on whole rows.

    Args:
        predictions: The table.
        column: Name of a column of numbers, with a minus sign before it where lower
            values are sicker; or one of `liverjax.tabular.scores.SCORES`, computed from
            its columns.
        label_items: Columns that the truth is made of.

    Raises:
        InputError: If a column is missing, is part of the truth, holds anything but
            numbers, or is in another unit than its name says.
    """
    name, sign = column.removeprefix("-"), -1.0 if column.startswith("-") else 1.0
    if name in predictions.extra:
        values, read = _column(predictions, name), (name,)
    elif name in SCORES:
        values, read = _score(predictions, name), SCORES[name].columns
    else:
        known = ", ".join(predictions.extra) or "no further column"
        near = near_names(name, (*predictions.extra, *SCORES))
        raise InputError(
            f"--baselines {column}: {predictions.file} has no column {name!r}{near}; "
            f"it has {known}; scores that are computed: {', '.join(SCORES)}"
        )
    circular = circular_columns(read, label_items=label_items)
    if circular:
        raise InputError(
            f"--baselines {column}: the truth itself is made of {', '.join(circular)}, "
            "so that it would predict itself"
        )
    if not np.isfinite(values).any():
        raise InputError(
            f"--baselines {column}: no row of {predictions.file} has a value"
        )
    # What the folder needs beside the score: how follow-ups ended, and which slice.
    more = {
        n: predictions.extra[n] for n in ("event", "slice") if n in predictions.extra
    }
    return [
        {
            "subject": subject,
            "visit": visit,
            "score": sign * float(values[i]),
            "target": "",
            SCALE: RANK,
        }
        | {name: str(cells[i]) for name, cells in more.items()}
        for i, (subject, visit) in enumerate(predictions.examined())
        if np.isfinite(values[i])
    ]


def _cutoff(text: str) -> dict[str, float | str]:
    rule, colon, name = text.partition(":")
    if colon and rule == "youden" and name:
        return {"cutoff_from": name}
    try:
        return {"cutoff": number(text)}
    except InputError:
        raise InputError(
            f"--cutoff {text}: expected a number, or youden:SET with the set that "
            "chooses it, such as youden:train"
        ) from None


def _column(predictions: Predictions, name: str) -> np.ndarray:
    try:
        return np.array([number(cell) for cell in predictions.extra[name]])
    except InputError as error:
        raise InputError(f"--baselines {name}: {error}") from None


def _score(predictions: Predictions, name: str) -> np.ndarray:
    """A clinical score from the columns it needs."""
    score = SCORES[name]
    lacking = [column for column in score.columns if column not in predictions.extra]
    if lacking:
        raise InputError(
            f"--baselines {name}: needs the columns {', '.join(score.columns)}; "
            f"{predictions.file} lacks {', '.join(lacking)}"
        )
    used = [*score.columns, *(c for c in score.optional if c in predictions.extra)]
    columns = {column: _column(predictions, column) for column in used}
    try:
        return np.asarray(score.compute(**columns), float)
    except ImplausibleValueError as error:
        raise InputError(f"--baselines {name}: {error}") from None


def _classes(
    path: pathlib.Path, *, name: str, dialect: Dialect | None
) -> Sequence[str]:
    table = read_table(path, dialect=dialect)
    named = [c.removeprefix("prob_") for c in table.columns if c.startswith("prob_")]
    if name == "binary" and len(named) == 1:
        return ("0", "1") if named == ["1"] else (f"no {named[0]}", named[0])
    if named:
        if name == "binary" and len(named) > 2:
            raise InputError(
                f"{path}: --task binary has two classes, and there are {len(named)} "
                f"prob_ columns ({', '.join(named)}): choose --task stages, or keep "
                "the probability of the positive class alone"
            )
        return named
    if "target" not in table.columns:
        return ("0", "1") if name == "binary" else ("0", "1", "2")  # told with the rest
    cells = {row.cells["target"] for row in table.rows} - {""}
    missing = {cell for cell in cells if is_missing_word(cell)}
    values = _whole_numbers(cells - missing)
    if values is None:
        missing = {cell for cell in missing if cell.lower() != "none"}  # a usual class
    if missing:
        raise InputError(
            f"{path}: targets hold {_some(missing)}: where the truth is unknown leave "
            "the cell empty (predicted, not judged); if it is a class, name the "
            "classes with --classes"
        )
    if values is None:
        raise InputError(
            f"{path}: targets are {_some(cells)}: {_how_to_name(cells, name=name)}"
        )
    if name == "binary":
        if set(values) <= {0, 1}:
            return ("0", "1")
        if len(values) != 2:
            raise InputError(
                f"{path}: --task binary has two classes, and the targets have "
                f"{counted(len(values), 'value')} ({_some(cells)}): write 0 and 1, or "
                "choose --task stages or number"
            )
        return [str(v) for v in values]
    low, high = min(values, default=0), max(values, default=0)
    if high - low < 2:
        raise InputError(
            f"{path}: targets are {_some(cells)}: three or more stages are expected; "
            "name them all with --classes, or choose --task binary"
        )
    return [str(v) for v in range(low, high + 1)]


def _whole_numbers(cells: set[str]) -> list[int] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    if not all(value.is_integer() for value in values):
        return None
    return sorted({int(value) for value in values})


def _how_to_name(cells: set[str], *, name: str) -> str:
    """The option that names the table's own classes, ready to be copied."""
    if any("," in cell for cell in cells):
        return "a class must not have a comma in its name; rename it in the table"
    number, names = counted(len(cells), "name"), sorted(cells)
    if name == "binary" and len(cells) != 2:
        return (
            f"--task binary expects two names, and there are {number}; write 0 and 1, "
            "or choose --task stages"
        )
    order = "the negative or mildest first"
    if name == "binary":
        one, two = (_option(pair) for pair in (names, names[::-1]))
        return f"name the classes in order, {order}: {one} or {two}"
    if cells <= set(_FIBROSIS):
        return f"name the classes in order, {order}: {_option(_FIBROSIS)}"
    if len(cells) < 3:
        return (
            f"three or more stages are expected, and there are {number}; name all in "
            f"order with --classes, {order}, also those that do not occur, or choose "
            "--task binary"
        )
    return (
        f"name the classes in order, {order} (here they stand by the alphabet): "
        f"{_option(names)}"
    )


def _option(names: Sequence[str]) -> str:
    return f"--classes {shlex.quote(','.join(names))}"


def _some(cells: set[str]) -> str:
    shown = sorted(cells)[:6]
    return ", ".join(map(repr, shown)) + (", ..." if len(cells) > 6 else "")
