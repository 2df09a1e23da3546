"""What can be wrong with a table of predictions; every sentence says how to mend it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from liverjax.cohort.schema import TRAIN
from liverjax.cohort.table_text import (
    Table,
    TableRow,
    group_lines,
    is_missing_word,
    is_numeric_column,
    near_names,
    number,
)
from liverjax.errors import InputError
from liverjax.report.answers import choose_answer
from liverjax.report.score_scale import SCALE, SUM_TOLERANCE, scale_problem
from liverjax.report.words import counted
from liverjax.tasks.kinds import BINARY, STAGES, SURVIVAL, kind_of
from liverjax.tasks.question import Question

COLUMNS = ("subject", "visit", "set", "site", "fold", "target", "score")
LAST_COLUMNS = ("class", "members")
_EVENT = "event"
# What other frameworks call our columns.
_WORDS = {
    "subject": ("patient", "patient_id", "patientid", "id", "case", "case_id"),
    "target": ("label", "y_true", "y", "truth", "true", "ground_truth", "outcome"),
    "score": ("y_pred", "y_score", "y_prob", "pred", "prediction", "probability",
              "prob", "output", "logit"),
}  # fmt: skip
_FEW = 3  # repeated rows that may be slips; more are a table of slices


class TableChecks:
    """One pass over a table that collects every problem.

    Attributes:
        problems: A sentence each; nothing may be used unless this is empty.
    """

    def __init__(
        self, table: Table, *, task: Question, decimal: str, slices: bool = False
    ) -> None:
        self.table = table
        self.kind = kind_of(task)
        self.slices = slices
        self.task = task
        self.decimal = decimal
        self.problems: list[str] = []
        self._lines: list[tuple[int, str, str]] = []
        self.probabilities = [f"prob_{name}" for name in task.classes]

    def _check_header(self) -> None:
        have = set(self.table.columns)
        self.problems += [
            f"the column {name!r} is missing"
            f"{near_names(name, self.table.columns, also=_WORDS[name])}; columns "
            f"found: {', '.join(self.table.columns)}"
            for name in ("subject", "target")
            if name not in have
        ]
        if self.kind == SURVIVAL and _EVENT not in have:
            self.problems.append(
                "the column 'event' is missing: 1 where the target's time ended in the "
                "event, 0 where the follow-up ended without it"
            )
        some = [name for name in self.table.columns if name.startswith("prob_")]
        lacking = [name for name in self.probabilities if name not in have]
        unknown = [name for name in some if name not in self.probabilities]
        if self.kind == BINARY and lacking == self.probabilities[:1]:
            lacking = []  # the negative class has the rest
        if some and (lacking or unknown):
            self.problems.append(
                f"probabilities must be exactly "
                f"{', '.join(self.probabilities) or 'absent'}; found {', '.join(some)}"
                + (
                    "; rename them, or name the classes as they are called with "
                    "--classes (the targets are then called so too)"
                    if self.probabilities
                    else ""
                )
            )
        if not some and not have & {"score", "class"}:
            self.problems.append(
                "nothing is predicted: expected a column score"
                + (", class, or " if self.probabilities else "")
                + ", ".join(self.probabilities)
                + near_names("score", self.table.columns, also=_WORDS["score"])
            )
        if not self.table.rows:
            self.problems.append("the table has a header but no rows")

    def columns(self) -> dict[str, Any]:
        """Returns the fields of `liverjax.report.tables.Predictions` by name."""
        self._check_header()
        if self.problems:
            return {}
        rows = self.table.rows
        subject = self._text("subject")
        self._lines += [
            (row.line, "", "subject is empty")
            for row in rows
            if not row.cells["subject"]
        ]
        visit = self._whole("visit", empty=1)
        target = np.array([self._target(row) for row in rows])
        score = self._numbers("score")
        probs = self._probabilities()
        classes = self._classes()
        if self.kind == SURVIVAL:
            self._check_events()
        scale = {row.cells.get(SCALE, "") for row in rows}
        problem = scale_problem(scale, score=score, task=self.task)
        self.problems += [problem] if problem else []
        wrong = bool(self.problems or self._lines)
        if not wrong and score is None and probs is None and classes is None:
            self.problems.append("score, prob_* and class are all empty")
        self._check_rows(subject, visit)
        self.problems += group_lines(self._lines)
        if self.problems:
            return {}
        known = {*COLUMNS, *LAST_COLUMNS, *self.probabilities}
        answer = choose_answer(
            self.task,
            score=score,
            probs=probs,
            classes=classes,
            said=rows[0].cells.get(SCALE, ""),
        )
        return {
            "subject": subject,
            "visit": visit,
            "set": self._text("set", empty="test"),
            "site": self._text("site"),
            "fold": self._text("fold"),
            "target": target,
            "score": answer.score,
            "probs": probs,
            "predicted_class": answer.predicted_class,
            "members": self._whole("members", empty=1),
            "extra": {
                n: self._further(n) for n in self.table.columns if n not in known
            },
            "on_scale": answer.on_scale,
            "notes": answer.notes,
        }

    def _check_events(self) -> None:
        judged = [row for row in self.table.rows if row.cells["target"]]
        cells = [row.cells.get(_EVENT, "") for row in judged]
        for row, cell in zip(judged, cells, strict=True):
            if cell not in ("0", "1"):
                self._note(row, f"event={cell!r}: expected 1 (event) or 0 (censored)")
        if judged and set(cells) == {"0"}:
            self.problems.append(
                f"no event: the column event is 0 in {counted(len(judged), 'row')} "
                "with a target, so nothing can be ranked or compared; write 1 where "
                "the time ended in the event"
            )

    def _check_rows(self, subject: np.ndarray, visit: np.ndarray) -> None:
        first: dict[tuple[str, int], int] = {}
        twice = []
        keys = zip(subject.tolist(), visit.tolist(), strict=True)
        for row, key in zip(self.table.rows, keys, strict=True):
            if first.setdefault(key, row.line) != row.line:
                twice.append(
                    f"line {row.line}: subject {key[0]!r}, visit {key[1]} stands "
                    f"already in line {first[key]}"
                )
        if not self.slices:
            if len(twice) > _FEW:
                twice = [
                    f"{twice[0]}, and {len(twice) - 1} more rows like it: a table of "
                    "slices? Slices are not patients: average them (--slices mean), or "
                    "name another way (--slices clustered, --slices independent); if "
                    "they are visits, number them in a column visit"
                ]
            self.problems += twice
        self._check_folds()

    def _check_folds(self) -> None:
        held_out: dict[tuple[str, str], str] = {}
        in_train = [row for row in self.table.rows if row.cells.get("set") == TRAIN]
        some = any(row.cells.get("fold", "") for row in in_train)
        for row in self.table.rows:
            name, group = row.cells["subject"], row.cells.get("set", "")
            fold = row.cells.get("fold", "")
            if not fold and group == TRAIN and some:
                self._note(row, "a row of train without the fold that held it out")
            elif fold and held_out.setdefault((group, name), fold) != fold:
                self._note(
                    row,
                    f"held out by fold {fold} here and by fold "
                    f"{held_out[group, name]} above; all examinations of a subject "
                    "belong into one fold",
                )

    def _text(self, name: str, *, empty: str = "") -> np.ndarray:
        cells = (row.cells.get(name, "") or empty for row in self.table.rows)
        return np.array(list(cells), dtype=np.str_)

    def _further(self, name: str) -> np.ndarray:
        """A column that others read, with the decimal point in its numbers.

        Where some cells are no numbers, only a column with a unit in its name is one of
        numbers.
        """
        cells = self._text(name)
        if self.decimal == ".":
            return cells
        pointed = [with_point(cell, decimal=self.decimal) for cell in cells.tolist()]
        if None in pointed and not is_numeric_column(name):
            return cells
        pairs = zip(pointed, cells.tolist(), strict=True)
        return np.array([new or old for new, old in pairs], dtype=np.str_)

    def _number(self, row: TableRow, name: str) -> float:
        try:
            return number(row.cells.get(name, ""), decimal=self.decimal)
        except InputError as error:
            self._note(row, f"{name}={row.cells[name]!r}: {error}")
            return math.nan

    def _numbers(self, name: str) -> np.ndarray | None:
        """A column without gaps, or None where it is absent or empty throughout."""
        rows = self.table.rows
        if not any(row.cells.get(name, "") for row in rows):
            return None
        for row in rows:
            if not row.cells[name]:
                self._note(row, f"{name} is empty; leave out rows without a prediction")
        return np.array([self._number(row, name) for row in rows], float)

    def _whole(self, name: str, *, empty: int) -> np.ndarray:
        values = []
        for row in self.table.rows:
            cell = row.cells.get(name, "")
            value = self._number(row, name) if cell else float(empty)
            if not math.isnan(value) and (value != int(value) or value < 0):
                self._note(row, f"{name}={cell!r}: expected a whole number")
            values.append(empty if math.isnan(value) else int(value))
        return np.array(values, int)

    def _target(self, row: TableRow) -> float:
        cell = row.cells["target"]
        if not cell:
            return math.nan
        value: float | str = cell
        if cell not in self.task.classes:
            if is_missing_word(cell):
                self._note(
                    row,
                    f"target={cell!r}: where the truth is unknown leave the cell empty "
                    "(predicted, not judged)" + self._expected(),
                )
                return math.nan
            try:
                value = number(cell, decimal=self.decimal)
            except InputError as error:
                if self.kind not in (BINARY, STAGES):
                    self._note(row, f"target={cell!r}: {error}")
                    return math.nan
        try:
            return self.task.parse(str(value))
        except InputError as error:
            text = str(error).partition(": ")[2] or str(error)
            if any(name.startswith("prob_") for name in self.table.columns):
                text = text.partition("; other names")[0]
                text += ", as the prob_ columns are called; rename one of the two"
            self._note(row, f"target={cell!r}: {text}")
            return math.nan

    def _expected(self) -> str:
        classes = ", ".join(self.task.classes)
        named = classes and self.kind in (BINARY, STAGES)
        return f"; the classes are {classes}" if named else ""

    def _probabilities(self) -> np.ndarray | None:
        columns = [self._numbers(name) for name in self.probabilities]
        if self.kind == BINARY and columns[0] is None and columns[1] is not None:
            columns[0] = 1 - columns[1]
        if not columns or any(column is None for column in columns):
            return None
        probs = np.stack([c for c in columns if c is not None], axis=1)
        total = probs.sum(axis=1)
        outside = ((probs < 0) | (probs > 1)).any(axis=1)
        # The first of two classes may be 1 less the second.
        percent = 2 < probs.max() <= 100 and bool(np.all(probs[:, 1:] >= 0))
        if percent and outside.mean() > 0.5:
            self.problems.append(
                f"probabilities run up to {probs.max():g} ({outside.sum()} of "
                f"{len(probs)} rows are above 1): they look like percentages; divide "
                "them by 100"
            )
            return probs
        for row, values, sum_ in zip(self.table.rows, probs, total, strict=True):
            if np.any((values < 0) | (values > 1)):
                self._note(row, "a probability is outside 0..1")
            elif abs(sum_ - 1) > SUM_TOLERANCE:
                self._note(row, f"probabilities sum to {sum_:.4g}, expected 1")
        return probs

    def _classes(self) -> np.ndarray | None:
        rows = self.table.rows
        if not any(row.cells.get("class", "") for row in rows):
            return None
        for row in rows:
            if row.cells["class"] not in self.task.classes:
                self._note(
                    row,
                    f"class={row.cells['class']!r}: expected one of "
                    f"{', '.join(self.task.classes)}",
                )
        index = {name: i for i, name in enumerate(self.task.classes)}
        return np.array([index.get(row.cells["class"], 0) for row in rows], int)

    def _note(self, row: TableRow, text: str) -> None:
        subject = row.cells.get("subject", "")
        self._lines.append((row.line, f" (subject {subject!r})", text))


def with_point(cell: str, *, decimal: str) -> str | None:
    """Returns a number's cell with a decimal point, or None for other text.

    Args:
        cell: Its text; an empty one is a missing number.
        decimal: The decimal sign in it.
    """
    try:
        number(cell, decimal=decimal)
    except InputError:
        return None
    return cell.replace(decimal, ".")
