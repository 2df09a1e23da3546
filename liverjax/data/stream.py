"""A cohort that does not fit: read by row from its shards, block after block.

A block holds the records of a few batches in the order of their rows, ready on the
device before it is asked for. grain reads ahead in threads and knows of no order of its
own: rows come in the order given. What has been read is kept in host memory as far as a
cap allows, for the next epoch and for every device of the process. Each device of a
group has its own rows of every batch, and a process reads those of its devices alone.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Int

from liverjax.cohort.records import decode
from liverjax.cohort.schema import Cohort
from liverjax.data.resident import Device, Walk, aligned_empty, place
from liverjax.data.rows import RowKind
from liverjax.errors import InputError

THREADS = 2  # that read, for each device or group of devices
AHEAD = 2  # blocks that wait, read, until they are asked for
# In memory at once: the block in use, those ahead, and the bytes they are copied from.
BLOCKS = AHEAD + 2
BLOCK_BYTES = 64 * 2**20  # enough that a call costs nothing beside its steps
READ_BYTES = 2**20  # of one batched read
WHOLE = Fraction(1)
STAGED = 0.25  # share of the cap that blocks take at most, where it can be chosen


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the memory given to a stream is divided.

    Attributes:
        steps: Batches of a block.
        block_records: Records of a block, on all devices of a group.
        block_bytes: Of those that this process reads.
        kept: Records that stay in memory once they have been read.
    """

    steps: int
    block_records: int
    block_bytes: int
    kept: int


