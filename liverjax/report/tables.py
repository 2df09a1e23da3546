"""Tables of predictions: read from anyone, checked whole, written in one form."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from liverjax.cohort.files import sha256_file, write_csv
from liverjax.cohort.table_text import Dialect, number, read_table
from liverjax.errors import InputError, raise_all
from liverjax.report.score_scale import call_classes, is_called_later
from liverjax.report.table_checks import (
    COLUMNS,
    LAST_COLUMNS,
    UNKNOWN_CLASS,
    TableChecks,
)
from liverjax.tasks.question import Outcome, Question, average_rows

VISITS = ("first", "closest", "all")
SLICES = ("mean", "clustered", "independent")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A checked table of predictions, a row an examination.

    Attributes:
        name: The file's name without its ending.
        file: The file's name.
        sha256: Of the file.
        subject: The independent unit.
        visit: Number of the visit.
        set: Group of examinations; ``train`` is cross-validated.
        site: Empty where unknown.
        fold: The fold that held the row out; empty outside ``train``.
        target: Truth; NaN is predicted but not judged.
        score: Higher is sicker; only its order counts unless ``on_scale``.
        probs: Of each class, or None.
        predicted_class: Index into the task's classes; -1 where unknown.
        members: Predictions averaged into the row.
        extra: Every other column, as text.
        on_scale: The score is in the target's unit.
        notes: What a reader must know, a sentence each.
        left_out: (subject, visit) that a rule of visits left out.
    """

    name: str
    file: str
    sha256: str
    subject: Shaped[np.ndarray, " n"]
    visit: Int[np.ndarray, " n"]
    set: Shaped[np.ndarray, " n"]
    site: Shaped[np.ndarray, " n"]
    fold: Shaped[np.ndarray, " n"]
    target: Float[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]
    probs: Float[np.ndarray, "n k"] | None
    predicted_class: Int[np.ndarray, " n"]
    members: Int[np.ndarray, " n"]
    extra: Mapping[str, Shaped[np.ndarray, " n"]]
    on_scale: bool = True
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.subject)

    def take(self, rows: Shaped[np.ndarray, " m"]) -> Predictions:
        """Returns these rows (indices or a mask) as a table of their own."""
        chosen = {
            field.name: value[rows]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        extra = {name: column[rows] for name, column in self.extra.items()}
        return dataclasses.replace(self, extra=extra, **chosen)

    def answering(self, truth: Predictions) -> Predictions:
        """Returns another table's rows with this one's answers, row by row."""
        return dataclasses.replace(
            truth,
            score=self.score,
            probs=self.probs,
            predicted_class=self.predicted_class,
            on_scale=self.on_scale,
        )

    def examinations(self) -> list[tuple[str, int]]:
        """Returns (subject, visit) of each row."""
        return list(zip(self.subject.tolist(), self.visit.tolist(), strict=True))


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
    if slices:
        predictions = from_slices(predictions, rule=slices, task=task)
    return choose_visits(predictions, rule=visits) if visits else predictions


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


def to_rows(predictions: Predictions, *, task: Question) -> list[dict[str, Any]]:
    """Returns a table as rows for `write_predictions`."""
    rows = []
    for i, (subject, visit) in enumerate(predictions.examinations()):
        row: dict[str, Any] = {
            "subject": subject,
            "visit": visit,
            "set": str(predictions.set[i]),
            "site": str(predictions.site[i]),
            "fold": str(predictions.fold[i]),
            "target": float(predictions.target[i]),
            "score": float(predictions.score[i]),
            "members": int(predictions.members[i]),
        }
        if predictions.predicted_class[i] != UNKNOWN_CLASS and task.classes:
            row["class"] = task.classes[int(predictions.predicted_class[i])]
        if predictions.probs is not None:
            shares = zip(task.classes, predictions.probs[i].tolist(), strict=True)
            row |= {f"prob_{name}": share for name, share in shares}
        rows.append(row | {n: str(c[i]) for n, c in predictions.extra.items()})
    return rows


def choose_visits(predictions: Predictions, *, rule: str) -> Predictions:
    """Returns the table with the examinations of a subject that a rule keeps.

    Args:
        predictions: Any number of examinations a subject.
        rule: ``first`` (lowest visit), ``closest`` (to ``reference_day``, by
            ``exam_day``; ties: the lower visit) or ``all``.

    Raises:
        InputError: If the rule's columns are missing or hold anything but days.
    """
    several = len(predictions) - len(np.unique(predictions.subject))
    if rule == "all" or not several:
        return predictions
    rank = predictions.visit.astype(float)
    if rule == "closest":
        rank = _days_apart(predictions)
    order = np.lexsort((predictions.visit, rank, predictions.subject))
    first = np.unique(predictions.subject[order], return_index=True)[1]
    kept = np.sort(order[first])
    note = (
        f"{several} further examinations of the same subjects are left out (--visits "
        f"{rule})."
    )
    others = predictions.take(np.delete(np.arange(len(predictions)), kept))
    return dataclasses.replace(
        predictions.take(kept),
        notes=(*predictions.notes, note),
        left_out=tuple(others.examinations()),
    )


def from_slices(predictions: Predictions, *, rule: str, task: Question) -> Predictions:
    """Returns a table of slices as rows that may be judged.

    Args:
        predictions: Any number of rows a (subject, visit).
        rule: ``mean``: an examination is the mean of its slices' scores and
            probabilities, then its class. ``clustered``: rows stay slices, numbered as
            visits in the order of the file; intervals resample subjects.
            ``independent``: each slice is counted as if it were a patient, as some
            papers do.
        task: Makes the class of an averaged examination.

    Raises:
        InputError: If slices of one examination have different targets, sets or folds.
    """
    if rule == "mean":
        return _mean_of_slices(predictions, task=task)
    number = _running_number(predictions.subject)
    if rule == "clustered":
        note = (
            f"Rows are slices: {len(predictions)} slices of "
            f"{len(np.unique(predictions.subject))} patients. Figures count slices; "
            "intervals and tests count patients."
        )
        return dataclasses.replace(
            predictions, visit=number, notes=(*predictions.notes, note)
        )
    names = [f"{s}#{i}" for s, i in zip(predictions.subject, number, strict=True)]
    note = (
        f"Rows are {len(predictions)} slices, counted as if each were a patient; "
        f"there are {len(np.unique(predictions.subject))} patients. Slices of one "
        "patient are alike, so intervals are too narrow and p values too small. The "
        "figures compare with papers that count slices, and say nothing about patients."
    )
    return dataclasses.replace(
        predictions,
        subject=np.array(names, dtype=np.str_),
        visit=np.ones(len(names), int),
        notes=(*predictions.notes, note),
    )


def _mean_of_slices(predictions: Predictions, *, task: Question) -> Predictions:
    keys = predictions.examinations()
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    group = np.array([place[key] for key in keys], int)
    first = np.unique(group, return_index=True)[1]
    found = predictions.take(first)
    for name in ("target", "set", "fold", "site"):
        column = getattr(predictions, name)
        unlike = ~(column == column[first][group])
        if name == "target":
            unlike &= ~(np.isnan(column) & np.isnan(column[first][group]))
        if unlike.any():
            subject = predictions.subject[unlike][0]
            raise InputError(
                f"{predictions.file}: slices of subject {subject!r} have different "
                f"values of {name}; --slices mean needs one a (subject, visit)"
            )
    outcome = average_rows(
        Outcome(predictions.score, predictions.probs),
        group=group,
        num_groups=len(first),
    )
    classes = None
    note = (
        f"{len(predictions)} slices were averaged to {len(first)} examinations "
        "(--slices mean): the mean of their scores, then the class."
    )
    if np.any(predictions.predicted_class != UNKNOWN_CLASS):
        classes = call_classes(outcome, on_scale=predictions.on_scale, task=task)
        if classes is None and not is_called_later(task):
            note += (
                " Their mean only ranks, so the classes of slices make no class of an "
                "examination; that takes probabilities"
                + (", or --cutoff." if len(task.classes) == 2 else ".")
            )
    return dataclasses.replace(
        found,
        score=outcome.score,
        probs=outcome.probs,
        predicted_class=(
            np.full(len(first), UNKNOWN_CLASS) if classes is None else classes
        ),
        notes=(*predictions.notes, note),
    )


def _running_number(subject: np.ndarray) -> np.ndarray:
    """1, 2, ... within each subject, in the order of rows."""
    seen: dict[str, int] = {}
    numbers = []
    for name in subject.tolist():
        seen[name] = seen.get(name, 0) + 1
        numbers.append(seen[name])
    return np.array(numbers, int)


def matching_rows(
    predictions: Predictions, other: Predictions
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row numbers, in both tables, of examinations that both have."""
    place = {key: row for row, key in enumerate(other.examinations())}
    pairs = [
        (row, place[key])
        for row, key in enumerate(predictions.examinations())
        if key in place
    ]
    own, others = np.array(pairs, int).reshape(-1, 2).T
    return own, others


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
