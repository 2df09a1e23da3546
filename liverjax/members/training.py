"""Members trained on the devices of this process.

`train_member` is the unit: a function of files, safe to run again, going on where it
stood. `train_members` deals members to the devices of this process, a thread each.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import logging
import pathlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from liverjax import runtime
from liverjax.cohort import files
from liverjax.cohort.claims import Claim, claim
from liverjax.config import read_study
from liverjax.data.resident import Device, own_device
from liverjax.members.bundle import train_bundle
from liverjax.members.member import DONE, Member, folder_of
from liverjax.members.networks import save_best, status_of
from liverjax.members.run_folder import Run, make_plan, open_run
from liverjax.members.seats import Seat, Seats
from liverjax.members.spanning import SharedStop, agree, check_same, follow, home_of
from liverjax.members.stopping import Stop, stop_on_signals
from liverjax.members.tables import make_tables, write_tables
from liverjax.members.trials import HEADS_TABLE
from liverjax.tasks.question import average_rows
from liverjax.train import checkpoint
from liverjax.train.evaluate import predict_rows
from liverjax.train.loop import Fit, duration, fit
from liverjax.train.optimizer import with_hyperparams
from liverjax.train.standing import CHECKPOINT
from liverjax.train.state import TrainState, member_key

_log = logging.getLogger(__name__)


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


def train_members(
    run_folder: pathlib.Path,
    members: Sequence[Member],
    *,
    groups: Sequence[tuple[Device, ...]],
    available_bytes: int | None = None,
    span: bool = False,
) -> Ended:
    """Trains members, a thread and a group of devices each, until done or a stop.

    SIGTERM and SIGINT make every member save and return. The first exception does the
    same and is raised when all have.

    Args:
        run_folder: With ``config.json`` and ``splits.json``.
        members: Finished ones are passed over.
        groups: Devices of this process, as `liverjax.runtime.start` cuts them.
        available_bytes: Memory to believe in instead of asking the devices.
        span: Whether the one group spans all processes, which then call this together.

    Raises:
        InputError: If the run folder cannot be used, or the cohort does not fit.
    """
    statuses = _finished(run_folder, members)
    if span:
        left = [member.id for member in members if member not in statuses]
        check_same({"members that are left": " ".join(left)})
    if read_study(run_folder).model.frozen:
        return _train_heads(run_folder, members, device=groups[0][0])
    if all(member in statuses for member in members):
        return Ended(statuses, signal=None)
    run = open_run(run_folder)
    deal = functools.partial(
        _deal, members=members, statuses=statuses, groups=groups, memory=available_bytes
    )
    if not span:
        return deal(run, stop_kind=Stop)
    with home_of(run_folder) as home:
        return deal(dataclasses.replace(run, home=home), stop_kind=SharedStop)


def _deal(
    run: Run,
    *,
    members: Sequence[Member],
    statuses: dict[Member, str],
    groups: Sequence[tuple[Device, ...]],
    memory: int | None,
    stop_kind: type[Stop],
) -> Ended:
    """Trains the members that have no status yet, a thread a group of devices."""
    queue = collections.deque(m for m in members if m not in statuses)
    began, before = time.monotonic(), len(statuses)
    with stop_on_signals(stop_kind) as stop:
        seats = Seats(run, groups=groups[: len(queue)], available=memory)

        def work(group: tuple[Device, ...]) -> None:
            # Contexts of the main thread do not reach this one.
            with jax.default_device(own_device(group)):
                try:
                    seat = seats.take(group)
                    while not stop.is_set():
                        try:
                            member = queue.popleft()
                        except IndexError:
                            return
                        statuses[member] = train_member(
                            run, member, seat=seat, stop=stop
                        )
                        ended = sum(s != "stopped" for s in statuses.values())
                        each = (time.monotonic() - began) / max(ended - before, 1)
                        _log.info(
                            "%s: %s; %d of %d members are done, about %s left",
                            member.id,
                            statuses[member],
                            ended,
                            len(members),
                            duration(each * (len(members) - ended)),
                        )
                except BaseException:
                    stop.set()
                    raise

        with concurrent.futures.ThreadPoolExecutor(len(seats.groups)) as pool:
            futures = [pool.submit(work, group) for group in seats.groups]
        _raise_first(futures)
        return Ended(statuses, signal=stop.signal)


def _train_heads(
    run_folder: pathlib.Path, members: Sequence[Member], *, device: Device
) -> Ended:
    """Trains the heads of a study with a frozen backbone, if that is not done."""
    if (run_folder / HEADS_TABLE).exists():
        return Ended(dict.fromkeys(members, "ok"), signal=None)
    with stop_on_signals() as stop:
        statuses = train_bundle(open_run(run_folder), device=device, stop=stop)
        return Ended(statuses or {}, signal=stop.signal if statuses is None else None)


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
    folder = folder_of(run.home, member)
    follow(run.folder, home=run.home, member=member)
    with claim(folder / "claim") as held:
        status = status_of(folder)
        if status is not None:
            checkpoint.remove(folder / CHECKPOINT)
            return status
        if seat is None:
            group = (jax.local_devices()[0],)
            seat = Seats(run, groups=[group], available=None).take(group)
        began = time.monotonic()
        fitted = _fit(run, member, seat=seat, stop=stop or threading.Event(), held=held)
        if fitted.status == "stopped":
            return "stopped"
        held.check()
        if fitted.best is not None:
            _predict(run, member, fitted.best, seat=seat)
            about = {
                "member": dataclasses.asdict(member),
                "epoch": fitted.best_epoch,
                "input_mean": run.input_mean,
                "input_std": run.input_std,
            }
            save_best(folder, fitted.best, about=about)
        held.check()
        _write_done(folder, member, fitted, seat=seat, began=began)
        checkpoint.remove(folder / CHECKPOINT)
        return fitted.status


def _fit(
    run: Run, member: Member, *, seat: Seat, stop: threading.Event, held: Claim
) -> Fit:
    """Returns how a member's training ended."""
    fold, seed = run.folds[member.fold], run.study.train.seed + member.seed
    trial = run.trials[member.trial]
    examinations, task = run.examinations, run.task
    trained = examinations.of_subjects(fold.train, labelled=True)
    selecting = examinations.of_subjects(fold.select, labelled=True)
    rows, whose = run.learner.kind.cover(examinations.spans[selecting])
    truth = examinations.truth[selecting]

    def birth() -> TrainState:
        bias = task.initial_bias(examinations.truth[trained]).astype(np.float32)
        key = member_key(seed, fold=member.fold)
        state = seat.programs.create(key, run.variables, bias)
        return state.replace(opt_state=with_hyperparams(state.opt_state, trial))

    def score(logits: np.ndarray) -> float:
        outcome = task.link(logits)
        if run.study.train.select_unit == "slice":
            return float(task.select(outcome, truth=truth[whose]))
        averaged = average_rows(outcome, group=whose, num_groups=len(truth))
        return float(task.select(averaged, truth=truth))

    return fit(
        folder_of(run.home, member),
        programs=seat.programs,
        source=seat.source,
        birth=birth,
        draw=lambda epoch: run.draw(member.fold, seed=seed, epoch=epoch),
        targets=run.targets,
        select=rows,
        score=score,
        plan=make_plan(run.study, learning_rate=trial.get("learning_rate")),
        stop=stop,
        environment=_environment(seat.devices),
        agree=agree if jax.process_count() > 1 else int,
        before_writing=held.check,
    )


