"""Counts and lists as a sentence has them."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, *, many: str = "") -> str:
    """Returns ``1 row``, ``2 rows`` or ``1,315 rows``.

    Args:
        number: How many.
        noun: One of them.
        many: Several of them, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def listed(names: Sequence[object]) -> str:
    """Returns ``a, b and c``."""
    words = [str(name) for name in names]
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + f" and {words[-1]}"
