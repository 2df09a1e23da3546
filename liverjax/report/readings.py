"""What several readers said, with and without the model: ``readings.csv`` judged."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.cohort.files import write_csv
from liverjax.cohort.schema import TRAIN
from liverjax.cohort.table_text import (
    Dialect,
    TableRow,
    group_lines,
    near_names,
    number,
    read_table,
)
from liverjax.errors import InputError, raise_all
from liverjax.report.tables import Predictions
from liverjax.stats import agreement, readers, roc, roc_tests
from liverjax.stats.estimate import Estimate
from liverjax.tasks.kinds import BINARY, kind_of
from liverjax.tasks.question import Question

READINGS = "readings.csv"
# Ways of reading by the cell of ``with_ai``.
WAYS = {"0": "without", "1": "with"}

Key = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Readings:
    """A checked table of readings.

    Attributes:
        file: Its name.
        score: By way of reading and reader: the score of each examination.
        call: The same of the called class's index; NaN where none was written.
    """

    file: str
    score: Mapping[tuple[str, str], Mapping[Key, float]]
    call: Mapping[tuple[str, str], Mapping[Key, float]]

    @property
    def ways(self) -> list[str]:
        """The ways that occur, without the model first."""
        there = {way for way, _ in self.score}
        return [way for way in WAYS.values() if way in there]

    @property
    def readers(self) -> list[str]:
        """Names of the readers."""
        return sorted({reader for _, reader in self.score})


def read_readings(
    path: pathlib.Path, *, task: Question, dialect: Dialect | None = None
) -> Readings:
    """Returns a table of readings: a row an examination, reader and way of reading.

    Columns: ``subject``, ``visit`` (absent: 1), ``reader``, ``with_ai`` (0 or 1;
    absent: 0), and ``score`` (higher is sicker) or ``class``, the reader's call. A
    reader who scores does so in every row of both ways: areas of scores and of calls
    alone are no pair. Scores that run against the same reader's calls are refused.

    Args:
        path: A CSV file.
        task: The clinical question, of two classes.
        dialect: How the file is written, if not with comma, point and UTF-8.

    Raises:
        InputError: For everything that is wrong with the table, at once.
    """
    if kind_of(task) != BINARY:
        raise InputError("--readings belongs to --task binary")
    dialect = dialect or Dialect()
    table = read_table(path, dialect=dialect)
    lacking = [name for name in ("subject", "reader") if name not in table.columns]
    problems = [
        f"the column {name!r} is missing{near_names(name, table.columns)}; columns "
        f"found: {', '.join(table.columns)}"
        for name in lacking
    ]
    if not {"score", "class"} & set(table.columns):
        problems.append("there is neither a column score nor a column class")
    raise_all(problems, title=str(path))
    scores: dict[tuple[str, str], dict[Key, float]] = {}
    calls: dict[tuple[str, str], dict[Key, float]] = {}
    lines: list[tuple[int, str, str]] = []
    scored: dict[str, dict[bool, str]] = {}
    for row in table.rows:
        try:
            place, key, score, call = _reading(row, task=task, dialect=dialect)
        except InputError as error:
            lines.append((row.line, "", str(error)))
            continue
        if key in scores.setdefault(place, {}):
            text = (
                f"reader {place[1]!r} has already read subject {key[0]!r}, visit "
                f"{key[1]}, {place[0]} the model"
            )
            lines.append((row.line, "", text))
        scores[place][key] = score
        calls.setdefault(place, {})[key] = call
        own = bool(row.cells.get("score", ""))
        where = f"line {row.line} ({place[0]} the model)"
        scored.setdefault(place[1], {}).setdefault(own, where)
    problems = group_lines(lines)
    problems += [
        f"reader {reader!r}: {where[True]} has a score, {where[False]} a class alone; "
        "one scale must rank all readings of a reader, without and with the model: "
        "write the score into every row, or into none"
        for reader, where in scored.items()
        if len(where) == 2
    ]
    problems += _turned_round(scores, calls, classes=task.classes)
    raise_all(problems, title=str(path))
    return Readings(path.name, scores, calls)


def _turned_round(
    scores: Mapping[tuple[str, str], Mapping[Key, float]],
    calls: Mapping[tuple[str, str], Mapping[Key, float]],
    *,
    classes: tuple[str, ...],
) -> list[str]:
    """A sentence for each reader whose scores fall where the calls rise."""
    problems = []
    for (way, reader), given in scores.items():
        call = calls[way, reader]
        low, high = (
            {key: given[key] for key in given if call[key] == index} for index in (0, 1)
        )
        if not low or not high:
            continue
        gap = np.subtract.outer(list(high.values()), list(low.values()))
        if np.sign(gap).sum() >= 0:
            continue
        above, below = max(low, key=low.__getitem__), min(high, key=high.__getitem__)
        problems.append(
            f"reader {reader!r}, {way} the model: readings called {classes[1]!r} have "
            f"lower scores than those called {classes[0]!r} (subject {below[0]!r} "
            f"{high[below]:g}, subject {above[0]!r} {low[above]:g}); a score is higher "
            f"where {classes[1]!r} is likelier, not where the reader is surer of the "
            "call: turn the scores round, or leave out the column class or score"
        )
    return problems


def write_readings(path: pathlib.Path, readings: Readings, *, task: Question) -> None:
    """Writes readings in the form that `read_readings` takes without a dialect."""
    cells = {way: cell for cell, way in WAYS.items()}
    rows = []
    for (way, reader), scores in readings.score.items():
        for (subject, visit), score in scores.items():
            call = readings.call[way, reader][subject, visit]
            name = "" if math.isnan(call) else task.classes[int(call)]
            rows.append((subject, visit, reader, cells[way], score, name))
    columns = ("subject", "visit", "reader", "with_ai", "score", "class")
    lines = (dict(zip(columns, row, strict=True)) for row in rows)
    write_csv(path, lines, columns=columns)


def judge_readings(
    readings: Readings, *, rows: Predictions, first: str
) -> dict[str, Any]:
    """Returns areas of each reader and the MRMC analysis, as ``metrics.json`` has them.

    Judged are the examinations of one set that every reader read in every way; the rest
    is counted. It is the headline's set, or where readers read none of it the first
    that they read, ``train`` last. Readers and cases are taken as random samples.

    Args:
        readings: What `read_readings` returned.
        rows: The judged table, for truth and the model's score.
        first: The headline's set.

    Raises:
        InputError: If no examination, or one class alone, was read by all.
    """
    if rows.slice_of is not None:
        raise InputError(
            f"{readings.file}: readers read examinations, and the rows of {rows.file} "
            "are slices; average them (--slices mean)"
        )
    rows = rows.take(np.isfinite(rows.target))
    counts = _read_by_set(readings, rows)
    order = sorted(counts, key=lambda name: (name != first, name == TRAIN))
    name_of_set = next((name for name in order if counts[name]), first)
    rows = rows.take(rows.set == name_of_set)
    keys = rows.examinations()
    names, ways = readings.readers, readings.ways
    places = [(way, reader) for way in ways for reader in names]
    read = [readings.score.get(place, {}) for place in places]
    whole = np.array([all(key in one for one in read) for key in keys], bool)
    chosen = rows.take(whole)
    positive = chosen.target == 1
    if positive.all() or not positive.any():
        raise InputError(
            f"{readings.file}: {whole.sum()} of {len(keys)} judged examinations of "
            f"{name_of_set} were read by every reader in every way ({len(names)} "
            f"readers, {' and '.join(ways)} the model), {positive.sum()} of them "
            "positive; both classes are needed"
        )
    kept = chosen.examinations()
    score = np.array([[one[key] for key in kept] for one in read])
    grid = score.reshape(len(ways), len(names), -1)
    several = len(set(chosen.subject.tolist())) < len(chosen)
    subject = chosen.subject if several else None
    found: dict[str, Any] = {
        "file": readings.file,
        "set": name_of_set,
        "other_sets": {n: c for n, c in counts.items() if c and n != name_of_set},
        "examinations": len(kept),
        "left_out": int(len(keys) - whole.sum()),
        "ways": ways,
        "model": roc.auc(chosen.score, positive=positive, subject=subject).as_metric(),
        "readers": {
            name: _reader(grid[:, i], ways, positive=positive, subject=subject)
            for i, name in enumerate(names)
        },
        "agreement": _agreement(readings, places, kept),
        "calls_against_score": _calls_against_score(readings, places, kept),
    }
    return found | _together(grid, ways, positive=positive, subject=subject)


def _read_by_set(readings: Readings, rows: Predictions) -> dict[str, int]:
    """How many examinations of each set some reader read."""
    read = {key for scores in readings.score.values() for key in scores}
    counts = dict.fromkeys(rows.set.tolist(), 0)
    for key, name in zip(rows.examinations(), rows.set.tolist(), strict=True):
        counts[name] += key in read
    return counts


def _reader(
    score: np.ndarray,
    ways: list[str],
    *,
    positive: np.ndarray,
    subject: np.ndarray | None,
) -> dict[str, Any]:
    found = {
        way: roc.auc(one, positive=positive, subject=subject).as_metric()
        for way, one in zip(ways, score, strict=True)
    }
    if len(ways) == 2:
        difference = roc_tests.compare_paired(
            score[1], other=score[0], positive=positive, subject=subject
        )
        found["difference"] = difference.as_metric()
    return found


def _together(
    grid: np.ndarray,
    ways: list[str],
    *,
    positive: np.ndarray,
    subject: np.ndarray | None,
) -> dict[str, Any]:
    """Means over readers; for one reader the cases alone are a sample."""
    population = "readers and cases" if grid.shape[1] > 1 else "cases"
    # The model's help comes first, so that a gain is positive.
    study = readers.reader_study(
        grid[::-1], positive=positive, population=population, subject=subject
    )
    means = dict(zip(ways[::-1], study.mean, strict=True))
    found: dict[str, Any] = {
        "mean": {way: means[way].as_metric() for way in ways},
        "covariance": dict(
            zip(("error", "cov1", "cov2", "cov3"), study.covariance, strict=True)
        ),
    }
    if study.differences:
        found["difference"] = study.differences[0].as_metric()
    return found


def _calls_against_score(
    readings: Readings, places: list[tuple[str, str]], kept: list[Key]
) -> dict[str, dict[str, int]]:
    """How many calls, by reader and way, no cut-off of the reader's score explains.

    Counted at the cut-off that leaves fewest; readers and ways without any are absent.
    """
    found: dict[str, dict[str, int]] = {}
    for way, reader in places:
        score, call = (
            np.array([table[way, reader][key] for key in kept])
            for table in (readings.score, readings.call)
        )
        known = np.isfinite(call)
        score, call = score[known], call[known] == 1
        cuts = [*np.unique(score), np.inf]
        number = min(int(np.sum((score >= cut) != call)) for cut in cuts)
        if number:
            found.setdefault(reader, {})[way] = number
    return found


def _agreement(
    readings: Readings, places: list[tuple[str, str]], kept: list[Key]
) -> dict[str, Any]:
    """Fleiss' kappa of the readers' calls in each way that has them all."""
    found = {}
    for way in readings.ways:
        calls = np.array(
            [[readings.call[p][key] for key in kept] for p in places if p[0] == way]
        ).T
        if calls.shape[1] > 1 and np.isfinite(calls).all():
            kappa: Estimate = agreement.fleiss_kappa(calls.astype(int))
            found[way] = kappa.as_metric()
    return found


def _reading(
    row: TableRow, *, task: Question, dialect: Dialect
) -> tuple[tuple[str, str], Key, float, float]:
    cells = row.cells
    for name in ("subject", "reader"):
        if not cells[name]:
            raise InputError(f"{name} is empty")
    way = cells.get("with_ai", "") or "0"
    if way not in WAYS:
        raise InputError(f"with_ai={way!r}: expected 0 (without) or 1 (with the model)")
    visit = cells.get("visit", "") or "1"
    if not visit.isdigit():
        raise InputError(f"visit={visit!r}: expected a whole number")
    try:
        call = task.parse(cells.get("class", ""))
        score = number(cells.get("score", ""), decimal=dialect.decimal)
    except InputError as error:
        raise InputError(
            f"subject {cells['subject']!r}, reader {cells['reader']!r}: {error}"
        ) from None
    if math.isnan(score):
        score = call
    if math.isnan(score):
        raise InputError(
            f"subject {cells['subject']!r}, reader {cells['reader']!r}: neither score "
            "nor class; leave out what was not read"
        )
    return (WAYS[way], cells["reader"]), (cells["subject"], int(visit)), score, call
