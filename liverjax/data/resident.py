"""A cohort that lies where the arithmetic is: once on a device, shared by all members.

Host devices alias one read-only array in memory; every other device gets a copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from liverjax.cohort.records import read_records
from liverjax.cohort.schema import Cohort
from liverjax.data.host_memory import free_host_bytes
from liverjax.errors import InputError

ALIGNMENT = 64  # bytes; XLA:CPU aliases host memory that starts on it and copies other
MAX_ELEMENTS = 2**31  # of one device array; indices inside it are 32 bits wide
MARGIN = 0.1  # share of the free memory that is left alone
_READ_RECORDS = 1024

Device = Any  # jax.Device, which type checkers take for a variable

_log = logging.getLogger(__name__)


class DoesNotFit(InputError):
    """The data and what is trained with them are more than the free memory."""


@dataclasses.dataclass
class Walk:
    """Rows in the order of their steps, and the arrays they are read from.

    Attributes:
        rows: ``(n, r)``, the numbers of the rows' records in those arrays.
        steps: Of the walk.
        block_steps: Steps whose records lie on the device together.
        next_block: Gives the arrays of the next block.
    """

    rows: Int[np.ndarray, "n r"]
    steps: int
    block_steps: int
    next_block: Callable[[], Mapping[str, Any]]
    _block: int = -1
    _arrays: Mapping[str, Any] | None = None

    def reach(self, step: int) -> int:
        """Returns the step after the last whose records lie beside this one's."""
        return min(self.steps, (step // self.block_steps + 1) * self.block_steps)

    def arrays(self, step: int) -> Mapping[str, Any]:
        """Returns the arrays of a step's rows; steps only go up.

        Whoever keeps them keeps their memory when the next block comes.
        """
        if self._arrays is None or step // self.block_steps != self._block:
            self._arrays = None
            self._arrays, self._block = self.next_block(), step // self.block_steps
        return self._arrays


@dataclasses.dataclass(frozen=True)
class Resident:
    """Records that all lie on the device, or on every device of a group.

    Attributes:
        arrays: As `place` gives them.
    """

    arrays: Mapping[str, Any]

    @contextlib.contextmanager
    def walk(
        self, rows: Int[np.ndarray, "n r"], *, batch_size: int, start: int = 0
    ) -> Iterator[Walk]:
        """Gives rows as they are: one block holds them all.

        Args:
            rows: In the order of their steps.
            batch_size: Rows of a step.
            start: The first step that will be asked for.
        """
        del start
        steps = len(rows) // batch_size
        yield Walk(
            rows=rows,
            steps=steps,
            block_steps=max(steps, 1),
            next_block=lambda: self.arrays,
        )


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["parts"], meta_fields=["stride"]
)
@dataclasses.dataclass(frozen=True)
class Parts:
    """An array of too many elements for one, cut along its first axis.

    Attributes:
        parts: Part ``i`` starts at record ``i * stride`` and reaches far enough into
            the next that any run of records a row reads lies in one part.
        stride: Records between the starts of two parts.
    """

    parts: Any
    stride: int


def take(
    array: Any, first: Int[Array, ""] | int, *, count: int
) -> Shaped[Array, "count ..."]:
    """Returns ``count`` consecutive records of an array on the device, or of its parts.

    Args:
        array: ``(n, ...)``, or `Parts` of it.
        first: Number of the first record.
        count: How many; at most what the parts overlap by, plus one.
    """
    if not isinstance(array, Parts):
        return jax.lax.dynamic_slice_in_dim(array, first, count)
    part = first // array.stride
    branches = [
        functools.partial(jax.lax.dynamic_slice_in_dim, piece, slice_size=count)
        for piece in array.parts
    ]
    return jax.lax.switch(part, branches, first - part * array.stride)


def aligned_empty(shape: tuple[int, ...], *, dtype: Any) -> np.ndarray:
    """Returns a host array of zeros that host devices can alias.

    Of pages of its own, which start aligned and go back to the system when it is freed:
    the allocator keeps what a thread has freed.
    """
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, max(nbytes, 1))
    return np.frombuffer(pages, np.uint8, nbytes).view(dtype).reshape(shape)


