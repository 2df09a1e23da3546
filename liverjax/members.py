"""Members: one network of one fold and seed each, dealt over devices.

`train_member` is the unit: a function of files, safe to run again, going on where it
stood. `train_members` deals members to the devices of this process, a thread each.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import logging
import pathlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from liverjax import runtime
from liverjax.claims import claim
from liverjax.cohort import files
from liverjax.data import resident
from liverjax.data.resident import Device
from liverjax.errors import InputError
from liverjax.member_tables import write_tables
from liverjax.run_folder import Run, open_run
from liverjax.stopping import stop_on_signals
from liverjax.tasks.question import average_rows
from liverjax.train import checkpoint
from liverjax.train.compile import Programs, compile_programs, group_sharding
from liverjax.train.evaluate import predict_rows
from liverjax.train.loop import Fit, fit
from liverjax.train.standing import CHECKPOINT
from liverjax.train.state import TrainState, member_key

BEST, DONE = "best", "done.json"  # in a member's folder

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, order=True)
class Member:
    """One network: a fold, a random start, a set of numeric hyperparameters.

    Attributes:
        fold: Place in ``splits.json``.
        seed: Number of the random start, from 0; the config's ``train.seed`` is added.
        trial: Number of the hyperparameters.
    """

    fold: int
    seed: int = 0
    trial: int = 0

    @property
    def id(self) -> str:
        """The name of its folder."""
        return f"f{self.fold:02d}-s{self.seed:02d}-t{self.trial:02d}"


@dataclasses.dataclass(frozen=True)
class Seat:
    """A device, or a group of them, ready to train any member of one run.

    Attributes:
        device: The first of the group.
        programs: Compiled for it.
        arrays: The cohort's records, on it.
    """

    device: Device
    programs: Programs
    arrays: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How `train_members` ended.

    Attributes:
        statuses: ``ok``, ``non-finite`` or ``stopped`` of each member that was begun
            or done before.
        signal: The signal that stopped it, or None.
    """

    statuses: Mapping[Member, str]
    signal: int | None

    @property
    def stopped(self) -> bool:
        """Whether members are unfinished because somebody asked to stop."""
        return self.signal is not None

    @property
    def status(self) -> int:
        """The exit status by convention: 128 and the signal's number."""
        return 0 if self.signal is None else 128 + self.signal


def of_study(*, folds: int, seeds: int) -> tuple[Member, ...]:
    """Returns a study's members: every fold of the first seed, then of the next."""
    return tuple(Member(fold, seed) for seed in range(seeds) for fold in range(folds))


def folder_of(run_folder: pathlib.Path, member: Member) -> pathlib.Path:
    """Returns a member's folder."""
    return run_folder / "members" / member.id


def load_best(folder: pathlib.Path) -> dict[str, Any]:
    """Returns ``params`` and ``batch_stats`` of a finished member's best epoch.

    Args:
        folder: As `folder_of` gives it.

    Raises:
        InputError: If there are none, or they are damaged.
    """
    found = checkpoint.restore(folder / BEST)
    if found is None:
        raise InputError(
            f"{folder}: no trained network here ({BEST}/ is missing); train the member "
            "with python -m liverjax.main"
        )
    return {"batch_stats": {}} | found[0]


