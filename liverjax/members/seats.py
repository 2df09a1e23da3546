"""Devices made ready to train any member of one run."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from liverjax.data import resident
from liverjax.data.resident import Device, own_device
from liverjax.members.run_folder import Run
from liverjax.train.compile import Programs, compile_programs, group_sharding

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Seat:
    """A device, or a group of them, ready to train any member of one run.

    Attributes:
        devices: Of the group; the batch is divided among them.
        programs: Compiled for it.
        arrays: The cohort's records, on each of them.
    """

    devices: tuple[Device, ...]
    programs: Programs
    arrays: Mapping[str, Any]


class Seats:
    """Makes devices ready; the cohort is read once for all of them."""

    def __init__(
        self,
        run: Run,
        *,
        groups: Sequence[tuple[Device, ...]],
        available: int | None,
    ) -> None:
        self.run, self.groups, self.available = run, groups, available
        self._guard = threading.Lock()
        self._host: Mapping[str, Any] | None = None

    def take(self, group: tuple[Device, ...]) -> Seat:
        """Returns one group of devices with its programs and the cohort."""
        run, sharding = self.run, group_sharding(group)
        overlap = run.learner.kind.records - 1
        count = run.cohort.num_records
        shapes = {
            spec.name: jax.ShapeDtypeStruct((count, *spec.shape), spec.dtype)
            for spec in run.cohort.arrays
        }
        programs = compile_programs(
            run.learner,
            arrays=resident.place(shapes, sharding, overlap=overlap),
            row_length=run.table_shape[1],
            target_dtype=run.targets.dtype,
            batch_size=run.study.train.batch_size,
            capacity=run.table_shape[0],
            devices=group,
            variables=run.variables,
            num_outputs=run.task.num_outputs,
        )
        name = ", ".join(map(str, group))
        _log.info("%s: compiled in %.1f s", name, programs.compile_s)
        host = self._read(own_device(group), programs)
        return Seat(
            devices=group,
            programs=programs,
            arrays=resident.place(host, sharding, overlap=overlap),
        )

    def _read(self, device: Device, programs: Programs) -> Mapping[str, Any]:
        with self._guard:
            if self._host is None:
                resident.check_fit(
                    cohort_bytes=self.run.cohort.nbytes,
                    group_bytes=programs.state_bytes + programs.program_bytes,
                    groups=len(self.groups) if device.platform == "cpu" else 1,
                    device=device,
                    available_bytes=self.available,
                )
                self._host = resident.read_host_arrays(self.run.cohort)
            return self._host
