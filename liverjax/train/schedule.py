"""What is decided between epochs: the best one, the end, the next learning rate.

Host functions of what selection has said; no counters that a resume could lose.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from liverjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Control:
    """What selection has said so far; all that is decided between epochs is in it.

    Attributes:
        scores: Selection score of each finished epoch, higher is better.
        losses: Selection loss of each finished epoch.
    """

    scores: Float[np.ndarray, " epochs"]
    losses: Float[np.ndarray, " epochs"]


Schedule = Callable[[int, Control], float]


def best_epoch(control: Control) -> int | None:
    """Returns the epoch with the highest score, ties to the lower loss, then the first.

    A score that is not a number is below every other.
    """
    scores = np.where(np.isnan(control.scores), -np.inf, control.scores)
    order = np.lexsort((np.arange(len(scores)), control.losses, -scores))
    return int(order[0]) if len(order) else None


def is_finished(control: Control, *, epochs: int, early_stopping: int | None) -> bool:
    """Returns whether a member has had its epochs or has stopped getting better.

    Args:
        control: Of the epochs so far.
        epochs: At most.
        early_stopping: Epochs without a new best that end training; None never ends it.
    """
    done, best = len(control.scores), best_epoch(control)
    if best is None or early_stopping is None:
        return done >= epochs
    return done >= epochs or done - 1 - best >= early_stopping


def constant(*, learning_rate: float) -> Schedule:
    """Returns a schedule that never changes the rate."""
    return lambda epoch, control: learning_rate


def halving(*, learning_rate: float, every: int, factor: float) -> Schedule:
    """Returns a schedule that multiplies the rate by ``factor`` every few epochs."""
    return lambda epoch, control: learning_rate * factor ** (epoch // every)


def cosine(*, learning_rate: float, epochs: int) -> Schedule:
    """Returns a schedule that falls from the rate to 0 over half a cosine."""
    return lambda epoch, control: (
        learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    )


def plateau(
    *, learning_rate: float, patience: int, factor: float, threshold: float = 1e-4
) -> Schedule:
    """Returns a schedule that falls when the selection loss no longer does.

    As PyTorch's ``ReduceLROnPlateau`` called once an epoch: an epoch is good when its
    loss is below the lowest so far by the share ``threshold``; after more than
    ``patience`` epochs that are not, the rate is multiplied by ``factor`` and counting
    begins anew.
    """

    def rate(epoch: int, control: Control) -> float:
        del epoch
        lowest, bad, drops = math.inf, 0, 0
        for loss in control.losses:
            if loss < lowest * (1 - threshold):
                lowest, bad = float(loss), 0
            else:
                bad += 1
            if bad > patience:
                drops, bad = drops + 1, 0
        return learning_rate * factor**drops

    return rate


def make_schedule(
    name: str, *, learning_rate: float, every: int, factor: float, epochs: int
) -> Schedule:
    """Returns the schedule of that name.

    Args:
        name: ``constant``, ``halving``, ``cosine`` or ``plateau``.
        learning_rate: Of the first epoch.
        every: Epochs between halvings, or the plateau's patience.
        factor: What the rate is multiplied by then.
        epochs: Length of the cosine.

    Raises:
        InputError: If the name is unknown; the text lists the known ones.
    """
    known: dict[str, Callable[[], Schedule]] = {
        "constant": lambda: constant(learning_rate=learning_rate),
        "halving": lambda: halving(
            learning_rate=learning_rate, every=every, factor=factor
        ),
        "cosine": lambda: cosine(learning_rate=learning_rate, epochs=epochs),
        "plateau": lambda: plateau(
            learning_rate=learning_rate, patience=every, factor=factor
        ),
    }
    if name not in known:
        raise InputError(f"schedule {name!r}: expected one of {list(known)}")
    return known[name]()