def _environment(devices: Sequence[Device]) -> dict[str, Any]:
    """Returns what the last bits of a member's numbers depend on."""
    return {
        "device_kind": devices[0].device_kind,
        "devices_a_member": len(devices),
        "jax": jax.__version__,
        "jax_devices": jax.local_device_count(),
        "platform": devices[0].platform,
        "processes": len({device.process_index for device in devices}),
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
            variables, rows, source=seat.source, predictor=seat.programs.predictor
        )
    else:
        logits = np.zeros((0, run.task.num_outputs), np.float32)
    made = make_tables(
        run.task.link(logits),
        task=run.task,
        fold=member.fold,
        examinations=examinations,
        chosen=chosen,
        record=rows[:, 0],
        whose=whose,
    )
    write_tables(folder_of(run.home, member), made)


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


def _finished(run_folder: pathlib.Path, members: Sequence[Member]) -> dict[Member, str]:
    """Returns the status of members that are done; clears what a kill left of them."""
    statuses = {}
    for member in members:
        folder = folder_of(run_folder, member)
        status = status_of(folder)
        if status is not None:
            checkpoint.remove(folder / CHECKPOINT)
            statuses[member] = status
    return statuses


def _raise_first(futures: Sequence[concurrent.futures.Future[None]]) -> None:
    """Raises the first thread's exception, if any has one."""
    errors = [error for error in (future.exception() for future in futures) if error]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"and in another thread: {other!r}")
        raise errors[0]
