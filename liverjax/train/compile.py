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

from liverjax.cohort.schema import ARRAYS, IMAGE, RECORD, TARGET
from liverjax.data.resident import Device
from liverjax.data.rows import OCCURRENCE, ROW, RowKind
from liverjax.train import state as states
from liverjax.train import step as steps

DATA = "data"  # the mesh axis over which a batch is divided

# For what runs once a member: random starts take LLVM 3 s to build instead of 8.
QUICKLY_BUILT = {"xla_backend_optimization_level": 1}


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
class Predictor:
    """A network's predictions, compiled for one group of devices.

    Attributes:
        predict: ``(variables, rows, target, arrays) -> logits, losses`` of one batch.
        batch_size: Rows of it.
        row_length: Numbers in a row.
        target_dtype: Of the target.
        sharding: Where arguments lie: on each device of the group.
    """

    predict: Callable[..., tuple[Array, Array]]
    batch_size: int
    row_length: int
    target_dtype: Any
    sharding: NamedSharding


@dataclasses.dataclass(frozen=True)
class Programs:
    """All that trains, compiled for one group of devices; every member uses the same.

    Attributes:
        create: ``(key, variables, bias) -> state``.
        advance: ``(state, losses, table, arrays, start, stop) -> state, losses``; state
            and losses are donated.
        keep_best: ``(best, variables, better) -> best``; best is donated.
        predictor: Of the same network.
        state: Shapes of a state.
        losses: Shape of an epoch's losses.
        batch_size: Rows of a step.
        capacity: Rows of an index table.
        state_bytes: Of one state and its best copy.
        program_bytes: What the training program needs beside its arguments.
        compile_s: Seconds that compilation took.
    """

    create: Callable[..., states.TrainState]
    advance: Callable[..., tuple[states.TrainState, Array]]
    keep_best: Callable[..., Any]
    predictor: Predictor
    state: states.TrainState
    losses: jax.ShapeDtypeStruct
    batch_size: int
    capacity: int
    state_bytes: int
    program_bytes: int
    compile_s: float

    @property
    def sharding(self) -> NamedSharding:
        """Where arguments lie: on each device of the group."""
        return self.predictor.sharding


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
    row_length: int,
    target_dtype: Any,
    batch_size: int,
    capacity: int,
    devices: Sequence[Device],
    variables: Mapping[str, Any] | None = None,
    num_outputs: int = 1,
) -> Programs:
    """Returns the programs of one group of devices, compiled.

    Args:
        learner: The study's functions.
        arrays: Of the device's records, or shapes, as `liverjax.data.resident.place`.
        row_length: Numbers in a row.
        target_dtype: Of the targets.
        batch_size: Rows a step; a multiple of the number of devices.
        capacity: Rows of the run's longest epoch, a multiple of the batch size.
        devices: Of the group; the batch is divided among them.
        variables: What `Programs.create` will be given, or its shapes.
        num_outputs: Of the network.

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
    create, state = _compile_create(
        learner,
        arrays=arrays,
        row_length=row_length,
        num_outputs=num_outputs,
        variables=variables,
        sharding=sharding,
    )
    advance, losses = _compile_advance(
        learner,
        arrays=arrays,
        state=state,
        table=_table(capacity, row_length, target_dtype, sharding=sharding),
        batch_size=batch_size,
        sharding=sharding,
    )
    best, better = state.variables, _like((), np.bool_, sharding=sharding)
    return Programs(
        create=create,
        advance=advance,
        keep_best=compile_ahead(
            keep_best, best, best, better, sharding=sharding, donate=(0,)
        ),
        predictor=compile_predictor(
            learner,
            arrays=arrays,
            row_length=row_length,
            target_dtype=target_dtype,
            batch_size=batch_size,
            devices=devices,
            variables=best,
        ),
        state=state,
        losses=losses,
        batch_size=batch_size,
        capacity=capacity,
        state_bytes=nbytes(state) + nbytes(best),
        program_bytes=advance.memory_analysis().temp_size_in_bytes,
        compile_s=time.perf_counter() - began,
    )


def compile_predictor(
    learner: Learner,
    *,
    arrays: Mapping[str, Any],
    row_length: int,
    batch_size: int,
    devices: Sequence[Device],
    variables: Mapping[str, Any],
    target_dtype: Any = np.float32,
) -> Predictor:
    """Returns the compiled predictions of a trained network.

    Args:
        learner: The study's functions.
        arrays: The records, or their shapes.
        row_length: Numbers in a row.
        batch_size: Rows a batch; a multiple of the number of devices.
        devices: Of the group; the batch is divided among them.
        variables: Of the network, or their shapes.
        target_dtype: Of the targets.
    """
    sharding = group_sharding(devices)
    gather = _gather(learner, arrays=arrays, sharding=sharding)
    see = functools.partial(_see, crop_fn=learner.crop_fn, gather=gather)

    def predict(variables: Any, rows: Any, target: Any, arrays: Any) -> Any:
        logits = steps.predict_step(
            types.SimpleNamespace(variables=variables),
            {ARRAYS: see(arrays, rows)},
            apply_fn=learner.model.apply,
        )
        return logits, learner.loss_fn(logits, target)

    compiled = compile_ahead(
        predict,
        on_devices(variables, sharding=sharding),
        _like((batch_size, row_length), np.int32, sharding=sharding),
        _like((batch_size,), target_dtype, sharding=sharding),
        arrays,
        sharding=sharding,
    )
    return Predictor(
        predict=compiled,
        batch_size=batch_size,
        row_length=row_length,
        target_dtype=target_dtype,
        sharding=sharding,
    )


def _compile_create(
    learner: Learner,
    *,
    arrays: Any,
    row_length: int,
    num_outputs: int,
    variables: Any,
    sharding: NamedSharding,
) -> tuple[Any, states.TrainState]:
    """Returns the program that a state is born by, and a state's shapes."""
    gather = functools.partial(steps.gather_batch, fetch=learner.kind.fetch)
    see = functools.partial(_see, crop_fn=learner.crop_fn, gather=gather)
    row = _like((1, row_length), np.int32, sharding=sharding)
    image = jax.eval_shape(see, arrays, row)[IMAGE]

    def create(key: Any, variables: Any, bias: Any) -> states.TrainState:
        state = states.create_state(
            key,
            model=learner.model,
            tx=learner.tx,
            image=jnp.zeros(image.shape, image.dtype),
            variables=variables,
        )
        if learner.head is None:
            return state
        return state.replace(
            params=states.with_bias(state.params, bias, layer=learner.head)
        )

    key = jax.eval_shape(lambda: states.member_key(0, fold=0))
    given = on_devices((key, variables), sharding=sharding)
    given = (*given, _like((num_outputs,), np.float32, sharding=sharding))
    state = on_devices(jax.eval_shape(create, *given), sharding=sharding)
    on_cpu = next(iter(sharding.device_set)).platform == "cpu"
    options = QUICKLY_BUILT if on_cpu else None
    return compile_ahead(create, *given, sharding=sharding, options=options), state


