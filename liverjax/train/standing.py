"""Where a member stands: all that its future depends on, on the device and on disk."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from liverjax.data.resident import put
from liverjax.train import checkpoint
from liverjax.train.compile import Programs
from liverjax.train.schedule import Control
from liverjax.train.state import TrainState

CHECKPOINT = "checkpoint"  # in a member's folder

Environment = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a checkpoint holds; the rest follows from config, cohort and splits.

    Attributes:
        state: Of the network; ``state.epoch`` is the epoch under way.
        best: ``params`` and ``batch_stats`` of the best epoch so far.
        losses: Of the steps of the epoch under way.
        scores: Selection score of each epoch, NaN where there is none yet.
        select_losses: Selection loss likewise.
        position: Steps of the epoch that are done.
    """

    state: TrainState
    best: Mapping[str, Any]
    losses: Any
    scores: Float[np.ndarray, " epochs"]
    select_losses: Float[np.ndarray, " epochs"]
    position: int

    @property
    def epoch(self) -> int:
        """The epoch under way; the number of finished ones."""
        return int(self.state.epoch)

    @property
    def control(self) -> Control:
        """What selection has said of the finished epochs."""
        epoch = self.epoch
        return Control(scores=self.scores[:epoch], losses=self.select_losses[:epoch])


def begin(state: TrainState, *, programs: Programs, epochs: int) -> Standing:
    """Returns a member before its first step, with a best that is no one's yet."""
    # Never the state's own arrays: a buffer that is donated twice raises.
    best = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype), programs.state.variables
    )
    return Standing(
        state=state,
        best=put(best, programs.sharding),
        losses=no_losses(programs),
        scores=np.full(epochs, np.nan),
        select_losses=np.full(epochs, np.nan),
        position=0,
    )


def save(
    folder: pathlib.Path, standing: Standing, *, environments: Sequence[Environment]
) -> None:
    """Writes a checkpoint into a member's folder.

    Args:
        folder: The member's.
        standing: Where it stands.
        environments: What it was trained in so far, oldest first.
    """
    tree = vars(standing) | {"position": np.asarray(standing.position, np.int64)}
    about = {"environments": list(environments)}
    checkpoint.save(folder / CHECKPOINT, tree, about=about)


def restore(
    folder: pathlib.Path, *, programs: Programs, epochs: int
) -> tuple[Standing, list[Environment]] | None:
    """Returns the newest checkpoint of a member's folder and its environments.

    Raises:
        InputError: If the checkpoint is damaged or of another network.
    """
    like = {
        "state": programs.state,
        "best": programs.state.variables,
        "losses": programs.losses,
        "scores": np.empty(epochs),
        "select_losses": np.empty(epochs),
        "position": np.empty((), np.int64),
    }
    found = checkpoint.restore(folder / CHECKPOINT, like=like)
    if found is None:
        return None
    tree, about = found
    on_device = put({name: tree[name] for name in ("state", "best")}, programs.sharding)
    standing = Standing(**tree | on_device | {"position": int(tree["position"])})
    return standing, list(about["environments"])


def no_losses(programs: Programs) -> np.ndarray:
    """Returns an epoch's losses before its first step."""
    return np.zeros(programs.losses.shape, programs.losses.dtype)
