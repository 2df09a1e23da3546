"""Values of a config as typed dataclasses: what is unknown or mistyped is named."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from liverjax import tasks
from liverjax.errors import InputError
from liverjax.tasks.question import Task


def build(
    kind: type, values: Mapping[str, Any], *, prefix: str, problems: list[str]
) -> Any:
    """Returns a dataclass of type-checked values, or None after noting problems.

    Args:
        kind: The dataclass; its fields may be dataclasses.
        values: By field.
        prefix: Of dotted names in problems.
        problems: Gets a sentence for each value that is unknown, missing or mistyped.
    """
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    before = len(problems)
    problems += [
        f"{prefix}{name} is unknown; known here: {', '.join(known)}"
        for name in values
        if name not in known
    ]
    built = {}
    for name in known:
        if name not in values:
            problems.append(f"{prefix}{name} is missing: expected {_name(hints[name])}")
        else:
            built[name] = _convert(
                values[name], hints[name], name=prefix + name, problems=problems
            )
    if len(problems) > before:
        return None
    try:
        return kind(**built)
    except ValueError as error:
        problems.append(f"{prefix.rstrip('.') or kind.__name__}: {error}")
        return None


def _task(values: Any, problems: list[str]) -> Task | None:
    if not isinstance(values, Mapping) or "name" not in values:
        problems.append(f"task.name is missing: expected one of {sorted(tasks.TASKS)}")
        return None
    try:
        return tasks.make(
            values["name"], **{k: v for k, v in values.items() if k != "name"}
        )
    except (InputError, TypeError) as error:
        problems.append(str(error))
        return None


def _convert(value: Any, hint: Any, *, name: str, problems: list[str]) -> Any:
    """Returns a value as its annotation wants it; notes a problem if it cannot."""
    options = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = [option for option in options if option is not type(None)]
        return _convert(value, hint, name=name, problems=problems)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return build(hint, value, prefix=f"{name}.", problems=problems)
    elif typing.get_origin(hint) is tuple and isinstance(value, (tuple, list)):
        kinds = [options[0]] * len(value) if options[-1] is Ellipsis else list(options)
        if len(kinds) == len(value):
            return tuple(
                _convert(item, kind, name=f"{name}[{i}]", problems=problems)
                for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
            )
    elif typing.get_origin(hint) is Mapping:
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is Task:
        return _task(value, problems)
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    problems.append(f"{name}={value!r}: expected {_name(hint)}")
    return None


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)
