"""The only `jit`: what one device, or one group of devices, runs for every member.

Everything is compiled ahead, so that a call that would need another program is an
error and not another program. Arrays of the cohort are arguments of every program.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool

from liverjax.cohort.schema import ARRAYS, IMAGE, TARGET
from liverjax.data.resident import Device
from liverjax.data.rows import OCCURRENCE, ROW, RowKind
from liverjax.train import state as states
from liverjax.train import step as steps

DATA = "data"  # the mesh axis over which a batch is divided


@dataclasses.dataclass(frozen=True)
class Learner:
    """The pure functions of a study: what is compiled, and nothing else.

    Attributes:
        model: ``init`` and ``apply``, as a Linen module.
        tx: The optimiser, as `liverjax.train.optimizer.adam`.
        loss_fn: ``(logits (b, k), target (b,)) -> (b,)``.
        kind: How a row becomes an example.
        augment_fn: ``(key, arrays) -> arrays`` of one example in training.
        crop_fn: ``(arrays) -> arrays`` of one example in evaluation.
        head: The network's last layer; None leaves its first bias as it is born.
    """

    model: Any
    tx: optax.GradientTransformation
    loss_fn: Callable[..., Array]
    kind: RowKind
    augment_fn: Callable[..., Mapping[str, Array]]
    crop_fn: Callable[..., Mapping[str, Array]]
    head: str | None = None


@dataclasses.dataclass(frozen=True)
class Programs:
    """Compiled for one group of devices; every member of a run uses the same.

    Attributes:
        create: ``(key, variables, bias) -> state``.
        advance: ``(state, losses, table, arrays, start, stop) -> state, losses``; state
            and losses are donated.
        predict: ``(variables, rows, target, arrays) -> logits, losses`` of one batch.
        keep_best: ``(best, variables, better) -> best``; best is donated.
        state: Shapes of a state.
        losses: Shape of an epoch's losses.
        sharding: Where arguments lie: on each device of the group.
        batch_size: Rows of a step and of a prediction.
        capacity: Rows of an index table.
        state_bytes: Of one state and its best copy.
        program_bytes: What the training program needs beside its arguments.
        compile_s: Seconds that compilation took.
    """

    create: Callable[..., states.TrainState]
    advance: Callable[..., tuple[states.TrainState, Array]]
    predict: Callable[..., tuple[Array, Array]]
    keep_best: Callable[..., Any]
    state: states.TrainState
    losses: jax.ShapeDtypeStruct
    sharding: NamedSharding
    batch_size: int
    capacity: int
    state_bytes: int
    program_bytes: int
    compile_s: float


def group_sharding(devices: Sequence[Device]) -> NamedSharding:
    """Returns the sharding that puts an array whole on each device of a group."""
    mesh = Mesh(np.asarray(devices), (DATA,), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec())


def keep_best(
    best: Mapping[str, Any], variables: Mapping[str, Any], better: Bool[Array, ""]
) -> Mapping[str, Any]:
    """Returns the new variables if they are better, else the best ones so far."""
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), variables, best)


def compile_programs(
    learner: Learner,
    *,
    arrays: Mapping[str, Any],
    example_row: np.ndarray,
    target_dtype: Any,
    batch_size: int,
    capacity: int,
    devices: Sequence[Device],
    variables: Mapping[str, Any] | None = None,
    bias_length: int = 1,
) -> Programs:
    """Returns the programs of one group of devices, compiled.

    Args:
        learner: The study's functions.
        arrays: The records, or their shapes, as `liverjax.data.resident.place` gives.
        example_row: Any row; its length counts.
        target_dtype: Of the targets.
        batch_size: Rows a step; a multiple of the number of devices.
        capacity: Rows of the run's longest epoch, a multiple of the batch size.
        devices: Of the group; the batch is divided among them.
        variables: What `Programs.create` will be given, or its shapes.
        bias_length: Outputs of the network.

    Raises:
        ValueError: If the batch or the capacity cannot be divided so.
    """
    if batch_size % len(devices) or capacity % batch_size:
        raise ValueError(
            f"batch_size={batch_size} must be a multiple of {len(devices)} devices and "
            f"capacity={capacity} one of the batch size"
        )
    began = time.perf_counter()
    sharding = group_sharding(devices)
    compiled = functools.partial(_compile, sharding=sharding)
    like = functools.partial(_like, sharding=sharding)
    row = like((batch_size, len(example_row)), np.int32)
    target = like((batch_size,), target_dtype)

    gather = functools.partial(
        _gather_divided,
        fetch=learner.kind.fetch,
        divided=NamedSharding(sharding.mesh, PartitionSpec(DATA)),
    )
    train = functools.partial(
        steps.train_step,
        apply_fn=learner.model.apply,
        tx=learner.tx,
        loss_fn=learner.loss_fn,
        augment_fn=learner.augment_fn,
    )

    def see(arrays: Any, rows: Any) -> Any:
        table = {ROW: rows, OCCURRENCE: rows[:, 0], TARGET: rows[:, 0]}
        return jax.vmap(learner.crop_fn)(gather(arrays, table)[ARRAYS])

    image = jax.eval_shape(see, arrays, row)[IMAGE]

    def create(key: Any, variables: Any, bias: Any) -> states.TrainState:
        state = states.create_state(
            key,
            model=learner.model,
            tx=learner.tx,
            image=jnp.zeros((1, *image.shape[1:]), image.dtype),
            variables=variables,
        )
        if learner.head is None:
            return state
        return state.replace(
            params=states.with_bias(state.params, bias, layer=learner.head)
        )

    def predict(variables: Any, rows: Any, target: Any, arrays: Any) -> Any:
        logits = steps.predict_step(
            types.SimpleNamespace(variables=variables),
            {ARRAYS: see(arrays, rows)},
            apply_fn=learner.model.apply,
        )
        return logits, learner.loss_fn(logits, target)

    key = jax.eval_shape(lambda: states.member_key(0, fold=0))
    born = (
        _place(key, sharding=sharding),
        _place(variables, sharding=sharding),
        like((bias_length,), np.float32),
    )
    state = _place(jax.eval_shape(create, *born), sharding=sharding)
    table = {
        ROW: like((capacity, len(example_row)), np.int32),
        OCCURRENCE: like((capacity,), np.int32),
        TARGET: like((capacity,), target_dtype),
    }
    part = {k: like((batch_size, *v.shape[1:]), v.dtype) for k, v in table.items()}
    _, metrics = jax.eval_shape(train, state, jax.eval_shape(gather, arrays, part))
    losses = like((capacity // batch_size,), metrics["loss"].dtype)
    run = functools.partial(
        steps.run_steps, step=train, gather=gather, batch_size=batch_size
    )
    bound = like((), np.int32)
    advance = compiled(run, state, losses, table, arrays, bound, bound, donate=(0, 1))
    best = state.variables
    return Programs(
        create=compiled(create, *born),
        advance=advance,
        predict=compiled(predict, best, row, target, arrays),
        keep_best=compiled(keep_best, best, best, like((), np.bool_), donate=(0,)),
        state=state,
        losses=losses,
        sharding=sharding,
        batch_size=batch_size,
        capacity=capacity,
        state_bytes=_nbytes(state) + _nbytes(best),
        program_bytes=advance.memory_analysis().temp_size_in_bytes,
        compile_s=time.perf_counter() - began,
    )


def _gather_divided(
    arrays: Any, table: Mapping[str, Array], *, fetch: Any, divided: NamedSharding
) -> dict[str, Any]:
    """Returns a batch whose examples each device of the group reads for itself."""
    table = jax.lax.with_sharding_constraint(dict(table), divided)
    return steps.gather_batch(arrays, table, fetch=fetch)


def _compile(
    function: Callable[..., Any],
    *arguments: Any,
    sharding: NamedSharding,
    donate: tuple[int, ...] = (),
) -> Any:
    jitted = jax.jit(function, out_shardings=sharding, donate_argnums=donate)
    return jitted.lower(*arguments).compile()


def _like(shape: tuple[int, ...], dtype: Any, *, sharding: NamedSharding) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def _place(tree: Any, *, sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: _like(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _nbytes(tree: Any) -> int:
    return sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)
    )
