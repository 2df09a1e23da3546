"""The loop is general: two later kinds of study bring rows and a task, nothing else.

A stage of five per stack of 32 consecutive slices drawn at random, and a probability
per five slices and their masks with a plateau schedule and early stopping.
"""

from __future__ import annotations

import dataclasses
import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.cohort.schema import ArraySpec
from liverjax.data.augment import augment, center_crop
from liverjax.data.augment_settings import AugmentSettings
from liverjax.data.inputs import network_input
from liverjax.data.resident import Resident, place, take
from liverjax.data.rows import RowKind, draw_epoch, epoch_rng
from liverjax.losses import LOSSES
from liverjax.tasks.question import Outcome, average_rows
from liverjax.train import member_key
from liverjax.train.compile import Learner, compile_programs, group_sharding
from liverjax.train.loop import Plan, fit
from liverjax.train.optimizer import adam
from liverjax.train.schedule import cosine, plateau
from tests.train import toy

DEPTH, SIDE, BATCH = 40, 8, 4


# ---- what the first study brings: a stage per stack of 32 slices ---------------------
STACK = 32


def sample_stacks(rng, spans):
    start = spans[:, 0] + rng.integers(0, spans[:, 1] - STACK + 1)
    return rng.permutation(start)[:, None]


def cover_stacks(spans):
    ends = np.stack([spans[:, 0], spans[:, 0] + spans[:, 1] - STACK], axis=1)
    return ends.reshape(-1, 1), np.repeat(np.arange(len(spans)), 2)


def fetch_stack(arrays, row):
    return {"image": take(arrays["image"], row[0], count=STACK)}


@dataclasses.dataclass(frozen=True)
class Stage:
    classes = ("F0", "F1", "F2", "F3", "F4")
    num_outputs = 5
    loss = "cross_entropy"

    def train_target(self, truth):
        return truth.astype(np.int32)

    def initial_bias(self, truth):
        return np.log(np.bincount(truth.astype(int), minlength=5) / len(truth) + 0.01)

    def link(self, outputs, *, xp=np):
        shares = xp.exp(outputs - outputs.max(1, keepdims=True))
        shares = shares / shares.sum(1, keepdims=True)
        return Outcome(score=shares @ xp.arange(5.0), probs=shares)

    def select(self, outcome, *, truth):
        return float(np.mean(outcome.probs.argmax(1) == truth))


# ---- what the second study brings: a probability per five slices and their masks -----
def sample_fives(rng, spans):
    rows, _ = cover_fives(spans)
    return rng.permutation(rows)


def cover_fives(spans):
    share = np.array([0.25, 0.35, 0.5, 0.65, 0.75])
    rows = spans[:, :1] + np.floor(share * spans[:, 1:]).astype(int)
    return rows, np.arange(len(spans))


def fetch_fives(arrays, row):
    return {
        name: jnp.concatenate([take(array, row[i], count=1) for i in range(5)])
        for name, array in arrays.items()
    }


@dataclasses.dataclass(frozen=True)
class Cirrhosis:
    classes = ("no", "yes")
    num_outputs = 1
    loss = "binary_cross_entropy"

    def train_target(self, truth):
        return truth.astype(np.float32)

    def initial_bias(self, truth):
        return np.log(truth.mean(keepdims=True) / (1 - truth.mean(keepdims=True)))

    def link(self, outputs, *, xp=np):
        yes = 1 / (1 + xp.exp(-outputs[:, 0]))
        return Outcome(score=yes, probs=xp.stack([1 - yes, yes], axis=1))

    def select(self, outcome, *, truth):
        """The area under the ROC curve."""
        ill, well = outcome.score[truth == 1], outcome.score[truth == 0]
        above = ill[:, None] > well
        return float(np.mean(above + 0.5 * (ill[:, None] == well)))


# ---- and what is the house's ---------------------------------------------------------
IMAGE = ArraySpec("image", (SIDE + 2, SIDE + 2, 2), "uint8", "intensity", "linear")
MASK = ArraySpec("mask", (SIDE + 2, SIDE + 2, 1), "uint8", "label", "nearest")


def cohort(brightness, *, mask=False):
    """Examinations of 40 slices that are as bright as they are ill."""
    rng = np.random.default_rng(0)
    shape = (len(brightness), DEPTH, *IMAGE.shape)
    images = rng.normal(0, 12, shape) + np.reshape(brightness, (-1, 1, 1, 1, 1))
    flat = images.reshape(-1, *IMAGE.shape)
    arrays = {"image": np.clip(flat, 0, 255).astype(np.uint8)}
    if mask:
        arrays["mask"] = np.ones((len(flat), *MASK.shape), np.uint8)
    spans = np.stack([np.arange(len(brightness)) * DEPTH, [DEPTH] * len(brightness)], 1)
    return arrays, spans


