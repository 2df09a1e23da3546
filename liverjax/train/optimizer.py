"""Adam with both kinds of weight decay, and the learning rate of each epoch.

The rate and both decays are leaves of the optimiser's state, so that the host can
change them between epochs without compiling again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
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


def adam(
    *,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Returns Adam whose learning rate is set from outside, 0 until then.

    Args:
        l2: Times the parameter, added to the gradient before Adam sees it: what
            PyTorch's ``Adam(weight_decay=...)`` does.
        weight_decay: Times the parameter and the learning rate, taken off beside
            Adam's step: what ``AdamW`` does.
        betas: Decay of the mean gradient and of its mean square.
        eps: Added to the root of the mean square.

    Reference:
        Kingma and Ba, Adam (2015); Loshchilov and Hutter, Decoupled weight decay
        regularization (2019), which tells the two decays apart.
    """

    def chain(learning_rate: Any, l2: Any, weight_decay: Any):
        return optax.chain(
            optax.add_decayed_weights(l2),
            optax.scale_by_adam(b1=betas[0], b2=betas[1], eps=eps),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )

    return optax.inject_hyperparams(chain)(
        learning_rate=0.0, l2=l2, weight_decay=weight_decay
    )


def with_learning_rate(opt_state: Any, learning_rate: float) -> Any:
    """Returns the optimiser's state with another learning rate in its leaf."""
    leaf = opt_state.hyperparams["learning_rate"]
    # A numpy array of the leaf's type: a Python float would be another program.
    rate = np.asarray(learning_rate, leaf.dtype)
    return opt_state._replace(
        hyperparams=opt_state.hyperparams | {"learning_rate": rate}
    )


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
