"""Linear heads on frozen features: fold x seed x trial in one program.

A head takes the very steps it would take alone (`liverjax.train.step`): the same start,
rows, losses and optimiser. What differs between heads (key, hyperparameters, rows,
length of an epoch) has the leading axes fold, seed and trial; the features are shared.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from liverjax.cohort.schema import ARRAYS, IMAGE
from liverjax.train import state as states
from liverjax.train import step as steps
from liverjax.train.compile import Learner, keep_best

POOLED = "pooled"  # the stage that a network's head sees


class LinearHead(nn.Module):
    """A network's last layer: dropout, then logits (b, num_outputs).

    Attributes:
        num_outputs: Numbers an image gets.
        layer: Its name in the network.
        dropout: Share of features dropped in training.
    """

    num_outputs: int
    layer: str
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, features: Float[Array, "b d"], *, train: bool
    ) -> Float[Array, "b k"]:
        """Logits of features."""
        x = nn.Dropout(self.dropout, deterministic=not train)(features)
        return nn.Dense(self.num_outputs, name=self.layer)(x)


@dataclasses.dataclass(frozen=True)
class Head:
    """The head of a network: born as it is inside the network, applied to features.

    Attributes:
        network: The whole, with ``num_outputs`` and ``dropout``.
        layer: Name of its last layer.
        image_shape: Of what the network sees, ``(1, h, w, c)``.
    """

    network: Any
    layer: str
    image_shape: tuple[int, ...]

    def init(self, rngs: Any, features: Any, *, train: bool) -> dict[str, Any]:
        """Returns the start that this layer has in the network of the same key."""
        del features
        image = jnp.zeros(self.image_shape, jnp.float32)
        # Under `jit` the other layers' starts are never computed.
        born = self.network.init(rngs, image, train=train)["params"]
        return {"params": {self.layer: born[self.layer]}}

    def apply(self, variables: Any, features: Any, **options: Any) -> Any:
        """Returns logits, as a Linen module's ``apply``."""
        network = self.network
        head = LinearHead(network.num_outputs, self.layer, network.dropout)
        return head.apply(variables, features, **options)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network without its head, as a model that `compile_predictor` takes.

    Attributes:
        network: The whole.
    """

    network: Any

    def apply(self, variables: Any, image: Any, *, train: bool) -> Float[Array, "b d"]:
        """Returns what the head sees of images."""
        _, shown = self.network.apply(
            variables, image, train=train, mutable=["features"]
        )
        return shown["features"][POOLED]


def over_heads(function: Callable[..., Any], *, axes: Any) -> Callable[..., Any]:
    """Returns a function of one head as one of all.

    Args:
        function: Of positional arguments.
        axes: For each argument, which of the axes fold, seed and trial it has: ``fst``,
            ``fs``, ``f`` or nothing.
    """
    for axis in "tsf":
        function = jax.vmap(function, [0 if axis in has else None for has in axes])
    return function


def create_heads(
    keys: Any,
    bias: Float[Array, "f k"],
    trials: Any,
    *,
    learner: Learner,
    width: int,
    variables: Mapping[str, Any] | None = None,
) -> states.TrainState:
    """Returns heads before their first step, axes fold, seed and trial.

    Args:
        keys: Of fold and seed, ``(f, s)``.
        bias: The head's first bias, of each fold.
        trials: Values of the hyperparameters by name, each ``(f, s, t)``.
        learner: ``model`` is a `Head`.
        width: Number of features.
        variables: To start from; None is the random start.
    """

    def create(key: Any, bias: Any, values: Any) -> states.TrainState:
        state = states.create_state(
            key,
            model=learner.model,
            tx=learner.tx,
            image=jnp.zeros((1, width)),
            variables=variables,
        )
        hyperparams = state.opt_state.hyperparams
        values = {name: v.astype(hyperparams[name].dtype) for name, v in values.items()}
        return state.replace(
            params=states.with_bias(state.params, bias, layer=learner.model.layer),
            opt_state=state.opt_state._replace(hyperparams=hyperparams | values),
        )

    return over_heads(create, axes=("fs", "f", "fst"))(keys, bias, trials)


def run_heads(
    state: states.TrainState,
    failed: Int[Array, "f s t"],
    tables: Mapping[str, Any],
    arrays: Mapping[str, Any],
    start: Int[Array, ""],
    stop: Int[Array, ""],
    counts: Int[Array, "f s t"],
    *,
    learner: Learner,
    batch_size: int,
) -> tuple[states.TrainState, Int[Array, "f s t"]]:
    """Returns heads after steps ``start`` to ``stop`` of an epoch, and who failed.

    A head whose epoch is shorter, that has stopped (a count of 0) or failed keeps its
    whole state.

    Args:
        state: Of all heads.
        failed: The step at which a head's loss was not finite, -1 where none was.
        tables: Index tables of fold and seed, ``(f, s, rows, ...)``.
        arrays: The features of every record, under ``image``.
        start: First step.
        stop: One past the last.
        counts: Steps of each head's epoch.
        learner: Its functions.
        batch_size: Rows a step.
    """
    gather = functools.partial(steps.gather_batch, fetch=learner.kind.fetch)
    step = functools.partial(
        steps.train_step,
        apply_fn=learner.model.apply,
        tx=learner.tx,
        loss_fn=learner.loss_fn,
        augment_fn=learner.augment_fn,
    )

    def body(i, carry):
        state, failed = carry
        part = {
            name: jax.lax.dynamic_slice_in_dim(column, i * batch_size, batch_size, 2)
            for name, column in tables.items()
        }
        # Once for all trials of a fold and seed, which share their rows.
        batch = jax.vmap(jax.vmap(gather, (None, 0)), (None, 0))(arrays, part)
        moved, metrics = over_heads(step, axes=("fst", "fs"))(state, batch)
        finite = jnp.isfinite(metrics["loss"])
        active = (i < counts) & (failed < 0)
        state = _choose(active & finite, moved, state)
        return state, jnp.where(active & ~finite, i, failed)

    return jax.lax.fori_loop(start, stop, body, (state, failed))


def predict_heads(
    variables: Mapping[str, Any],
    rows: Int[Array, "f n r"],
    target: Any,
    arrays: Mapping[str, Any],
    *,
    learner: Learner,
) -> tuple[Float[Array, "f s t n k"], Float[Array, "f s t n"]]:
    """Returns logits and losses of each fold's rows by that fold's heads."""

    def predict(variables: Any, rows: Any, target: Any) -> Any:
        seen = jax.vmap(learner.kind.fetch, (None, 0))(arrays, rows)
        logits = steps.predict_step(
            types.SimpleNamespace(variables=variables),
            {ARRAYS: {IMAGE: seen[IMAGE]}},
            apply_fn=learner.model.apply,
        )
        return logits, learner.loss_fn(logits, target)

    return over_heads(predict, axes=("fst", "f", "f"))(variables, rows, target)


def keep_best_heads(best: Any, variables: Any, better: Bool[Array, "f s t"]) -> Any:
    """Returns each head's new variables where they are better, else its best ones."""
    return over_heads(keep_best, axes=("fst",) * 3)(best, variables, better)


def _choose(where: Bool[Array, "f s t"], one: Any, other: Any) -> Any:
    return over_heads(
        lambda where, one, other: jax.tree.map(
            lambda a, b: jnp.where(where, a, b), one, other
        ),
        axes=("fst",) * 3,
    )(where, one, other)
