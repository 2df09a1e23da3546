"""Which heads a bundle trains, and by what: fold x seed x trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from liverjax.data.rows import EpochRows
from liverjax.train.loop import Plan
from liverjax.train.state import member_key


@dataclasses.dataclass(frozen=True)
class Grid:
    """The heads of a bundle; every array of them has the axes fold, seed and trial.

    Attributes:
        bias: First bias of each fold's heads, ``(f, k)``.
        seeds: Random starts.
        trials: Hyperparameters of each trial by name.
        plans: How long each trial is trained.
        draw: ``(fold, seed, epoch) -> rows``.
        select: Rows that pick the epoch, of each fold.
        score: ``(fold, logits (h, n, k)) -> (h,)``, the selection scores of heads from
            their logits of the fold's ``select`` rows, higher is better.
    """

    bias: Float[np.ndarray, "f k"]
    seeds: Sequence[int]
    trials: Sequence[Mapping[str, float]]
    plans: Sequence[Plan]
    draw: Callable[[int, int, int], EpochRows]
    select: Sequence[Int[np.ndarray, "_ r"]]
    score: Callable[[int, np.ndarray], np.ndarray]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Folds, seeds and trials."""
        return len(self.bias), len(self.seeds), len(self.trials)

    def keys(self) -> Any:
        """Returns the key of each fold and seed, as its members alone would have it."""
        folds, seeds, _ = self.shape
        data = [
            np.asarray(jax.random.key_data(member_key(seed, fold=fold)))
            for fold in range(folds)
            for seed in self.seeds
        ]
        return jax.random.wrap_key_data(np.stack(data).reshape(folds, seeds, -1))

    def hyperparams(self) -> dict[str, np.ndarray]:
        """Returns the trials' values by name; the rate is set by its schedule."""
        names = {name for trial in self.trials for name in trial} - {"learning_rate"}
        values = {n: np.array([trial[n] for trial in self.trials]) for n in names}
        values["learning_rate"] = np.zeros(len(self.trials))
        return {n: np.broadcast_to(v, self.shape) for n, v in values.items()}
