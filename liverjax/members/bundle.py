"""A study whose backbone is frozen: features once, then all its heads as one bundle.

Trained whole, or again from its start: there are no checkpoints. ``members/heads/``
holds ``backbone.safetensors``, ``heads.safetensors`` (a leading axis: the rows of
``heads.csv``), the chosen trial's predictions and, last of all, ``heads.csv``.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from liverjax import weights
from liverjax.cohort import files, records
from liverjax.cohort.claims import claim
from liverjax.cohort.schema import IMAGE
from liverjax.data.resident import Device, Resident, place
from liverjax.members.member import Member
from liverjax.members.run_folder import Run, every_member, make_plan
from liverjax.members.tables import make_tables, write_bundle_tables
from liverjax.members.trials import HEADS, HEADS_TABLE, write_trials
from liverjax.tasks.question import Outcome, average_rows
from liverjax.train import state as states
from liverjax.train.bundle import BundleFit, fit_bundle
from liverjax.train.bundle_predict import predict_bundle
from liverjax.train.compile import (
    QUICKLY_BUILT,
    Learner,
    compile_ahead,
    compile_predictor,
    group_sharding,
)
from liverjax.train.evaluate import predict_rows
from liverjax.train.grid import Grid
from liverjax.train.heads import Backbone, Head

BACKBONE, VALUES = "backbone.safetensors", "heads.safetensors"  # in members/heads
_RECORDS = 1024  # whose features are computed between two looks at the clock

_log = logging.getLogger(__name__)


def train_bundle(
    run: Run, *, device: Device, stop: threading.Event
) -> dict[Member, str] | None:
    """Trains all heads of a study and writes their folder; None if it was stopped.

    Args:
        run: The run folder, opened; ``model.frozen`` is set.
        device: Where.
        stop: Set by someone who wants no more of it.

    Returns:
        ``ok`` or ``non-finite`` of each member.

    Raises:
        Claimed: If somebody else is training them.
        InputError: If the heads do not fit the device's memory.
    """
    folder = run.folder / HEADS
    with claim(folder / "claim"):
        if run.variables is None:
            _log.warning(
                "warning: a frozen backbone without pretrained weights: features of a "
                "random network, for tests and null studies alone"
            )
        variables = start_backbone(run)
        features = compute_features(run, variables, device=device, stop=stop)
        if features is None:
            return None
        learner = head_learner(run)
        fitted = fit_bundle(
            make_grid(run),
            learner=learner,
            features=features,
            targets=run.targets,
            batch_size=run.study.train.batch_size,
            device=device,
            stop=stop,
            variables=_given_head(run),
        )
        if fitted is None:
            return None
        _log.info(
            "heads: %d trained in %.1f s, compiled in %.1f s",
            fitted.finite.size,
            fitted.train_s,
            fitted.compile_s,
        )
        members = every_member(run.study, folds=run.folds)
        rows = [_row(member, fitted) for member in members]
        _save_weights(folder, run, variables, fitted=fitted, members=members)
        chosen = write_trials(run.folder, members, trials=run.trials, ended=rows)
        _predict(run, fitted, features, learner=learner, trial=chosen, device=device)
        files.write_csv(run.folder / HEADS_TABLE, rows, columns=list(rows[0]))
        return {
            member: "ok" if fitted.finite[_place(member)] else "non-finite"
            for member in members
        }


def start_backbone(run: Run) -> dict[str, Any]:
    """Returns the whole network's variables: pretrained, or the first seed's start."""
    learner, sharding = run.learner, group_sharding(jax.local_devices()[:1])
    shape = _image_shape(run)

    def create(key: Any) -> Any:
        return states.create_state(
            key,
            model=learner.model,
            tx=optax.identity(),
            image=np.zeros(shape, np.float32),
            variables=run.variables,
        ).variables

    key = states.member_key(run.study.train.seed, fold=0)
    on_cpu = jax.local_devices()[0].platform == "cpu"
    options = QUICKLY_BUILT if on_cpu else None
    made = compile_ahead(create, key, sharding=sharding, options=options)(key)
    return jax.tree.map(np.asarray, made)


def compute_features(
    run: Run, variables: Mapping[str, Any], *, device: Device, stop: threading.Event
) -> Float[np.ndarray, "records d"] | None:
    """Returns what a head sees of every record's central crop; None if stopped.

    Records go to the device some at a time, so that a cohort of any size will do.
    """
    learner = dataclasses.replace(
        run.learner,
        model=Backbone(run.learner.model),
        loss_fn=lambda features, target: target,
    )
    count = min(_RECORDS, run.cohort.num_records)
    sharding = group_sharding((device,))
    rows = np.arange(count, dtype=np.int32)[:, None]
    variables = jax.device_put(dict(variables), sharding)
    parts, predictor = [], None
    for first in range(0, run.cohort.num_records, count):
        if stop.is_set():
            return None
        # The last ones are read with some before them: one shape, one program.
        first = min(first, run.cohort.num_records - count)
        numbers = np.arange(first, first + count)
        arrays = place(records.read_records(run.cohort, numbers=numbers), sharding)
        if predictor is None:
            predictor = compile_predictor(
                learner,
                arrays=arrays,
                row_length=1,
                batch_size=run.study.train.batch_size,
                devices=(device,),
                variables=variables,
            )
        source = Resident(arrays)
        found, _ = predict_rows(variables, rows, source=source, predictor=predictor)
        parts.append((first, found))
        _log.info("features: %d of %d records", first + count, run.cohort.num_records)
    features = np.empty((run.cohort.num_records, parts[0][1].shape[1]), np.float32)
    for first, found in parts:
        features[first : first + count] = found
    return features


def head_learner(run: Run) -> Learner:
    """Returns the study's functions for heads on features."""
    layer = run.learner.head
    assert layer is not None
    return dataclasses.replace(
        run.learner,
        model=Head(run.learner.model, layer=layer, image_shape=_image_shape(run)),
        augment_fn=lambda key, arrays: arrays,
        crop_fn=lambda arrays: arrays,
    )


