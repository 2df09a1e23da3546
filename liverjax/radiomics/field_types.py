"""Whether what a settings file gave is of its field's type."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any

from liverjax.errors import InputError

_NUMBERS = {int: numbers.Integral, float: numbers.Real}


def check_values(kind: type, values: Mapping[str, Any], *, title: str) -> None:
    """Checks values for a dataclass's fields against their annotations.

    Args:
        kind: The dataclass.
        values: Of some of its fields, by name.
        title: Where they come from, for the message.

    Raises:
        InputError: Naming the first of another type, what it is and what was expected.
    """
    for name, hint in _hints(kind).items():
        if name in values and not _is_of(values[name], hint):
            raise InputError(
                f"{title}: {name} is {values[name]!r}; expected "
                f"{' or '.join(_words(hint))}"
            )


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    known = typing.get_type_hints(kind)
    return {field.name: known[field.name] for field in dataclasses.fields(kind)}


def _is_of(value: Any, hint: Any) -> bool:
    parts = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_is_of(value, part) for part in parts)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[1:] == (...,):
            parts = parts[:1] * len(value)
        return len(value) == len(parts) and all(map(_is_of, value, parts))
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> list[str]:
    """The alternatives of a type, as a person writes them in JSON."""
    parts = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        every = [word for part in parts for word in _words(part)]
        wide = [w for w in every if w != "a whole number" or "a number" not in every]
        return list(dict.fromkeys(wide))
    if typing.get_origin(hint) is tuple:
        if parts[1:] == (...,):
            return [f"a list, each entry {' or '.join(_words(parts[0]))}"]
        return [f"a list of {len(parts)}, each {' or '.join(_words(parts[0]))}"]
    plain = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return [plain.get(hint, "a table of its fields")]
