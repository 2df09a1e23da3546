"""Other models' tables, joined row by row with the judged one, set by set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from liverjax.errors import raise_all
from liverjax.report.tables import Predictions, matching_rows, row_keys
from liverjax.report.words import counted


@dataclasses.dataclass(frozen=True)
class Pair:
    """Another model's table and a set: the rows that both have.

    Attributes:
        other: The table.
        ours: The rows with our answers.
        theirs: The same rows with its answers.
        only_here: Judged rows of the set that the other table lacks.
        only_there: Rows of the other table that ours lacks in every set; those that
            it names as another of our sets are not counted.
    """

    other: Predictions
    ours: Predictions
    theirs: Predictions
    only_here: int
    only_there: int


def pair_sets(
    predictions: Predictions,
    *,
    sets: Mapping[str, Predictions],
    compare: Sequence[Predictions],
) -> dict[str, list[Pair]]:
    """Returns the pairs of each set, joined on (subject, visit).

    Args:
        predictions: The whole table.
        sets: Its rows that have a truth, by set.
        compare: Tables of other models; one stands in the sets it has rows of.

    Raises:
        InputError: If two tables have one name, a table fits no row, or has another
            truth.
    """
    problems = []
    names = [other.name for other in compare]
    if len(set(names)) < len(names):
        problems.append(f"two tables have one name: {sorted(names)}")
    known = set(row_keys(predictions)) if compare else set()
    found: dict[str, list[Pair]] = {name: [] for name in sets}
    for other in compare:
        strange = np.array([key not in known for key in row_keys(other)], bool)
        pairs = {}
        unlike: list[str] = []
        for name, rows in sets.items():
            own, others = matching_rows(rows, other)
            if not len(own):
                continue
            ours, theirs = rows.take(own), other.take(others)
            wrong = np.isfinite(theirs.target) & (theirs.target != ours.target)
            unlike += ours.subject[wrong].tolist()
            elsewhere = np.isin(other.set, [one for one in sets if one != name])
            pairs[name] = Pair(
                other,
                ours,
                theirs.answering(ours),
                only_here=len(rows) - len(own),
                only_there=int(np.sum(strange & ~elsewhere)),
            )
        if not pairs:
            problems.append(f"{other.file}: no (subject, visit) of it is judged here")
        if unlike:
            problems.append(
                f"{other.file}: another target for "
                f"{counted(len(unlike), 'examination')} (such as subject "
                f"{unlike[0]!r}); both tables must hold one truth"
            )
        for name, pair in pairs.items():
            found[name].append(pair)
    raise_all(problems, title="compared tables")
    return found


def partly_matched(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    """Returns a sentence for each table that answers only a part of a set."""
    found = []
    for name, those in pairs.items():
        for pair in those:
            if not pair.only_here:
                continue
            both = len(pair.ours)
            more = f", {pair.only_there} stand only there" if pair.only_there else ""
            found.append(
                f"{pair.other.file} answers {both} of the {both + pair.only_here} "
                f"judged examinations of {name} ({pair.only_here} stand only "
                f"here{more}): both models are compared on those {both}, which may be "
                "no fair sample of the set."
            )
    return found