class Study:
    """The house's functions around a kind of rows and a task, as `members` does it."""

    def __init__(self, kind, task, *, arrays, spans, truth, **plan):
        self.kind, self.task, self.arrays = kind, task, arrays
        self.spans, self.truth = spans, np.asarray(truth, float)
        self.plan = Plan(**plan)
        specs = [spec for spec in (IMAGE, MASK) if spec.name in arrays]
        settings = AugmentSettings(elastic_px=(0.0, 1.0), elastic_grid_px=4)

        def see(arrays):
            return network_input(arrays, mean=(0.5, 0.5), std=(0.25, 0.25))

        learner = Learner(
            model=toy.Net(num_outputs=task.num_outputs, dropout=0.0, width=8),
            tx=adam(),
            loss_fn=LOSSES[task.loss],
            kind=kind,
            augment_fn=lambda key, arrays: see(
                augment(key, arrays, specs=specs, settings=settings, crop_px=SIDE)
            ),
            crop_fn=lambda arrays: see(center_crop(arrays, specs=specs, crop_px=SIDE)),
            head="fc",
        )
        sharding = group_sharding(jax.devices()[:1])
        self.placed = place(arrays, sharding, overlap=kind.records - 1)
        self.targets = np.repeat(task.train_target(self.truth), DEPTH)
        rows, _ = kind.cover(spans)
        self.programs = compile_programs(
            learner,
            arrays=self.placed,
            row_length=rows.shape[1],
            target_dtype=self.targets.dtype,
            batch_size=BATCH,
            capacity=len(spans) // BATCH * BATCH,
            devices=jax.devices()[:1],
            num_outputs=task.num_outputs,
        )

    def train(self, folder, *, fold, train, select):
        folder.mkdir()
        rows, whose = self.kind.cover(self.spans[select])
        truth = self.truth[select]

        def score(logits):
            outcome = average_rows(
                self.task.link(logits), group=whose, num_groups=len(truth)
            )
            return self.task.select(outcome, truth=truth)

        bias = self.task.initial_bias(self.truth[train]).astype(np.float32)
        ended = fit(
            folder,
            programs=self.programs,
            source=Resident(self.placed),
            birth=lambda: self.programs.create(member_key(0, fold=fold), None, bias),
            draw=lambda epoch: draw_epoch(
                epoch_rng(seed=0, fold=fold, epoch=epoch),
                self.kind,
                spans=self.spans[train],
                batch_size=BATCH,
            ),
            targets=self.targets,
            select=rows,
            score=score,
            plan=self.plan,
            stop=threading.Event(),
            environment={},
        )
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return ended, [json.loads(line) for line in lines]


def test_a_stage_per_stack_of_32_slices_drawn_at_random(tmp_path):
    stages = np.arange(20) % 5
    arrays, spans = cohort(50 + 40 * stages)
    study = Study(
        RowKind(sample_stacks, cover_stacks, fetch_stack, records=STACK),
        Stage(),
        arrays=arrays,
        spans=spans,
        truth=stages,
        epochs=12,
        schedule=cosine(learning_rate=0.05, epochs=12),
    )
    train, select = np.arange(15), np.arange(15, 20)
    ended, lines = study.train(tmp_path / "f0", fold=0, train=train, select=select)
    assert ended.status == "ok"
    assert len(lines) == 12
    assert lines[-1]["loss"] < 0.6 * np.log(5)
    assert ended.control.scores.max() >= 0.6


def test_a_probability_per_five_slices_and_their_masks(tmp_path):
    ill = np.arange(24) % 2
    # In the second fold the patients that select look the other way round: every epoch
    # makes it worse there, and it ends early while the first goes on.
    looks = np.where(np.arange(24) < 20, ill, 1 - ill)
    arrays, spans = cohort(80 + 90 * looks, mask=True)
    study = Study(
        RowKind(sample_fives, cover_fives, fetch_fives),
        Cirrhosis(),
        arrays=arrays,
        spans=spans,
        truth=ill,
        epochs=10,
        schedule=plateau(learning_rate=0.02, patience=1, factor=0.1),
        early_stopping=4,
    )
    train = np.arange(12)
    good, lines = study.train(
        tmp_path / "f0", fold=0, train=train, select=np.arange(12, 20)
    )
    bad, other = study.train(
        tmp_path / "f1", fold=1, train=train, select=np.arange(20, 24)
    )
    assert good.status == bad.status == "ok"
    assert len(other) < len(lines)
    assert len(other) == bad.best_epoch + 1 + 4
    assert good.control.scores.max() == 1.0
    assert other[0]["learning_rate"] == 0.02
    assert other[-1]["learning_rate"] == pytest.approx(0.002, rel=0.01)