def train_members(
    run_folder: pathlib.Path,
    members: Sequence[Member],
    *,
    devices: Sequence[Device],
    available_bytes: int | None = None,
) -> Ended:
    """Trains members, a thread and device each, until all are done or a stop.

    SIGTERM and SIGINT make every member save and return. The first exception does the
    same and is raised when all have.

    Args:
        run_folder: With ``config.json`` and ``splits.json``.
        members: Finished ones are passed over.
        devices: Of this process.
        available_bytes: Memory to believe in instead of asking the devices.

    Raises:
        InputError: If the run folder cannot be used, or the cohort does not fit.
    """
    done = {m: _status(folder_of(run_folder, m)) for m in members}
    statuses = {member: status for member, status in done.items() if status}
    queue = collections.deque(m for m in members if m not in statuses)
    if not queue:
        return Ended(statuses, signal=None)
    run = open_run(run_folder)
    with stop_on_signals() as stop:
        seats = _Seats(run, devices=devices[: len(queue)], available=available_bytes)

        def work(device: Device) -> None:
            # Contexts of the main thread do not reach this one.
            with jax.default_device(device):
                try:
                    seat = seats.take(device)
                    while queue and not stop.is_set():
                        member = queue.popleft()
                        statuses[member] = train_member(
                            run, member, seat=seat, stop=stop
                        )
                        _log.info(
                            "%s: %s; %d of %d members are done",
                            member.id,
                            statuses[member],
                            sum(s != "stopped" for s in statuses.values()),
                            len(members),
                        )
                except BaseException:
                    stop.set()
                    raise

        with concurrent.futures.ThreadPoolExecutor(len(seats.devices)) as pool:
            futures = [pool.submit(work, device) for device in seats.devices]
        _raise_first(futures)
        return Ended(statuses, signal=stop.signal)


