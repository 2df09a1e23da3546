r"""``roles.toml``: which series of a site is which phase, said by a person.

A table a role (``native``, ``arterial``, ``venous``, or any other channel); a series
has the role when all patterns of its table match. Regular expressions are searched in
the header's text without regard to case::

    prefer = "thin"              # or "thick": among several matches of one role

    [arterial]
    description = 'art(erial)?'  # in SeriesDescription
    protocol = 'liver'           # in ProtocolName
    kernel = '^B30'              # in ConvolutionKernel
    number = [4, 5]              # SeriesNumber
    part = 2                     # which volume, where one series holds several

    [leave_out]                  # series that are no phase at all
    description = 'lung|topo'

A role that the file describes is given by the file alone; the others are suggested.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from liverjax.errors import InputError, raise_all

LEAVE_OUT = "leave_out"
_TEXTS = ("description", "protocol", "kernel")
_KEYS = (*_TEXTS, "number", "part")
_PREFER = ("thin", "thick")


@dataclasses.dataclass(frozen=True)
class RoleRule:
    """Patterns of one role; what is None or empty is not asked.

    Attributes:
        texts: Regular expressions by ``description``, ``protocol``, ``kernel``.
        numbers: SeriesNumbers.
        part: Number of the volume inside its series, from 1.
    """

    texts: Mapping[str, re.Pattern[str]]
    numbers: tuple[int, ...] = ()
    part: int | None = None

    def matches(
        self, *, description: str, protocol: str, kernel: str, number: str, part: int
    ) -> bool:
        """Returns whether a series' headers fit every pattern."""
        values = {"description": description, "protocol": protocol, "kernel": kernel}
        if not all(p.search(values[name]) for name, p in self.texts.items()):
            return False
        if self.numbers and number not in map(str, self.numbers):
            return False
        return self.part is None or self.part == part


@dataclasses.dataclass(frozen=True)
class RoleRules:
    """A read ``roles.toml``.

    Attributes:
        rules: By role.
        leave_out: Series that are no phase; None if the file says nothing.
        prefer: ``thin``, ``thick`` or empty: which slices win among several matches.
    """

    rules: Mapping[str, RoleRule] = dataclasses.field(default_factory=dict)
    leave_out: RoleRule | None = None
    prefer: str = ""


def read_rules(path: pathlib.Path) -> RoleRules:
    """Returns the rules in a ``roles.toml``.

    Raises:
        InputError: If it is missing, no TOML, or has unknown keys or bad patterns; all
            at once.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: the file is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from None
    problems: list[str] = []
    prefer = values.pop("prefer", "")
    if prefer and prefer not in _PREFER:
        problems.append(f"prefer={prefer!r}: expected one of {list(_PREFER)}")
    rules = {}
    for role, table in values.items():
        if not isinstance(table, dict) or not table:
            problems.append(f"{role}: expected a table with some of {list(_KEYS)}")
        else:
            rules[role] = _rule(table, role=role, problems=problems)
    raise_all(problems, title=f"{path}")
    return RoleRules(rules, rules.pop(LEAVE_OUT, None), str(prefer))


def _rule(table: dict[str, Any], *, role: str, problems: list[str]) -> RoleRule:
    problems += [
        f"{role}.{key} is unknown; expected some of {list(_KEYS)}"
        for key in table
        if key not in _KEYS
    ]
    texts = {}
    for key in _TEXTS:
        if key not in table:
            continue
        try:
            texts[key] = re.compile(table[key], re.IGNORECASE)
        except (re.error, TypeError) as error:
            problems.append(f"{role}.{key}: no regular expression ({error})")
    number, part = table.get("number", []), table.get("part")
    numbers = number if isinstance(number, list) else [number]
    if not all(type(one) is int for one in numbers):
        problems.append(f"{role}.number: expected an integer or a list of them")
        numbers = []
    if part is not None and (type(part) is not int or part < 1):
        problems.append(f"{role}.part: expected an integer from 1")
        part = None
    return RoleRule(texts, tuple(numbers), part)
