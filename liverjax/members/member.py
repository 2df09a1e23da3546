"""What a member is called and where its files lie."""

from __future__ import annotations

import dataclasses
import pathlib

DONE = "done.json"  # in a member's folder, last of its files


@dataclasses.dataclass(frozen=True, order=True)
class Member:
    """One network: a fold, a random start, a set of numeric hyperparameters.

    Attributes:
        fold: Place in ``splits.json``.
        seed: Number of the random start, from 0; the config's ``train.seed`` is added.
        trial: Number of the hyperparameters.
    """

    fold: int
    seed: int = 0
    trial: int = 0

    @property
    def id(self) -> str:
        """The name of its folder."""
        return f"f{self.fold:02d}-s{self.seed:02d}-t{self.trial:02d}"


def of_study(*, folds: int, seeds: int, trials: int = 1) -> tuple[Member, ...]:
    """Returns a study's members: every fold of the first seed, then of the next.

    So for the first trial, then for the next.
    """
    return tuple(
        Member(fold, seed, trial)
        for trial in range(trials)
        for seed in range(seeds)
        for fold in range(folds)
    )


def folder_of(run_folder: pathlib.Path, member: Member) -> pathlib.Path:
    """Returns a member's folder."""
    return run_folder / "members" / member.id
