"""Devices made ready to train any member of one run."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from liverjax.config import AUTO, RESIDENT, STREAM
from liverjax.data import resident, stream
from liverjax.data.host_memory import free_host_bytes
from liverjax.data.resident import Device, DoesNotFit, own_device
from liverjax.members.run_folder import Run
from liverjax.members.spanning import least, processes_here
from liverjax.train.compile import Programs, compile_programs, group_sharding
from liverjax.train.evaluate import Source

SHARE = 0.5  # of the host's free memory, for a stream that was given no cap

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Seat:
    """A device, or a group of them, ready to train any member of one run.

    Attributes:
        devices: Of the group; the batch is divided among them.
        programs: Compiled for it.
        source: Of the cohort's records.
    """

    devices: tuple[Device, ...]
    programs: Programs
    source: Source


class Seats:
    """Makes devices ready; where the records lie is settled once for all of them.

    They lie on the devices if they fit, and else are streamed, unless the config says
    which. Only a cohort that fits by itself is tried with what training needs.

    Args:
        run: Whose members are trained.
        groups: Of devices, that `take` will be asked for.
        available: Bytes to believe in instead of what host and devices say is free.
        processes: Of liverjax on this host, which share its memory alike; those that
            train one network together are counted here.
    """

    def __init__(
        self,
        run: Run,
        *,
        groups: Sequence[tuple[Device, ...]],
        available: int | None,
        processes: int = 1,
    ) -> None:
        self.run, self.groups, self.available = run, groups, available
        self._guard = threading.Lock()
        self._host: Mapping[str, Any] | None = None
        self._records: stream.Records | None = None
        spanning = jax.process_count() > 1
        self.processes = processes_here() if spanning else processes
        free = free_host_bytes() // self.processes if available is None else available
        if spanning:  # one network: all must decide alike
            free = least(free >> 20) << 20
        given = run.study.data.memory_gib
        self._cap = int(SHARE * free if given is None else given * 2**30)
        self.placement = run.study.data.placement
        if self.placement == AUTO:
            limit = int(free * (1 - resident.MARGIN)) if given is None else self._cap
            fits = run.cohort.nbytes <= limit
            self.placement = RESIDENT if fits else STREAM
            _log.info(
                "data: %s; the cohort is %.2f GB, the host has room for %.2f GB%s%s",
                self.placement,
                run.cohort.nbytes / 1e9,
                limit / 1e9,
                " (data.memory_gib)" if given else "",
                f" in each of {self.processes} processes" if self.processes > 1 else "",
            )

    def take(self, group: tuple[Device, ...]) -> Seat:
        """Returns one group of devices with its programs and the cohort.

        Raises:
            InputError: If there is too little memory.
        """
        tried = None
        while tried != self.placement:
            tried = self.placement
            programs = self._compile(group, placement=tried)
            self._settle(tried, programs=programs, device=own_device(group))
        return Seat(devices=group, programs=programs, source=self._source(group))

    def _compile(self, group: tuple[Device, ...], *, placement: str) -> Programs:
        run, sharding, kind = self.run, group_sharding(group), self.run.learner.kind
        if placement == STREAM:
            layout = self._divide()
            shapes = stream.block_shapes(
                run.cohort, layout, sharding=sharding, kind=kind
            )
        else:
            every = {
                spec.name: jax.ShapeDtypeStruct(
                    (run.cohort.num_records, *spec.shape), spec.dtype
                )
                for spec in run.cohort.arrays
            }
            shapes = resident.place(every, sharding, overlap=kind.records - 1)
        name = ", ".join(map(str, group))
        _log.info(
            "%s: compiling %s (a large network takes minutes on a CPU)",
            *(name, run.study.model.name),
        )
        programs = compile_programs(
            run.learner,
            arrays=shapes,
            row_length=run.table_shape[1],
            target_dtype=run.targets.dtype,
            batch_size=run.study.train.batch_size,
            capacity=run.table_shape[0],
            devices=group,
            variables=run.variables,
            num_outputs=run.task.num_outputs,
        )
        _log.info("%s: compiled in %.1f s", name, programs.compile_s)
        return programs

    def _settle(self, tried: str, *, programs: Programs, device: Device) -> None:
        """Opens the data where the first of the groups finds that they fit."""
        with self._guard:
            if tried != self.placement or self._host or self._records:
                return
            try:
                self._check_fit(tried, programs=programs, device=device)
            except DoesNotFit as error:
                # Another process may have had room: no change of mind behind its back.
                alone = jax.process_count() == 1
                asked = self.run.study.data.placement
                if tried == STREAM or asked != AUTO or not alone:
                    raise
                _log.info("data: stream; %s", error)
                self.placement = STREAM
                return
            if tried == STREAM:
                self._records = stream.Records(
                    self.run.cohort, keep=self._divide().kept
                )
            else:
                self._host = resident.read_host_arrays(self.run.cohort)

    def _check_fit(self, tried: str, *, programs: Programs, device: Device) -> None:
        on_host = device.platform == "cpu"
        needed = self.run.cohort.nbytes
        if tried == STREAM:
            layout = self._divide()
            kept = layout.kept * self.run.cohort.nbytes // self.run.cohort.num_records
            blocks = stream.BLOCKS * layout.block_bytes
            # Each of a group's devices in this process has its part of a block.
            own = sum(d.process_index == device.process_index for d in self.groups[0])
            needed = len(self.groups) * blocks + kept if on_host else blocks // own
            _log.info(
                "data: stream with %.2f GB of host memory: blocks of %d batches "
                "(%.3f GB, %d at once for each of %d devices), %.2f of %.2f GB kept",
                self._cap / 1e9,
                layout.steps,
                layout.block_bytes / 1e9,
                stream.BLOCKS,
                len(self.groups),
                kept / 1e9,
                self.run.cohort.nbytes / 1e9,
            )
        resident.check_fit(
            data="stream" if tried == STREAM else "cohort",
            data_bytes=needed,
            group_bytes=programs.state_bytes + programs.program_bytes,
            groups=len(self.groups) if on_host else 1,
            device=device,
            processes=self.processes,
            available_bytes=self.available,
        )

    def _divide(self) -> stream.Layout:
        run = self.run
        return stream.divide(
            self._cap,
            cohort=run.cohort,
            rows=run.study.train.batch_size,
            row_records=run.table_shape[1] * run.learner.kind.records,
            groups=len(self.groups),
            longest=run.table_shape[0] // run.study.train.batch_size,
            share=stream.largest_share(self.groups[0]),
        )

    def _source(self, group: tuple[Device, ...]) -> Source:
        sharding, kind = group_sharding(group), self.run.learner.kind
        if self._records is not None:
            return stream.Stream(
                records=self._records,
                layout=self._divide(),
                kind=kind,
                sharding=sharding,
            )
        assert self._host is not None
        return resident.Resident(
            resident.place(self._host, sharding, overlap=kind.records - 1)
        )