def read_host_arrays(cohort: Cohort) -> dict[str, np.ndarray]:
    """Returns all records of a cohort by name, aligned and read-only."""
    count = cohort.num_records
    arrays = {
        spec.name: aligned_empty((count, *spec.shape), dtype=spec.dtype)
        for spec in cohort.arrays
    }
    for first in range(0, count, _READ_RECORDS):
        numbers = np.arange(first, min(first + _READ_RECORDS, count))
        for name, block in read_records(cohort, numbers=numbers).items():
            arrays[name][numbers[0] : numbers[-1] + 1] = block
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def put(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Returns a tree of host arrays on every device of a group; those there stay.

    Of a group that spans processes each puts the whole on its own devices, and nobody
    checks that the others have the same: that is the caller's promise.

    Args:
        tree: Of arrays, or typed keys.
        sharding: Replicated over the devices.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put_here(leaf: Any) -> Any:
        there = getattr(leaf, "sharding", None)
        if there is not None and there.is_equivalent_to(sharding, leaf.ndim):
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put_here(jax.random.key_data(leaf)))
        host = np.asarray(leaf)
        return jax.make_array_from_process_local_data(sharding, host, host.shape)

    return jax.tree.map(put_here, tree)


def own_device(group: Sequence[Device]) -> Device:
    """Returns the first device of a group that this process can address."""
    return next(d for d in group if d.process_index == jax.process_index())


def place(
    arrays: Mapping[str, Any],
    sharding: jax.sharding.Sharding,
    *,
    overlap: int = 0,
    max_elements: int = MAX_ELEMENTS,
) -> dict[str, Any]:
    """Returns the arrays on a device or on every device of a group.

    Args:
        arrays: Host arrays ``(n, ...)`` by name, or `jax.ShapeDtypeStruct` for the
            shapes alone.
        sharding: Replicated over the devices.
        overlap: Records that parts have in common: one less than a row reads.
        max_elements: Larger arrays are cut into `Parts`.
    """

    def put_or_describe(array: Any) -> Any:
        if isinstance(array, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
        return put(array, sharding)

    def whole_or_parts(array: Any) -> Any:
        if math.prod(array.shape) <= max_elements:
            return put_or_describe(array)
        fitting = max_elements // math.prod(array.shape[1:])
        # A multiple of the alignment, so that each part starts on it as the whole does.
        stride = (fitting - overlap) // ALIGNMENT * ALIGNMENT
        if stride <= 0:
            raise InputError(
                f"a record of shape {array.shape[1:]} is too large: rows of "
                f"{overlap + 1} records do not fit {max_elements} elements"
            )
        starts = range(0, max(array.shape[0] - overlap, 1), stride)
        return Parts(
            parts=tuple(
                put_or_describe(_cut(array, start, start + stride + overlap))
                for start in starts
            ),
            stride=stride,
        )

    return {name: whole_or_parts(array) for name, array in arrays.items()}


def free_bytes(device: Device, *, processes: int = 1) -> int:
    """Returns the free memory of a device; on a CPU what this process may take.

    Args:
        device: One of this process's.
        processes: Of liverjax on this host, which share its memory alike.
    """
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    return free_host_bytes() // processes


def check_fit(
    *,
    data: str,
    data_bytes: int,
    group_bytes: int,
    groups: int,
    device: Device,
    processes: int = 1,
    available_bytes: int | None = None,
) -> None:
    """Logs what a run needs of a device's memory beside what is free.

    Args:
        data: What the records in memory are called, such as ``cohort``.
        data_bytes: Of them.
        group_bytes: State, best state and the compiled step's own need.
        groups: Members trained at once from this memory: all of the process's on a
            CPU, where the cohort is shared; 1 on any other device.
        device: One of the run's.
        processes: Of liverjax on this host, which share its memory alike.
        available_bytes: Believed instead of what the device says is free.

    Raises:
        DoesNotFit: With the figures and what helps.
    """
    free = (
        free_bytes(device, processes=processes)
        if available_bytes is None
        else available_bytes
    )
    need = data_bytes + groups * group_bytes
    figures = (
        f"{data} {data_bytes / 1e9:.2f} GB + {groups} x {group_bytes / 1e9:.2f} GB "
        f"for training = {need / 1e9:.2f} GB; free on {device}: {free / 1e9:.2f} GB, "
        f"of which {MARGIN:.0%} are left alone"
    )
    _log.info("memory: %s", figures)
    if need > free * (1 - MARGIN):
        raise DoesNotFit(
            f"the {data} does not fit the memory: {figures}; use a machine with more, "
            "close other programs, lower train.batch_size, or have the records read as "
            "they are needed: data.placement=stream with a data.memory_gib that fits"
        )


def _cut(array: Any, start: int, stop: int) -> Any:
    if isinstance(array, jax.ShapeDtypeStruct):
        length = min(stop, array.shape[0]) - start
        return jax.ShapeDtypeStruct((length, *array.shape[1:]), array.dtype)
    return array[start:stop]
