"""The training step: one network, one batch. Pure, unjitted, for anyone's arrays.

``train_step`` knows nothing of folds, devices, cohorts or files. `run_steps` is the
walk over an epoch's rows that `liverjax.train.compile` compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, Num

from liverjax.cohort.schema import ARRAYS, IMAGE, RECORD, TARGET
from liverjax.data.rows import OCCURRENCE, ROW
from liverjax.train.state import DROPOUT, TrainState

Batch = Mapping[str, Any]


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    apply_fn: Callable[..., Any],
    tx: optax.GradientTransformation,
    loss_fn: Callable[..., Array],
    augment_fn: Callable[..., Mapping[str, Array]],
) -> tuple[TrainState, dict[str, Array]]:
    """Returns the state after one step, and the batch's ``loss`` and ``grad_norm``.

    Args:
        state: Of one network. May be donated.
        batch: ``record`` ``(b,)`` names each example, ``arrays`` holds their arrays by
            name, ``target`` ``(b,)`` the truth; ``occurrence`` ``(b,)`` counts an
            example's earlier visits in this epoch and may be absent.
        apply_fn: ``(variables, images, *, train, mutable, rngs) -> (logits, updated)``,
            as a Linen module's ``apply``.
        tx: The optimiser.
        loss_fn: ``(logits (b, k), target (b,)) -> (b,)``.
        augment_fn: ``(key, arrays) -> arrays`` of one example; ``image`` of what it
            returns is what the network sees.
    """
    arrays = jax.vmap(augment_fn)(example_keys(state, batch), batch[ARRAYS])
    dropout_key = jax.random.fold_in(jax.random.fold_in(state.key, DROPOUT), state.step)

    def objective(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, updated = apply_fn(
            variables,
            arrays[IMAGE],
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
        loss = loss_fn(_at_least_float32(logits), batch[TARGET]).mean()
        return loss, updated.get("batch_stats", {})

    (loss, batch_stats), grads = jax.value_and_grad(objective, has_aux=True)(
        state.params
    )
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    state = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, {"loss": loss, "grad_norm": optax.tree.norm(grads)}


def predict_step(
    state: Any, batch: Batch, *, apply_fn: Callable[..., Array]
) -> Float[Array, "b k"]:
    """Returns the logits of a batch's images, by the running statistics.

    Args:
        state: Whatever has ``variables``: `TrainState`, or one's own.
        batch: ``arrays`` with the ``image`` that the network sees, ``(b, ...)``.
        apply_fn: ``(variables, images, *, train) -> logits``.
    """
    logits = apply_fn(state.variables, batch[ARRAYS][IMAGE], train=False)
    return _at_least_float32(logits)


def example_keys(state: TrainState, batch: Batch) -> Key[Array, " b"]:
    """Returns the augmentation key of each example.

    Folded from (seed, fold), epoch, first record and occurrence alone: an example is
    changed alike in any batch, on any device.
    """
    epoch_key = jax.random.fold_in(state.key, state.epoch)
    record = jnp.asarray(batch[RECORD])
    occurrence = batch.get(OCCURRENCE, jnp.zeros_like(record))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(epoch_key, record)
    return jax.vmap(jax.random.fold_in)(keys, occurrence)


def gather_batch(
    arrays: Mapping[str, Any],
    table: Mapping[str, Array],
    *,
    fetch: Callable[..., Mapping[str, Array]],
) -> dict[str, Any]:
    """Returns the batch that rows of an index table stand for.

    Args:
        arrays: Records' arrays by name.
        table: ``row`` ``(b, r)`` says where in these arrays an example is; ``record``,
            ``occurrence`` and ``target`` ``(b,)``.
        fetch: ``(arrays, row) -> arrays`` of one example.
    """
    return {
        RECORD: table[RECORD],
        OCCURRENCE: table[OCCURRENCE],
        ARRAYS: jax.vmap(fetch, (None, 0))(arrays, table[ROW]),
        TARGET: table[TARGET],
    }


def run_steps(
    state: TrainState,
    losses: Float[Array, " steps"],
    table: Mapping[str, Num[Array, "rows ..."]],
    arrays: Mapping[str, Any],
    start: Int[Array, ""],
    stop: Int[Array, ""],
    *,
    step: Callable[..., tuple[TrainState, dict[str, Array]]],
    gather: Callable[..., Batch],
    batch_size: int,
) -> tuple[TrainState, Float[Array, " steps"]]:
    """Returns state and losses after steps ``start`` to ``stop`` of an epoch.

    Both bounds are arguments, so that one program serves epochs of any length and
    pieces of any size.

    Args:
        state: Before step ``start``.
        losses: Of the epoch's steps; entries from ``start`` to ``stop`` are written.
        table: The epoch's rows in order, padded to the run's longest epoch.
        arrays: Records' arrays by name; arguments, never closed over.
        start: First step.
        stop: One past the last step.
        step: ``(state, batch) -> (state, metrics)``.
        gather: ``(arrays, table) -> batch`` of a batch's part of the table.
        batch_size: Rows a step.
    """

    def body(i, carry):
        state, losses = carry
        part = {
            name: jax.lax.dynamic_slice_in_dim(column, i * batch_size, batch_size)
            for name, column in table.items()
        }
        state, metrics = step(state, gather(arrays, part))
        return state, losses.at[i].set(metrics["loss"])

    return jax.lax.fori_loop(start, stop, body, (state, losses))


def _at_least_float32(logits: Array) -> Array:
    """Returns logits for losses and links: float32 where the network computes lower."""
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
