"""Losses, one value an example.

Outputs ``(b, k)`` and targets ``(b,)`` give ``(b,)``. Pure and unjitted; a task
names its loss, `LOSSES` has it by name.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Num

Loss = Callable[..., jax.Array]


def mse(outputs: Float[Array, "b 1"], target: Num[Array, " b"]) -> Float[Array, " b"]:
    """Returns the squared difference of the one output and the target."""
    return jnp.square(outputs[:, 0] - target.astype(outputs.dtype))


def cross_entropy(
    outputs: Float[Array, "b k"], target: Num[Array, " b"]
) -> Float[Array, " b"]:
    """Returns minus the log probability of the target class, in nats.

    Args:
        outputs: Logits of ``k`` classes.
        target: Class index in ``[0, k)``, of any number type.
    """
    return optax.softmax_cross_entropy_with_integer_labels(
        outputs, target.astype(jnp.int32)
    )


def binary_cross_entropy(
    outputs: Float[Array, "b 1"], target: Num[Array, " b"]
) -> Float[Array, " b"]:
    """Returns minus the log probability of a yes-or-no target, in nats.

    Args:
        outputs: The logit of yes.
        target: 1 for yes, 0 for no; shares in between are allowed.
    """
    return optax.sigmoid_binary_cross_entropy(
        outputs[:, 0], target.astype(outputs.dtype)
    )


LOSSES: dict[str, Loss] = {
    "mse": mse,
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
}
