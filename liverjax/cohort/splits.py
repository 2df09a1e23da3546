"""Folds over subjects: made from a seed, written to ``splits.json``, checked."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from liverjax.cohort import files
from liverjax.errors import InputError, raise_all

GROUPS = ("train", "select", "held_out")


@dataclasses.dataclass(frozen=True)
class Fold:
    """The three groups of subjects of one fold; none is in two.

    Attributes:
        train: Fits the weights.
        select: Picks the epoch.
        held_out: Gives the reported result.
    """

    train: tuple[str, ...]
    select: tuple[str, ...]
    held_out: tuple[str, ...]


def make_folds(
    stratum: Mapping[str, int], *, folds: int, select_fraction: float, seed: int
) -> tuple[Fold, ...]:
    """Returns cross-validation folds in which every stratum is spread evenly.

    Each subject is held out once. Of a fold's other subjects a share of every stratum
    becomes ``select``. The result depends on the subjects and the seed, not on their
    order.

    Args:
        stratum: Class index of each subject; one index for all switches
            stratification off.
        folds: At least 2.
        select_fraction: Share of a fold's remaining subjects, in (0, 1).
        seed: Of the division alone.

    Raises:
        InputError: If there are fewer subjects than folds, or a group would be empty.
    """
    if len(stratum) < folds:
        raise InputError(
            f"{len(stratum)} subjects cannot be divided into {folds} folds; lower "
            "split.folds or add subjects"
        )
    rng = np.random.Generator(np.random.Philox(seed))
    shuffled = [
        [members[i] for i in rng.permutation(len(members))]
        for members in _by_stratum(stratum)
    ]
    dealt = [subject for members in shuffled for subject in members]
    fold_of = {subject: place % folds for place, subject in enumerate(dealt)}
    made = []
    for number in range(folds):
        held_out = [subject for subject in dealt if fold_of[subject] == number]
        rest = {s: stratum[s] for s in sorted(stratum) if fold_of[s] != number}
        select = _share(rng, rest, fraction=select_fraction)
        train = [subject for subject in rest if subject not in select]
        if not train or not select:
            raise InputError(
                f"fold {number}: {len(train)} subjects to train on, {len(select)} to "
                "select with; add subjects, or change split.select_fraction"
            )
        made.append(Fold(tuple(train), tuple(sorted(select)), tuple(sorted(held_out))))
    return tuple(made)


def write_splits(path: pathlib.Path, folds: Sequence[Fold], *, seed: int) -> None:
    """Writes ``splits.json``."""
    files.write_json(
        path,
        {
            "schema": 1,
            "seed": seed,
            "unit": "subject",
            "folds": [dataclasses.asdict(fold) for fold in folds],
        },
    )


def read_splits(path: pathlib.Path) -> tuple[Fold, ...]:
    """Returns the folds in a ``splits.json``, ours or a user's.

    Raises:
        InputError: If the file is not of this form.
    """
    value = files.read_json(path)
    try:
        return tuple(
            Fold(**{group: tuple(map(str, fold[group])) for group in GROUPS})
            for fold in value["folds"]
        )
    except (KeyError, TypeError):
        raise InputError(
            f"{path}: expected {{'folds': [{{'train': [...], 'select': [...], "
            "'held_out': [...]}}, ...]} with lists of subjects"
        ) from None


def check_folds(
    folds: Sequence[Fold],
    *,
    train: Sequence[str],
    others: Sequence[str] = (),
    title: str = "splits.json",
) -> None:
    """Checks that no subject is in two groups and that all are known.

    Args:
        folds: To check.
        train: Subjects of the set ``train``.
        others: Subjects of every other set.
        title: For messages.

    Raises:
        InputError: Naming every overlap, unknown subject, empty group, and subject that
            is both cross-validated and in another set.
    """
    problems = [] if folds else ["there is no fold"]
    known = set(train)
    for number, fold in enumerate(folds):
        groups = {group: set(getattr(fold, group)) for group in GROUPS}
        for one, two in (("train", "select"), ("train", "held_out")):
            both = sorted(groups[one] & groups[two])
            if both:
                problems.append(f"fold {number}: {both} are in {one} and in {two}")
        unknown = sorted(set.union(*groups.values()) - known)
        if unknown:
            problems.append(f"fold {number}: {unknown} are not subjects of the cohort")
        for group in ("train", "select"):
            if not groups[group]:
                problems.append(f"fold {number}: {group} is empty")
        select_is_held_out = groups["select"] == groups["held_out"]
        both = sorted(groups["select"] & groups["held_out"])
        if both and not select_is_held_out:
            problems.append(f"fold {number}: {both} are in select and in held_out")
    held_out = [subject for fold in folds for subject in fold.held_out]
    twice = sorted({subject for subject in held_out if held_out.count(subject) > 1})
    if twice:
        problems.append(f"{twice} are held out by more than one fold")
    both = sorted(known & set(others))
    if both:
        problems.append(f"{both} are in the set 'train' and in another set")
    raise_all(problems, title=title)


def _by_stratum(stratum: Mapping[str, int]) -> list[list[str]]:
    return [
        sorted(subject for subject, value in stratum.items() if value == wanted)
        for wanted in sorted(set(stratum.values()))
    ]


def _share(
    rng: np.random.Generator, stratum: Mapping[str, int], *, fraction: float
) -> set[str]:
    """Draws a share of every stratum; remainders go to the largest ones first."""
    members = _by_stratum(stratum)
    exact = [fraction * len(group) for group in members]
    count = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: count[i] - exact[i])
    for i in by_remainder[: round(sum(exact)) - sum(count)]:
        count[i] += 1
    drawn: set[str] = set()
    for group, size in zip(members, count, strict=True):
        drawn |= {group[i] for i in rng.permutation(len(group))[:size]}
    return drawn
