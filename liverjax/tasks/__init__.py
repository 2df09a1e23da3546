"""Clinical questions: one a file, found by name in `TASKS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from liverjax.errors import InputError
from liverjax.tasks.child_pugh import ChildPugh
from liverjax.tasks.generic import Binary, Number, Stages, Survival
from liverjax.tasks.question import Outcome, Question, Task, average_rows

TASKS: dict[str, type] = {"child_pugh": ChildPugh}

# What any table may be judged as; they have no network.
GENERIC: dict[str, type] = {
    "binary": Binary,
    "stages": Stages,
    "number": Number,
    "survival": Survival,
}

__all__ = [
    "GENERIC",
    "TASKS",
    "Binary",
    "ChildPugh",
    "Number",
    "Outcome",
    "Question",
    "Stages",
    "Survival",
    "Task",
    "average_rows",
    "make",
    "make_question",
]


def make(name: str, **options: Any) -> Task:
    """Returns the task of that name with its options set.

    Raises:
        InputError: If the name or an option is unknown; the text lists the known ones.
    """
    return _make(name, TASKS, options)


def make_question(name: str, **options: Any) -> Question:
    """Returns a task of `TASKS` or `GENERIC`, to be judged.

    Raises:
        InputError: If the name or an option is unknown; the text lists the known ones.
    """
    return _make(name, TASKS | GENERIC, options)


def _make(name: str, among: Mapping[str, type], options: Mapping[str, Any]) -> Any:
    if name not in among:
        raise InputError(f"task {name!r}: expected one of {sorted(among)}")
    known = {field.name for field in dataclasses.fields(among[name]) if field.init}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(f"task {name!r}: unknown {unknown}; known: {sorted(known)}")
    return among[name](**options)