def make_grid(run: Run) -> Grid:
    """Returns the heads of a study: its folds, seeds and trials."""
    study, task, examinations = run.study, run.task, run.examinations
    seeds = [study.train.seed + number for number in range(study.train.seeds)]
    selecting = [
        examinations.of_subjects(fold.select, labelled=True) for fold in run.folds
    ]
    covered = [run.learner.kind.cover(examinations.spans[s]) for s in selecting]
    trained = [
        examinations.of_subjects(fold.train, labelled=True) for fold in run.folds
    ]
    bias = [task.initial_bias(examinations.truth[places]) for places in trained]

    def score(fold: int, logits: np.ndarray) -> np.ndarray:
        truth, whose = examinations.truth[selecting[fold]], covered[fold][1]
        heads, rows, outputs = logits.shape
        outcome, size = task.link(logits.reshape(-1, outputs)), rows
        if study.train.select_unit == "examination":
            size = len(truth)
            group = (np.arange(heads)[:, None] * size + whose).ravel()
            outcome = average_rows(outcome, group=group, num_groups=heads * size)
        else:
            truth = truth[whose]
        return np.array(
            [
                task.select(_part(outcome, head * size, size), truth=truth)
                for head in range(heads)
            ],
            float,
        )

    return Grid(
        bias=np.array(bias, np.float32),
        seeds=seeds,
        trials=run.trials,
        plans=[
            make_plan(study, learning_rate=trial.get("learning_rate"))
            for trial in run.trials
        ],
        draw=lambda fold, seed, epoch: run.draw(fold, seed=seed, epoch=epoch),
        select=[rows for rows, _ in covered],
        score=score,
    )


def _predict(
    run: Run,
    fitted: BundleFit,
    features: np.ndarray,
    *,
    learner: Learner,
    trial: int,
    device: Device,
) -> None:
    """Writes what the chosen trial's heads say of what they have not seen."""
    examinations = run.examinations
    others = examinations.of_other_sets()
    chosen = [
        np.concatenate([examinations.of_subjects(fold.held_out), others])
        for fold in run.folds
    ]
    covered = [run.learner.kind.cover(examinations.spans[places]) for places in chosen]
    logits = predict_bundle(
        jax.tree.map(lambda leaf: leaf[:, :, trial : trial + 1], fitted.best),
        [rows for rows, _ in covered],
        learner=learner,
        features=features,
        device=device,
    )
    made = []
    for member in every_member(run.study, folds=run.folds):
        if member.trial != trial or fitted.best_epoch[_place(member)] < 0:
            continue
        rows, whose = covered[member.fold]
        outcome = run.task.link(logits[member.fold][member.seed, 0])
        tables = make_tables(
            outcome,
            task=run.task,
            fold=member.fold,
            examinations=examinations,
            chosen=chosen[member.fold],
            record=rows[:, 0],
            whose=whose,
        )
        made.append((member, tables))
    write_bundle_tables(run.folder / HEADS, made)


def _save_weights(
    folder: pathlib.Path,
    run: Run,
    variables: Mapping[str, Any],
    *,
    fitted: BundleFit,
    members: Sequence[Member],
) -> None:
    """Writes the backbone and the heads, in the order of their table."""
    meta = weights.Meta(
        model=run.study.model.name,
        input_mean=run.input_mean,
        input_std=run.input_std,
        origin=run.study.model.pretrained,
    )
    weights.save(variables, folder / BACKBONE, meta=meta)
    places = tuple(np.array([_place(member) for member in members]).T)
    heads = {"params": jax.tree.map(lambda x: x[places], fitted.best["params"])}
    weights.save(heads, folder / VALUES, meta=meta)


def _row(member: Member, fitted: BundleFit) -> dict[str, Any]:
    """Returns a head's row of the table."""
    place_ = _place(member)
    best = int(fitted.best_epoch[place_])
    known = best >= 0
    return dataclasses.asdict(member) | {
        "epochs": int(fitted.epochs[place_]),
        "best_epoch": best if known else None,
        "select_score": float(fitted.scores[place_][best]) if known else None,
        "select_loss": float(fitted.losses[place_][best]) if known else None,
        "finite": int(fitted.finite[place_]),
    }


def _place(member: Member) -> tuple[int, int, int]:
    return member.fold, member.seed, member.trial


def _part(outcome: Outcome, first: int, count: int) -> Outcome:
    probs = outcome.probs
    part = slice(first, first + count)
    return Outcome(outcome.score[part], None if probs is None else probs[part])


def _given_head(run: Run) -> dict[str, Any] | None:
    """Returns the head of the weights to start from, if they have one that fits."""
    params = (run.variables or {}).get("params", {})
    layer = run.learner.head
    return {"params": {layer: params[layer]}} if layer in params else None


def _image_shape(run: Run) -> tuple[int, ...]:
    """Returns the shape of what the network sees of one record."""
    shapes = {
        spec.name: jax.ShapeDtypeStruct(spec.shape, spec.dtype)
        for spec in run.cohort.arrays
    }
    return (1, *jax.eval_shape(run.learner.crop_fn, shapes)[IMAGE].shape)
