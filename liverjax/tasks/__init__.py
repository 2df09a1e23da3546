"""Clinical questions: one a file, found by name in `TASKS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from liverjax.errors import InputError
from liverjax.tasks.child_pugh import ChildPugh
from liverjax.tasks.question import Outcome, Task, average_rows

TASKS: dict[str, type] = {"child_pugh": ChildPugh}

__all__ = ["TASKS", "ChildPugh", "Outcome", "Task", "average_rows", "make"]


def make(name: str, **options: Any) -> Task:
    """Returns the task of that name with its options set.

    Raises:
        InputError: If the name or an option is unknown; the text lists the known ones.
    """
    if name not in TASKS:
        raise InputError(f"task {name!r}: expected one of {sorted(TASKS)}")
    known = {field.name for field in dataclasses.fields(TASKS[name]) if field.init}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(f"task {name!r}: unknown {unknown}; known: {sorted(known)}")
    return TASKS[name](**options)
