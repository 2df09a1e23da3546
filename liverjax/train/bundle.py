"""The epochs of a bundle of heads: selection, best, stops, each head by itself.

What `liverjax.train.loop` does for one member on the device and the host, for all heads
at once on the device and one after the other on the host. Nothing is saved on the way.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from liverjax.cohort.schema import IMAGE
from liverjax.data.resident import MARGIN, Device, free_bytes
from liverjax.data.rows import make_table
from liverjax.errors import InputError
from liverjax.train import heads
from liverjax.train.bundle_predict import (
    cut_rows,
    most_bytes,
    predict_all,
    rows_a_call,
)
from liverjax.train.compile import (
    Learner,
    compile_ahead,
    group_sharding,
    nbytes,
    on_devices,
)
from liverjax.train.grid import Grid
from liverjax.train.optimizer import with_hyperparams
from liverjax.train.schedule import Control, best_epoch, is_finished

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BundleFit:
    """How the training of a bundle ended, axes fold, seed and trial.

    Attributes:
        best: Variables of each head's best epoch, on the host.
        best_epoch: Its number from 0, -1 where a head has none.
        epochs: Finished epochs.
        scores: Selection score of each epoch, NaN where there is none.
        losses: Selection loss likewise.
        finite: Whether the head was finite to its end.
        compile_s: Seconds that compilation took.
        train_s: Seconds from the first epoch to the last.
    """

    best: Mapping[str, Any]
    best_epoch: Int[np.ndarray, "f s t"]
    epochs: Int[np.ndarray, "f s t"]
    scores: Float[np.ndarray, "f s t e"]
    losses: Float[np.ndarray, "f s t e"]
    finite: Bool[np.ndarray, "f s t"]
    compile_s: float
    train_s: float


def fit_bundle(
    grid: Grid,
    *,
    learner: Learner,
    features: Float[np.ndarray, "records d"],
    targets: Num[np.ndarray, " records"],
    batch_size: int,
    device: Device,
    stop: threading.Event,
    variables: Mapping[str, Any] | None = None,
    available_bytes: int | None = None,
) -> BundleFit | None:
    """Trains all heads of a grid; None if it was asked to stop.

    Args:
        grid: The heads.
        learner: Its ``model`` is a `liverjax.train.heads.Head`.
        features: Of each record.
        targets: What the loss compares with, by record.
        batch_size: Rows a step.
        device: Where.
        stop: Set by someone who wants no more of it.
        variables: That heads start from; None is the random start.
        available_bytes: Memory to believe in instead of asking the device.

    Raises:
        InputError: If a fold has fewer rows than a batch, or the heads do not fit the
            device's memory.
    """
    bundle = _Bundle(
        grid,
        learner=learner,
        features=features,
        targets=targets,
        batch_size=batch_size,
        device=device,
        variables=variables,
        available=available_bytes,
    )
    began = time.perf_counter()
    for epoch in range(max(plan.epochs for plan in grid.plans)):
        if not bundle.running.any():
            break
        if not bundle.train_epoch(epoch, stop=stop):
            return None
        bundle.select_epoch(epoch)
        _log.info(
            "heads: epoch %d, %d of %d go on, median selection %.4g, %.0f s",
            epoch + 1,
            bundle.running.sum(),
            bundle.running.size,
            bundle.median_score(epoch),
            time.perf_counter() - began,
        )
    return bundle.ended(time.perf_counter() - began)


class _Bundle:
    """Heads in training: the device's arrays, and what the host knows of each."""

    def __init__(
        self,
        grid: Grid,
        *,
        learner: Learner,
        features: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        device: Device,
        variables: Mapping[str, Any] | None,
        available: int | None,
    ) -> None:
        began = time.perf_counter()
        self.grid, self.batch_size, self.targets = grid, batch_size, targets
        self.sharding = group_sharding((device,))
        self.running = np.ones(grid.shape, bool)
        self.finite = np.ones(grid.shape, bool)
        self.epochs = np.zeros(grid.shape, int)
        longest = (*grid.shape, max(plan.epochs for plan in grid.plans))
        self.scores, self.losses = np.full(longest, np.nan), np.full(longest, np.nan)
        self.rates = np.zeros(grid.shape)
        self.step_s: float | None = None
        self._first = [[grid.draw(f, s, 0) for s in grid.seeds] for f in self._folds()]
        self.capacity = max(len(d.rows) for draws in self._first for d in draws)
        size = rows_a_call(
            (*grid.shape, grid.bias.shape[1]), width=features.shape[1], rows=grid.select
        )
        given = {
            "create": (grid.keys(), grid.bias, grid.hyperparams()),
            "select": cut_rows(grid.select, targets, size=size),
            "arrays": {IMAGE: features},
        }
        create = self._compile(
            learner, variables, given=given, device=device, available=available
        )
        # Nothing lies on the device before it is sure that all will fit.
        given = jax.device_put(given, self.sharding)
        self.select, self.arrays = given["select"], given["arrays"]
        self.state = create(*given["create"])
        # Never the state's own arrays: a buffer that is donated twice raises.
        self.best = jax.device_put(
            jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), self.state.variables),
            self.sharding,
        )
        self.compile_s = time.perf_counter() - began

    def train_epoch(self, epoch: int, *, stop: threading.Event) -> bool:
        """Trains an epoch in pieces; returns whether it was not asked to stop."""
        tables, counts = self._tables(epoch)
        for place in map(tuple, np.argwhere(self.running)):
            schedule = self.grid.plans[place[2]].schedule
            self.rates[place] = schedule(epoch, self._control(place, epoch))
        opt_state = with_hyperparams(
            self.state.opt_state, {"learning_rate": self.rates}
        )
        state, failed = self.state.replace(opt_state=opt_state), self._none_failed()
        done, steps = 0, int(counts.max())
        given = jax.device_put((tables, counts, state, failed), self.sharding)
        tables, counts, state, failed = given
        while done < steps:
            if stop.is_set():
                return False
            piece_s = min(plan.piece_s for plan in self.grid.plans)
            piece = 1 if self.step_s is None else max(1, int(piece_s / self.step_s))
            start, done = done, min(steps, done + piece)
            began = time.perf_counter()
            bounds = jax.device_put((np.int32(start), np.int32(done)), self.sharding)
            with jax.transfer_guard("disallow"):
                state, failed = self._run(
                    state, failed, tables, self.arrays, *bounds, counts
                )
                jax.block_until_ready(failed)
            self.step_s = (time.perf_counter() - began) / (done - start)
        self.state = state
        self._fail(np.asarray(failed) >= 0)
        return not stop.is_set()

    def select_epoch(self, epoch: int) -> None:
        """Scores the heads that go on, keeps the better ones, ends the finished."""
        variables = self.state.variables
        logits, losses = predict_all(self._predict, variables, self.select, self.arrays)
        better = np.zeros(self.grid.shape, bool)
        for fold, rows in enumerate(self.grid.select):
            own = logits[fold, :, :, : len(rows)]
            self._fail(~np.isfinite(own).all((-1, -2)), fold=fold)
            going = self.running[fold]
            if not going.any():
                continue
            self.scores[fold, going, epoch] = self.grid.score(fold, own[going])
            mean = losses[fold, :, :, : len(rows)].mean(-1)
            self.losses[fold, going, epoch] = mean[going]
        for place in map(tuple, np.argwhere(self.running)):
            plan = self.grid.plans[place[2]]
            control = self._control(place, epoch + 1)
            self.epochs[place] = epoch + 1
            better[place] = best_epoch(control) == epoch
            self.running[place] = not is_finished(
                control, epochs=plan.epochs, early_stopping=plan.early_stopping
            )
        better = jax.device_put(better, self.sharding)
        self.best = self._keep(self.best, variables, better)

    def median_score(self, epoch: int) -> float:
        """Returns the median selection score of an epoch's heads."""
        scores = self.scores[..., epoch]
        known = scores[~np.isnan(scores)]
        return float(np.median(known)) if known.size else np.nan

    def ended(self, train_s: float) -> BundleFit:
        """Returns how training ended."""
        found = np.full(self.grid.shape, -1)
        for place in map(tuple, np.argwhere(self.epochs > 0)):
            found[place] = best_epoch(self._control(place, self.epochs[place]))
        return BundleFit(
            best=jax.tree.map(np.asarray, self.best),
            best_epoch=found,
            epochs=self.epochs,
            scores=self.scores,
            losses=self.losses,
            finite=self.finite,
            compile_s=self.compile_s,
            train_s=train_s,
        )

    def _compile(
        self,
        learner: Learner,
        variables: Mapping[str, Any] | None,
        *,
        given: Mapping[str, Any],
        device: Device,
        available: int | None,
    ) -> Any:
        """Makes the programs, by shapes alone, and returns the one that makes heads.

        Raises:
            InputError: If what they work on is more than the free memory.
        """
        compiled = functools.partial(compile_ahead, sharding=self.sharding)
        like = functools.partial(_shapes, sharding=self.sharding)
        given = like(given)
        arrays, select, width = (
            given["arrays"],
            given["select"],
            given["arrays"][IMAGE].shape[1],
        )
        create = functools.partial(
            heads.create_heads, learner=learner, width=width, variables=variables
        )
        state = like(jax.eval_shape(create, *given["create"]))
        best = state.variables
        tables, counts = like(self._tables(0))
        failed, bound = like((self._none_failed(), np.int32(0)))
        run = functools.partial(
            heads.run_heads, learner=learner, batch_size=self.batch_size
        )
        run_given = (state, failed, tables, arrays, bound, bound, counts)
        self._run = compiled(run, *run_given, donate=(0, 1))
        predict = functools.partial(heads.predict_heads, learner=learner)
        self._predict = compiled(predict, best, *select[0], arrays)
        better = like(np.zeros(self.grid.shape, bool))
        self._keep = compiled(heads.keep_best_heads, best, best, better, donate=(0,))
        training = nbytes((state, best, tables, select, arrays)) + max(
            _beside_arguments(program) for program in (self._run, self._predict)
        )
        folds, seeds, _ = self.grid.shape
        chosen = (folds, seeds, 1, self.grid.bias.shape[1])
        prediction = nbytes((best, arrays)) + most_bytes(
            chosen, width=width, num_rows=len(self.targets)
        )
        self._check_fit(
            max(training, prediction), width=width, device=device, available=available
        )
        return compiled(create, *given["create"])

    def _check_fit(
        self, need: int, *, width: int, device: Device, available: int | None
    ) -> None:
        """Raises unless the heads' need is less than the free memory."""
        free = free_bytes(device) if available is None else available
        told = (
            f"{self.running.size} heads on {width} features of {len(self.targets)} "
            f"records: {need / 1e9:.2f} GB; free on {device}: {free / 1e9:.2f} GB"
        )
        _log.info("%s", told)
        if need > free * (1 - MARGIN):
            raise InputError(
                f"the heads do not fit the memory: {told}; try fewer train.seeds or "
                "train.trials, lower train.batch_size, or use a machine with more"
            )

    def _tables(self, epoch: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns the index tables (f, s, rows, ...), and steps (f, s, t)."""
        counts = np.zeros(self.grid.shape, np.int32)
        made = []
        for fold in self._folds():
            for place, seed in enumerate(self.grid.seeds):
                going = self.running[fold, place]
                # Those that stand still take no step: any rows will do.
                drawn = self._first[fold][place]
                if epoch and going.any():
                    drawn = self.grid.draw(fold, seed, epoch)
                table = make_table(drawn, targets=self.targets, capacity=self.capacity)
                counts[fold, place, going] = table.rows // self.batch_size
                made.append(table.columns)
        leading = self.grid.shape[:2]
        tables = {
            name: np.stack([columns[name] for columns in made]) for name in made[0]
        }
        return {k: v.reshape(*leading, *v.shape[1:]) for k, v in tables.items()}, counts

    def _control(self, place: tuple[Any, ...], epochs: Any) -> Control:
        return Control(
            scores=self.scores[place][:epochs], losses=self.losses[place][:epochs]
        )

    def _fail(self, bad: np.ndarray, *, fold: int | None = None) -> None:
        """Stops running heads that are no longer finite."""
        part = slice(None) if fold is None else fold
        bad = bad & self.running[part]
        self.running[part] &= ~bad
        self.finite[part] &= ~bad

    def _none_failed(self) -> np.ndarray:
        return np.full(self.grid.shape, -1, np.int32)

    def _folds(self) -> range:
        return range(len(self.grid.bias))


def _shapes(tree: Any, *, sharding: Any) -> Any:
    """Returns the shapes that a tree of host arrays will have on the device."""
    return on_devices(jax.eval_shape(lambda tree: tree, tree), sharding=sharding)


def _beside_arguments(program: Any) -> int:
    """Returns the bytes that a program takes beside its arguments."""
    found = program.memory_analysis()
    results = found.output_size_in_bytes - found.alias_size_in_bytes
    return found.temp_size_in_bytes + results