def _compile_advance(
    learner: Learner,
    *,
    arrays: Any,
    state: states.TrainState,
    table: Mapping[str, jax.ShapeDtypeStruct],
    batch_size: int,
    sharding: NamedSharding,
) -> tuple[Any, jax.ShapeDtypeStruct]:
    """Returns the program of an epoch's steps, and the shape of their losses."""
    gather = _gather(learner, arrays=arrays, sharding=sharding)
    step = functools.partial(
        steps.train_step,
        apply_fn=learner.model.apply,
        tx=learner.tx,
        loss_fn=learner.loss_fn,
        augment_fn=learner.augment_fn,
    )
    like = functools.partial(_like, sharding=sharding)
    part = {k: like((batch_size, *v.shape[1:]), v.dtype) for k, v in table.items()}
    _, metrics = jax.eval_shape(step, state, jax.eval_shape(gather, arrays, part))
    losses = like((table[ROW].shape[0] // batch_size,), metrics["loss"].dtype)
    run = functools.partial(
        steps.run_steps, step=step, gather=gather, batch_size=batch_size
    )
    bound = like((), np.int32)
    given = (state, losses, table, arrays, bound, bound)
    return compile_ahead(run, *given, sharding=sharding, donate=(0, 1)), losses


def _table(
    capacity: int, row_length: int, target_dtype: Any, *, sharding: NamedSharding
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of an index table, as `liverjax.data.rows.make_table`'s."""
    like = functools.partial(_like, sharding=sharding)
    return {
        ROW: like((capacity, row_length), np.int32),
        RECORD: like((capacity,), np.int32),
        OCCURRENCE: like((capacity,), np.int32),
        TARGET: like((capacity,), target_dtype),
    }


def _see(arrays: Any, rows: Any, *, crop_fn: Any, gather: Any) -> Any:
    """Returns what the network sees of rows in evaluation."""
    table = {ROW: rows} | dict.fromkeys((RECORD, OCCURRENCE, TARGET), rows[:, 0])
    return jax.vmap(crop_fn)(gather(arrays, table)[ARRAYS])


def _gather(
    learner: Learner, *, arrays: Any, sharding: NamedSharding
) -> Callable[..., Any]:
    """Returns `gather_batch`, each device of the group reading its own examples.

    From records that all of them have, or each its own, as a stream brings them.
    """
    own = PartitionSpec(DATA)
    read = functools.partial(steps.gather_batch, fetch=learner.kind.fetch)
    if _is_divided(arrays):
        read = jax.shard_map(
            read, mesh=sharding.mesh, in_specs=(own, own), out_specs=own
        )

    def gather(arrays: Any, table: Mapping[str, Array]) -> dict[str, Any]:
        if sharding.num_devices > 1:
            divided = NamedSharding(sharding.mesh, own)
            table = jax.lax.with_sharding_constraint(dict(table), divided)
        return read(arrays, table)

    return gather


def _is_divided(arrays: Any) -> bool:
    """Whether the devices of a group hold different records."""
    shardings = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(arrays)]
    return any(s is not None and not s.is_fully_replicated for s in shardings)


def compile_ahead(
    function: Callable[..., Any],
    *arguments: Any,
    sharding: NamedSharding,
    donate: tuple[int, ...] = (),
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Returns a function compiled for its arguments, or their shapes, and no others."""
    jitted = jax.jit(function, out_shardings=sharding, donate_argnums=donate)
    given = None if options is None else dict(options)
    return jitted.lower(*arguments).compile(compiler_options=given)


def _like(shape: tuple[int, ...], dtype: Any, *, sharding: NamedSharding) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def on_devices(tree: Any, *, sharding: NamedSharding) -> Any:
    """Returns the shapes of a tree whose leaves lie where a sharding says."""
    return jax.tree.map(
        lambda leaf: _like(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def nbytes(tree: Any) -> int:
    """Returns the bytes of a tree of arrays or shapes."""
    return sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)
    )
