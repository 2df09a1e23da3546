"""What a network in training is, and how it is born."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Key, Num

from liverjax.errors import InputError

# Folded into a member's key, far above any epoch, which is folded into it too.
INIT = 0x696E6974
DROPOUT = 0x64726F70


class TrainState(struct.PyTreeNode):
    """One network in training: arrays alone, nothing callable.

    Attributes:
        step: Steps taken since birth, int32.
        epoch: Epoch that the next step belongs to, from 0, int32.
        key: Threefry key of (seed, fold), constant; all randomness is folded from it.
        params: Trained parameters.
        batch_stats: Running statistics; empty where the network has none.
        opt_state: Of the optimiser, learning rate and weight decay among its leaves.
    """

    step: Any
    epoch: Any
    key: Any
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What ``apply`` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def member_key(seed: int, *, fold: int) -> Key[Array, ""]:
    """Returns the key that one fold and seed fold all their randomness from."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), fold)


def create_state(
    key: Key[Array, ""],
    *,
    model: Any,
    tx: optax.GradientTransformation,
    image: Num[Array, "b ..."] | Num[np.ndarray, "b ..."],
    variables: Mapping[str, Any] | None = None,
) -> TrainState:
    """Returns a network before its first step. Pure; call it under `jax.jit`.

    Args:
        key: As `member_key` makes it; the random start is folded from it.
        model: Has ``init(rngs, image, train=...)``, as Linen modules do.
        tx: The optimiser.
        image: An example batch; only its shape and type matter.
        variables: ``params`` and ``batch_stats`` to start from. What is absent keeps
            its random start, such as a new head on pretrained layers.

    Raises:
        InputError: If ``variables`` holds a name the network lacks, or another shape.
    """
    born = model.init(jax.random.fold_in(key, INIT), jnp.asarray(image), train=False)
    params, batch_stats = born["params"], born.get("batch_stats", {})
    if variables is not None:
        params = _put_in(params, variables.get("params", {}), path="params")
        batch_stats = _put_in(
            batch_stats, variables.get("batch_stats", {}), path="batch_stats"
        )
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        epoch=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        batch_stats=batch_stats,
        opt_state=tx.init(params),
    )


def with_bias(
    params: Mapping[str, Any], bias: Num[Array, " k"], *, layer: str
) -> dict[str, Any]:
    """Returns parameters with another bias in one top-level layer, such as the head.

    Raises:
        InputError: If there is no such layer with a bias of that length.
    """
    return _put_in(params, {layer: {"bias": bias}}, path="params")


def _put_in(born: Any, given: Any, *, path: str) -> Any:
    """Returns a tree with the leaves of another one, checked by name and shape."""
    if not isinstance(born, Mapping):
        if isinstance(given, Mapping) or given.shape != born.shape:
            found = "a group" if isinstance(given, Mapping) else str(given.shape)
            raise InputError(f"{path}: {found} given, the network has {born.shape}")
        return jnp.asarray(given, born.dtype)
    unknown = sorted(set(given) - set(born))
    if unknown:
        raise InputError(
            f"{path}: {unknown} given, the network has only {sorted(born)}"
        )
    return {
        name: _put_in(leaf, given[name], path=f"{path}/{name}")
        if name in given
        else leaf
        for name, leaf in born.items()
    }