def divide(
    cap_bytes: int,
    *,
    cohort: Cohort,
    rows: int,
    row_records: int,
    groups: int,
    longest: int,
    share: Fraction = WHOLE,
) -> Layout:
    """Returns how a cap is divided among blocks and records that are kept.

    Args:
        cap_bytes: Host memory for records, of the whole process.
        cohort: What is read.
        rows: Of a batch.
        row_records: Records a row reads.
        groups: Devices or groups of devices with a stream each.
        longest: Batches of the longest epoch; no block is longer.
        share: Of a batch's rows that a process reads, the largest of any process: all
            divide alike.

    Raises:
        InputError: If the blocks of one batch are more than that.
    """
    record_bytes = sum(spec.nbytes for spec in cohort.arrays)
    batch_bytes = math.ceil(rows * share) * row_records * record_bytes
    least = BLOCKS * groups * batch_bytes
    if least > cap_bytes:
        raise InputError(
            f"{_size(cap_bytes)} of host memory are too little for a stream: a batch "
            f"of {rows} rows is {_size(batch_bytes)}, and {BLOCKS} are in memory at "
            f"once for each of {groups} devices or groups of them; set data.memory_gib "
            f"to {_size(least)} or more, or lower train.batch_size"
        )
    wanted = min(BLOCK_BYTES, int(cap_bytes * STAGED) // (BLOCKS * groups))
    steps = max(1, min(wanted // batch_bytes, longest))
    left = cap_bytes - BLOCKS * groups * steps * batch_bytes
    return Layout(
        steps=steps,
        block_records=steps * rows * row_records,
        block_bytes=steps * batch_bytes,
        kept=min(left // record_bytes, cohort.num_records),
    )


def block_shapes(
    cohort: Cohort, layout: Layout, *, sharding: NamedSharding, kind: RowKind
) -> dict[str, Any]:
    """Returns the shapes of a block's arrays, for compilation."""
    count = layout.block_records // sharding.num_devices
    part = {
        spec.name: jax.ShapeDtypeStruct((count, *spec.shape), spec.dtype)
        for spec in cohort.arrays
    }
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            (sharding.num_devices * leaf.shape[0], *leaf.shape[1:]),
            leaf.dtype,
            sharding=divided(sharding),
        ),
        place(part, sharding, overlap=kind.records - 1),
    )


def divided(sharding: NamedSharding) -> NamedSharding:
    """Returns where a block lies: each device of the group has its own rows' records.

    Args:
        sharding: Of the group; its mesh has one axis.
    """
    (axis,) = sharding.mesh.axis_names
    return NamedSharding(sharding.mesh, PartitionSpec(axis))


def largest_share(devices: Sequence[Device]) -> Fraction:
    """Returns the share of a batch's rows that one process of a group reads at most."""
    own = collections.Counter(device.process_index for device in devices)
    return Fraction(max(own.values()), len(devices))


class Records:
    """A cohort's records by number, for any number of threads.

    The first that are asked for are kept, up to a number, and never given up: of rows
    that come once an epoch in random order no other rule finds more of them.
    """

    def __init__(self, cohort: Cohort, *, keep: int) -> None:
        self.specs = cohort.arrays
        files = [str(cohort.path / shard.file) for shard in cohort.shards]
        self._shards = grain.sources.ArrayRecordDataSource(files)
        if len(self._shards) != cohort.num_records:
            raise InputError(
                f"{cohort.path}: {len(self._shards)} records in its shards, "
                f"cohort.json says {cohort.num_records}; prepare it again with "
                "python -m data_prep.build"
            )
        self._kept = {
            spec.name: aligned_empty((keep, *spec.shape), dtype=spec.dtype)
            for spec in self.specs
        }
        self._slot = np.full(cohort.num_records, -1)  # where a record is kept
        self._used, self._keep = 0, keep
        self._guard = threading.Lock()

    @property
    def in_memory(self) -> int:
        """Records that are kept by now."""
        return self._used

    def read(
        self, numbers: Int[np.ndarray, " n"], *, out: Mapping[str, np.ndarray]
    ) -> None:
        """Writes records into the first places of arrays.

        Args:
            numbers: Of the records, in order.
            out: Arrays ``(at least n, ...)`` by name.
        """
        slots = self._slot[numbers]
        found = np.flatnonzero(slots >= 0)
        for name, kept in self._kept.items():
            out[name][found] = kept[slots[found]]
        absent = np.flatnonzero(slots < 0)
        absent = absent[np.argsort(numbers[absent], kind="stable")]
        distinct, first = np.unique(numbers[absent], return_index=True)
        places = np.split(absent, first[1:])  # of each distinct number
        # Of two threads' chunks together no more than a block; and small, because what
        # a thread has freed stays with the process for the next of its kind.
        nbytes = sum(spec.nbytes for spec in self.specs)
        size = max(1, min(len(numbers) // THREADS, READ_BYTES // nbytes))
        for start in range(0, len(distinct), size):
            chunk = distinct[start : start + size]
            contents = self._shards.__getitems__(chunk.tolist())
            for i, content in enumerate(contents):
                arrays = decode(content, specs=self.specs)
                for name, array in arrays.items():
                    out[name][places[start + i]] = array
                self._remember(int(chunk[i]), arrays)

    def _remember(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        if self._used == self._keep:
            return
        with self._guard:
            if self._used == self._keep or self._slot[number] >= 0:
                return
            for name, array in arrays.items():
                self._kept[name][self._used] = array
            # Last, so that no thread reads what is not there yet.
            self._slot[number] = self._used
            self._used += 1


@dataclasses.dataclass(frozen=True)
class Stream:
    """Records that come to a group of devices as they are needed.

    Attributes:
        records: Of the cohort, shared by all groups of the process.
        layout: Of the memory.
        kind: Of the rows.
        sharding: Of the group; a block is divided among its devices.
    """

    records: Records
    layout: Layout
    kind: RowKind
    sharding: NamedSharding

    @contextlib.contextmanager
    def walk(
        self, rows: Int[np.ndarray, "n r"], *, batch_size: int, start: int = 0
    ) -> Iterator[Walk]:
        """Gives rows' arrays block by block, as `Resident.walk` gives them at once.

        Args:
            rows: In the order of their steps.
            batch_size: Rows of a step.
            start: The first step that will be asked for; they only go up from there.
        """
        block_rows, count = self.layout.steps * batch_size, self.kind.records
        own = batch_size // self.sharding.num_devices  # rows of a batch on a device
        row = np.arange(len(rows)) % block_rows
        place = row // batch_size * own + row % own  # of a row on its device
        places = (place[:, None] * rows.shape[1] + np.arange(rows.shape[1])) * count
        numbers = (rows[..., None] + np.arange(count)).reshape(len(rows), -1)
        device = row % batch_size // own
        blocks = [
            [
                numbers[i : i + block_rows][device[i : i + block_rows] == d].ravel()
                for d in range(self.sharding.num_devices)
            ]
            for i in range(0, len(rows), block_rows)
        ]
        iterator = iter(
            grain.MapDataset.source(blocks[start // self.layout.steps :])
            .map(self._read)
            .to_iter_dataset(
                grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)
            )
        )
        try:
            yield Walk(
                rows=places.astype(rows.dtype),
                steps=len(rows) // batch_size,
                block_steps=self.layout.steps,
                next_block=functools.partial(next, iterator),
            )
        finally:
            iterator.close()

    def _read(self, numbers: Sequence[Int[np.ndarray, " n"]]) -> dict[str, Any]:
        """Returns each device's records, in the first places of its part of a block.

        Args:
            numbers: Of the records of each device; those of other processes' devices
                are left to them.
        """
        devices = self.sharding.mesh.devices.ravel()
        count, parts = self.layout.block_records // len(devices), []
        for own, device in zip(numbers, devices, strict=True):
            if device.process_index != jax.process_index():
                continue
            part = {
                spec.name: aligned_empty((count, *spec.shape), dtype=spec.dtype)
                for spec in self.records.specs
            }
            self.records.read(own, out=part)
            where = jax.sharding.SingleDeviceSharding(device)
            parts.append(place(part, where, overlap=self.kind.records - 1))
        whole = divided(self.sharding)

        def join(*parts: Any) -> Any:
            shape = (len(devices) * parts[0].shape[0], *parts[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, whole, parts)

        return jax.tree.map(join, *parts)


def _size(count: int) -> str:
    power = min(max(count, 1).bit_length() - 1, 39) // 10
    return f"{count / 2 ** (10 * power):.4g} {('B', 'KiB', 'MiB', 'GiB')[power]}"
