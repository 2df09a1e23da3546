"""The epochs of one member on one device: pieces, selection, best, checkpoint, stop."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import pathlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Num

from liverjax.cohort import files
from liverjax.data.resident import Walk, put
from liverjax.data.rows import ROW, EpochRows, Table, make_table
from liverjax.train import standing as standings
from liverjax.train.compile import Programs
from liverjax.train.evaluate import Source, predict_rows
from liverjax.train.optimizer import with_learning_rate
from liverjax.train.schedule import Control, Schedule, best_epoch, is_finished
from liverjax.train.standing import Environment, Standing
from liverjax.train.state import TrainState

METRICS = "metrics.jsonl"  # in a member's folder
PROGRESS_S = 30.0  # inside an epoch a line is logged at most this often

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a member is trained and how often the host looks up.

    Attributes:
        epochs: At most.
        schedule: ``(epoch, control) -> learning rate``.
        early_stopping: Epochs without a better selection score; None trains to the end.
        save_every_s: Seconds between checkpoints.
        piece_s: Seconds the device works before the host looks for a stop.
    """

    epochs: int
    schedule: Schedule
    early_stopping: int | None = None
    save_every_s: float = 60.0
    piece_s: float = 5.0


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a member's training ended.

    Attributes:
        status: ``ok``, ``non-finite`` or ``stopped``.
        best: Variables of the best epoch; None if there is none or it was stopped.
        best_epoch: Its number from 0, or None.
        control: Score and loss of every finished epoch.
        failed_at: Epoch and step of the first loss that was not finite, or None.
        environments: What the member was trained in, a new entry where it changed.
    """

    status: str
    best: Mapping[str, Any] | None
    best_epoch: int | None
    control: Control
    failed_at: tuple[int, int] | None
    environments: tuple[Environment, ...]


def fit(
    folder: pathlib.Path,
    *,
    programs: Programs,
    source: Source,
    birth: Callable[[], TrainState],
    draw: Callable[[int], EpochRows],
    targets: Num[np.ndarray, " records"],
    select: Int[np.ndarray, "n r"],
    score: Callable[[np.ndarray], float],
    plan: Plan,
    stop: threading.Event,
    environment: Environment,
    agree: Callable[[int], int] = int,
    before_writing: Callable[[], None] = lambda: None,
) -> Fit:
    """Trains one member to its end or to a stop, going on where it stood.

    Args:
        folder: Of the member: ``checkpoint/`` and ``metrics.jsonl`` are here, its name
            stands in the log.
        programs: Compiled for the device.
        source: Of the records.
        birth: Makes the state before the first step.
        draw: ``epoch -> rows``.
        targets: What the loss compares with, by record.
        select: Rows that pick the epoch.
        score: ``logits (n, k) of these rows -> selection score``, higher is better.
        plan: How long and how often.
        stop: Set by someone who wants the member to save and return.
        environment: What its bits depend on; a resume in another is warned of.
        agree: Gives all processes that train the network together one number of steps.
        before_writing: Raises if the folder is another's by now.

    Raises:
        InputError: If there are fewer rows than a batch, or the checkpoint is damaged
            or of another network.
    """
    run = _Run(
        folder,
        programs=programs,
        source=source,
        plan=plan,
        stop=stop,
        agree=agree,
        before_writing=before_writing,
    )
    standing = run.start(birth, environment)
    failed = None
    while not is_finished(
        standing.control, epochs=plan.epochs, early_stopping=plan.early_stopping
    ):
        epoch = standing.epoch
        rate = plan.schedule(epoch, standing.control)
        table = make_table(draw(epoch), targets=targets, capacity=programs.capacity)
        standing, failed = run.train_epoch(standing, table, learning_rate=rate)
        if failed is None and stop.is_set():
            run.save(standing)
            return run.ended("stopped", standing)
        if failed is None:
            logits, losses = predict_rows(
                standing.state.variables,
                select,
                source=source,
                predictor=programs.predictor,
                target=targets[select[:, 0]],
            )
            if np.isfinite(logits).all():
                standing = run.finish_epoch(
                    standing,
                    select_score=score(logits),
                    select_loss=float(losses.mean()),
                    learning_rate=rate,
                )
            else:
                failed = (epoch, standing.position)
        if failed is not None:
            return run.ended("non-finite", standing, failed_at=failed)
    run.save(standing)
    return run.ended("ok", standing)


class _Run:
    """One member's training: what stays the same, its clock and its files."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        programs: Programs,
        source: Source,
        plan: Plan,
        stop: threading.Event,
        agree: Callable[[int], int],
        before_writing: Callable[[], None],
    ) -> None:
        self.folder, self.programs, self.source = folder, programs, source
        self.plan, self.stop, self.agree = plan, stop, agree
        self.before_writing = before_writing
        self.environments: list[Environment] = []
        self.step_s: float | None = None
        self.epoch_s, self.epoch_steps = 0.0, 0
        self.saved_at = self.told_at = time.monotonic()

    def start(
        self, birth: Callable[[], TrainState], environment: Environment
    ) -> Standing:
        """Returns the member where its newest checkpoint left it, or new-born."""
        epochs = self.plan.epochs
        found = standings.restore(self.folder, programs=self.programs, epochs=epochs)
        if found is None:
            self.environments = [environment]
            _keep_lines(self.folder / METRICS, epochs=0)
            return standings.begin(birth(), programs=self.programs, epochs=epochs)
        standing, self.environments = found
        name = self.folder.name
        _log.info(
            "%s: goes on at epoch %d, step %d",
            name,
            standing.epoch + 1,
            standing.position,
        )
        before = self.environments[-1]
        if environment != before:
            _log.warning(
                "%s: resumed in another environment (%s, before %s); its numbers may "
                "differ in their last digits from those of an undisturbed run",
                name,
                dict(environment),
                dict(before),
            )
            self.environments.append(environment)
        _keep_lines(self.folder / METRICS, epochs=standing.epoch)
        return standing

    def train_epoch(
        self, standing: Standing, table: Table, *, learning_rate: float
    ) -> tuple[Standing, tuple[int, int] | None]:
        """Returns the member after its epoch or at a stop, and a failed step.

        The device works in pieces of about ``plan.piece_s``.
        """
        batch_size = self.programs.batch_size
        opt_state = with_learning_rate(standing.state.opt_state, learning_rate)
        state = standing.state.replace(opt_state=opt_state)
        # What the host has written into them goes to the device here and only here.
        state, losses = put((state, standing.losses), self.programs.sharding)
        standing = dataclasses.replace(standing, state=state, losses=losses)
        self.epoch_s, self.epoch_steps = 0.0, 0
        rows = table.columns[ROW]
        with self.source.walk(
            rows[: table.rows], batch_size=batch_size, start=standing.position
        ) as walk:
            placed = np.zeros_like(rows)
            placed[: table.rows] = walk.rows
            columns = put({**table.columns, ROW: placed}, self.programs.sharding)
            while standing.position < walk.steps and not self.stop.is_set():
                standing = self.advance(standing, columns, walk)
                piece = np.asarray(standing.losses)[: standing.position]
                if not np.isfinite(piece).all():
                    return standing, (standing.epoch, int(np.isfinite(piece).argmin()))
                self.tell(standing, steps=walk.steps)
                if time.monotonic() - self.saved_at >= self.plan.save_every_s:
                    self.save(standing)
        return standing, None

    def advance(
        self, standing: Standing, columns: Mapping[str, Any], walk: Walk
    ) -> Standing:
        """Returns the member after one piece of its epoch."""
        start = standing.position
        stop = min(walk.reach(start), start + self.piece_steps())
        began = time.perf_counter()
        bounds = put((np.int32(start), np.int32(stop)), self.programs.sharding)
        arrays = walk.arrays(start)
        with jax.transfer_guard("disallow"):
            state, losses = self.programs.advance(
                standing.state, standing.losses, columns, arrays, *bounds
            )
            losses.block_until_ready()
        seconds = time.perf_counter() - began
        self.step_s = seconds / (stop - start)
        self.epoch_s += seconds
        self.epoch_steps += stop - start
        return dataclasses.replace(standing, state=state, losses=losses, position=stop)

    def finish_epoch(
        self,
        standing: Standing,
        *,
        select_score: float,
        select_loss: float,
        learning_rate: float,
    ) -> Standing:
        """Returns the member before its next epoch; writes the finished one's line."""
        epoch = standing.epoch
        scores, losses = standing.scores.copy(), standing.select_losses.copy()
        scores[epoch], losses[epoch] = select_score, select_loss
        control = Control(scores=scores[: epoch + 1], losses=losses[: epoch + 1])
        better = best_epoch(control) == epoch
        best = self.programs.keep_best(
            standing.best,
            standing.state.variables,
            put(np.asarray(better), self.programs.sharding),
        )
        # A start that goes on at an epoch's end has timed none of its steps.
        step_s = self.epoch_s / self.epoch_steps if self.epoch_steps else math.nan
        rate = self.programs.batch_size / max(step_s, 1e-9)
        left_s = (self.plan.epochs - epoch - 1) * standing.position * step_s
        line = {
            "epoch": epoch,
            "loss": float(np.asarray(standing.losses)[: standing.position].mean()),
            "select_score": select_score,
            "select_loss": select_loss,
            "learning_rate": learning_rate,
            "images_per_s": rate if self.epoch_steps else None,
            "seconds": self.epoch_s,
            "compile_s": self.programs.compile_s,
        }
        self.before_writing()
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        _log.info(
            "%s: epoch %d of %d, loss %.4g, selection %.4g (loss %.4g)%s%s",
            self.folder.name,
            epoch + 1,
            self.plan.epochs,
            line["loss"],
            select_score,
            select_loss,
            ", best so far" if better else "",
            f", {rate:.0f} images/s, at most {duration(left_s)} left"
            if self.epoch_steps
            else "",
        )
        self.told_at = time.monotonic()
        state = standing.state.replace(epoch=np.asarray(epoch + 1, np.int32))
        return Standing(
            state=state,
            best=best,
            losses=standings.no_losses(self.programs),
            scores=scores,
            select_losses=losses,
            position=0,
        )

    def ended(
        self,
        status: str,
        standing: Standing,
        *,
        failed_at: tuple[int, int] | None = None,
    ) -> Fit:
        """Returns how training ended."""
        if failed_at is not None:
            _log.warning(
                "%s: not finite at epoch %d, step %d; stopped",
                self.folder.name,
                failed_at[0] + 1,
                failed_at[1],
            )
        control = standing.control
        epoch = best_epoch(control)
        return Fit(
            status=status,
            best=None if epoch is None or status == "stopped" else standing.best,
            best_epoch=epoch,
            control=control,
            failed_at=failed_at,
            environments=tuple(self.environments),
        )

    def save(self, standing: Standing) -> None:
        """Writes a checkpoint of where the member stands."""
        self.before_writing()
        standings.save(self.folder, standing, environments=self.environments)
        self.saved_at = time.monotonic()

    def tell(self, standing: Standing, *, steps: int) -> None:
        """Logs progress inside a long epoch."""
        if time.monotonic() - self.told_at < PROGRESS_S or standing.position == steps:
            return
        self.told_at = time.monotonic()
        _log.info(
            "%s: epoch %d of %d, step %d of %d, loss %.4g, %.0f images/s",
            self.folder.name,
            standing.epoch + 1,
            self.plan.epochs,
            standing.position,
            steps,
            float(np.asarray(standing.losses)[: standing.position].mean()),
            self.programs.batch_size / (self.step_s or 1e-9),
        )

    def piece_steps(self) -> int:
        """Returns how many steps the device takes until the host looks up."""
        if self.step_s is None:
            return 1
        return self.agree(max(1, int(self.plan.piece_s / max(self.step_s, 1e-9))))


def _keep_lines(path: pathlib.Path, *, epochs: int) -> None:
    """Cuts a file of metrics back to its first epochs."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n")][:epochs]
        files.write_bytes(path, "".join(kept).encode())


def duration(seconds: float) -> str:
    """Returns a time as people say it, such as ``12 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