def train_member(
    run: Run | pathlib.Path,
    member: Member,
    *,
    seat: Seat | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Trains one member to its predictions and returns its status.

    Args:
        run: The run folder, opened or not.
        member: Which.
        seat: Where; without it the first device is made ready for this member alone.
        stop: When set, the member saves and returns ``stopped``.

    Raises:
        Claimed: If somebody else is training it.
        InputError: If its folder or the run's cannot be used.
    """
    run = open_run(run) if isinstance(run, pathlib.Path) else run
    folder = folder_of(run.folder, member)
    with claim(folder / "claim"):
        status = _status(folder)
        if status is not None:
            checkpoint.remove(folder / CHECKPOINT)
            return status
        if seat is None:
            device = jax.local_devices()[0]
            seat = _Seats(run, devices=[device], available=None).take(device)
        began = time.monotonic()
        fitted = _fit(run, member, seat=seat, stop=stop or threading.Event())
        if fitted.status == "stopped":
            return "stopped"
        if fitted.best is not None:
            _predict(run, member, fitted.best, seat=seat)
            checkpoint.remove(folder / BEST)
            about = {"member": dataclasses.asdict(member), "epoch": fitted.best_epoch}
            checkpoint.save(folder / BEST, fitted.best, about=about)
        _write_done(folder, member, fitted, seat=seat, began=began)
        checkpoint.remove(folder / CHECKPOINT)
        return fitted.status


class _Seats:
    """Makes devices ready; the cohort is read once for all of them."""

    def __init__(
        self, run: Run, *, devices: Sequence[Device], available: int | None
    ) -> None:
        self.run, self.devices, self.available = run, devices, available
        self._guard = threading.Lock()
        self._host: Mapping[str, Any] | None = None

    def take(self, device: Device) -> Seat:
        """Returns one device with its programs and the cohort."""
        run, sharding = self.run, group_sharding([device])
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
            devices=[device],
            variables=run.variables,
            num_outputs=run.task.num_outputs,
        )
        _log.info("%s: compiled in %.1f s", device, programs.compile_s)
        host = self._read(device, programs)
        return Seat(
            device=device,
            programs=programs,
            arrays=resident.place(host, sharding, overlap=overlap),
        )

    def _read(self, device: Device, programs: Programs) -> Mapping[str, Any]:
        with self._guard:
            if self._host is None:
                resident.check_fit(
                    cohort_bytes=self.run.cohort.nbytes,
                    group_bytes=programs.state_bytes + programs.program_bytes,
                    groups=len(self.devices) if device.platform == "cpu" else 1,
                    device=device,
                    available_bytes=self.available,
                )
                self._host = resident.read_host_arrays(self.run.cohort)
            return self._host


def _fit(run: Run, member: Member, *, seat: Seat, stop: threading.Event) -> Fit:
    """Returns how a member's training ended."""
    fold, seed = run.folds[member.fold], run.study.train.seed + member.seed
    examinations, task = run.examinations, run.task
    trained = examinations.of_subjects(fold.train, labelled=True)
    selecting = examinations.of_subjects(fold.select, labelled=True)
    rows, whose = run.learner.kind.cover(examinations.spans[selecting])
    truth = examinations.truth[selecting]

    def birth() -> TrainState:
        bias = task.initial_bias(examinations.truth[trained]).astype(np.float32)
        key = member_key(seed, fold=member.fold)
        return seat.programs.create(key, run.variables, bias)

    def score(logits: np.ndarray) -> float:
        outcome = task.link(logits)
        if run.study.train.select_unit == "slice":
            return float(task.select(outcome, truth=truth[whose]))
        averaged = average_rows(outcome, group=whose, num_groups=len(truth))
        return float(task.select(averaged, truth=truth))

    return fit(
        folder_of(run.folder, member),
        programs=seat.programs,
        arrays=seat.arrays,
        birth=birth,
        draw=lambda epoch: run.draw(member.fold, seed=seed, epoch=epoch),
        targets=run.targets,
        select=rows,
        score=score,
        plan=run.plan,
        stop=stop,
        environment=_environment(seat.device),
    )


def _environment(device: Device) -> dict[str, Any]:
    """Returns what the last bits of a member's numbers depend on."""
    return {
        "device_kind": device.device_kind,
        "jax": jax.__version__,
        "jax_devices": jax.local_device_count(),
        "platform": device.platform,
        "threads": runtime.cores(),
    }


def _predict(
    run: Run, member: Member, variables: Mapping[str, Any], *, seat: Seat
) -> None:
    """Writes the tables of what a member has not seen: held out, and other sets."""
    examinations = run.examinations
    held_out = examinations.of_subjects(run.folds[member.fold].held_out)
    chosen = np.concatenate([held_out, examinations.of_other_sets()])
    rows, whose = run.learner.kind.cover(examinations.spans[chosen])
    if len(rows):
        logits, _ = predict_rows(
            variables, rows, arrays=seat.arrays, predictor=seat.programs.predictor
        )
    else:
        logits = np.zeros((0, run.task.num_outputs), np.float32)
    write_tables(
        folder_of(run.folder, member),
        task=run.task,
        fold=member.fold,
        examinations=examinations,
        chosen=chosen,
        record=rows[:, 0],
        whose=whose,
        outcome=run.task.link(logits),
    )


def _write_done(
    folder: pathlib.Path, member: Member, fitted: Fit, *, seat: Seat, began: float
) -> None:
    """Writes how a member ended, last of its files."""
    control, best, failed = fitted.control, fitted.best_epoch, fitted.failed_at
    files.write_json(
        folder / DONE,
        {
            "schema": 1,
            "member": dataclasses.asdict(member),
            "status": fitted.status,
            "epochs": len(control.scores),
            "best_epoch": best,
            "select_score": None if best is None else float(control.scores[best]),
            "select_loss": None if best is None else float(control.losses[best]),
            "failed_at": failed and {"epoch": failed[0], "step": failed[1]},
            "seconds": time.monotonic() - began,
            "compile_s": seat.programs.compile_s,
            "environments": list(fitted.environments),
        },
    )


def _status(folder: pathlib.Path) -> str | None:
    """Returns a finished member's status, None for an unfinished one."""
    path = folder / DONE
    return files.read_json(path)["status"] if path.exists() else None


def _raise_first(futures: Sequence[concurrent.futures.Future[None]]) -> None:
    """Raises the first thread's exception, if any has one."""
    errors = [error for error in (future.exception() for future in futures) if error]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"and in another thread: {other!r}")
        raise errors[0]
