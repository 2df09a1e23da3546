"""A study as frozen dataclasses, made once from the config that a command was given.

``configs/*.py`` return a `ml_collections.ConfigDict`; `from_config_dict` turns it into
a `StudyConfig` or lists everything that is unknown, missing or impossible. Below
`liverjax.experiment` and the command lines nobody takes a config.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from liverjax.baseline_settings import BaselineSettings
from liverjax.cohort.files import read_json, to_json
from liverjax.cohort.schema import Recipe
from liverjax.config_values import build
from liverjax.data.augment_settings import AugmentSettings
from liverjax.errors import InputError, raise_all
from liverjax.tasks.question import Task

SCHEDULES = ("constant", "halving", "cosine", "plateau")
AUTO, RESIDENT, STREAM = PLACEMENTS = ("auto", "resident", "stream")
SELECT_UNITS = ("examination", "slice")
NAMED_WEIGHTS = ("none", "imagenet")  # model.pretrained; anything else is a file


@dataclasses.dataclass(frozen=True)
class PhantomConfig:
    """The synthetic cohort that stands in for a manifest (see `data_prep.phantom`).

    Attributes:
        subjects: Number of patients.
        seed: Of everything about them.
        effect: Strength of every sign of disease, 0 leaves nothing to find.
        visibility: How clearly the signs show the score; sets the ceiling.
        size: ``demo`` or ``paper``.
    """

    subjects: int
    seed: int
    effect: float
    visibility: float
    size: str


@dataclasses.dataclass(frozen=True)
class CohortConfig:
    """Where the prepared cohort is, and what it is made from if it is not there yet.

    Attributes:
        path: Its folder; None is ``WORKDIR/cohort``.
        manifest: Prepare from this table when the cohort is not complete.
        phantom: Make a synthetic cohort first and prepare from that.
        workers: Processes of the preparation; None is one a core.
    """

    path: str | None
    manifest: str | None
    phantom: PhantomConfig | None
    workers: int | None


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        name: A key of `liverjax.models.MODELS`.
        pretrained: ``none``, ``imagenet`` (from ``weights_dir``) or a file that
            `liverjax.weights` wrote.
        weights_dir: Folder of converted weights.
        compute_dtype: ``float32`` or ``bfloat16``; parameters, statistics, reductions
            and losses are float32 either way.
        frozen: Train linear heads on features that are computed once, of the central
            crop without augmentation.
        options: Passed to the model by name.
    """

    name: str
    pretrained: str
    weights_dir: str
    compute_dtype: str
    frozen: bool
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """How subjects of the set ``train`` are divided.

    Attributes:
        folds: Number of cross-validation folds.
        seed: Of the division, nothing else.
        select_fraction: Share of a fold's remaining subjects that picks the epoch: 0.3
            of the 90 % outside a tenth fold gives the paper's 0.63/0.27/0.1.
        stratify: Keep class shares alike in all groups.
        file: A ``splits.json`` that replaces all this.
        leak_check: Stop when one patient's images stand under two subjects.
        select_on: ``select`` (an inner group) or ``held_out`` (optimistic: the report
            says so; baselines still learn nothing from those held out).
    """

    folds: int
    seed: int
    select_fraction: float
    stratify: bool
    file: str | None
    leak_check: bool
    select_on: str


@dataclasses.dataclass(frozen=True)
class TrialsConfig:
    """Values to try; every combination is trained, the best on ``select`` predicts.

    Attributes:
        learning_rate: Instead of ``train.learning_rate``; empty keeps that.
        l2: Instead of ``train.l2``.
        weight_decay: Instead of ``train.weight_decay``.
    """

    learning_rate: tuple[float, ...]
    l2: tuple[float, ...]
    weight_decay: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a member is trained.

    Attributes:
        epochs: At most.
        batch_size: Examples a step.
        steps_per_epoch: None walks over every row once.
        learning_rate: At the start.
        schedule: ``constant``, ``halving``, ``cosine`` or ``plateau``.
        schedule_every: Epochs between halvings, or patience of the plateau.
        schedule_factor: What the rate is multiplied by then.
        l2: Penalty added to the gradient before Adam sees it (PyTorch's
            ``weight_decay`` of ``Adam``).
        weight_decay: Decoupled decay, as in AdamW.
        betas: Of Adam.
        eps: Of Adam.
        early_stopping: Epochs without a better selection score; None trains to the end.
        select_unit: Selection scores ``examination`` or ``slice``.
        seeds: Random starts a fold.
        seed: The first of them.
        trials: Numeric hyperparameters to try.
        save_every_s: Time between checkpoints.
        piece_s: Time the device works before the host looks for a stop.
    """

    epochs: int
    batch_size: int
    steps_per_epoch: int | None
    learning_rate: float
    schedule: str
    schedule_every: int
    schedule_factor: float
    l2: float
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    early_stopping: int | None
    select_unit: str
    seeds: int
    seed: int
    trials: TrialsConfig
    save_every_s: float
    piece_s: float


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the records lie while members are trained; no part of a study's identity.

    Attributes:
        placement: ``resident`` on the device, ``stream`` from the shards as they are
            needed, or ``auto``: resident if they fit.
        memory_gib: Host memory for records, of a process, in GiB; a larger cohort is
            streamed. None is what is free, half of that for a stream; workers of a
            cluster and processes of one network have equal parts of their host's.
    """

    placement: str
    memory_gib: float | None


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How devices are grouped; no part of a study's identity.

    Attributes:
        data: Devices to a member; the batch is divided among them, BatchNorm sees it
            whole.
        span: One network after the other over all devices of all processes that were
            started together (see ``launch/slurm/span.sbatch``).
    """

    data: int
    span: bool


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """One study, whole.

    Attributes:
        study: Its name, in the report's title.
        workdir: The run folder.
        cohort: Where the images come from.
        prepare: Every number of the preparation.
        task: The clinical question.
        model: The network.
        split: Folds.
        augment: Random changes of training examples.
        train: Optimisation.
        baselines: What is fitted beside the network.
        data: Memory.
        mesh: Devices.
        members: Places of the members that this start trains, in the order fold,
            seed, trial; such a start writes no report. Empty: none, the cohort and the
            splits are made. None: all, and the report.
    """

    study: str
    workdir: str
    cohort: CohortConfig
    prepare: Recipe
    task: Task
    model: ModelConfig
    split: SplitConfig
    augment: AugmentSettings
    train: TrainConfig
    baselines: BaselineSettings
    data: DataConfig
    mesh: MeshConfig
    members: tuple[int, ...] | None


def from_config_dict(config: Any) -> StudyConfig:
    """Returns the study that a `ConfigDict` or a plain nested mapping describes.

    Raises:
        InputError: For every unknown, missing, mistyped or impossible value at once,
            each by its dotted name with what was expected.
    """
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    problems: list[str] = []
    study = build(StudyConfig, values, prefix="", problems=problems)
    raise_all(problems, title="config")
    problems += _impossible(study)
    raise_all(problems, title="config")
    return study


def read_study(run_folder: pathlib.Path) -> StudyConfig:
    """Returns the study that a run folder was started with.

    Raises:
        InputError: If the folder is no run folder, or its config is not one.
    """
    path = run_folder / "config.json"
    if not path.exists():
        raise InputError(f"{run_folder}: no run folder (config.json is missing)")
    return from_config_dict(read_json(path))


def to_dict(study: StudyConfig) -> dict[str, Any]:
    """Returns the study as plain nested values, the form `from_config_dict` reads."""
    values = dataclasses.asdict(study)
    values["task"]["name"] = study.task.name
    return values


def with_absolute_paths(study: StudyConfig) -> StudyConfig:
    """Returns the study with the paths that other processes read made absolute.

    Workers of a cluster, and the start that goes on another day, have folders of their
    own from which a relative path would lead elsewhere.
    """
    cohort, model = study.cohort, study.model
    cohort = dataclasses.replace(
        cohort,
        path=cohort.path and os.path.abspath(cohort.path),
        manifest=cohort.manifest and os.path.abspath(cohort.manifest),
    )
    model = dataclasses.replace(model, weights_dir=os.path.abspath(model.weights_dir))
    if model.pretrained not in NAMED_WEIGHTS:
        file = os.path.abspath(model.pretrained)
        model = dataclasses.replace(model, pretrained=file)
    return dataclasses.replace(study, cohort=cohort, model=model)


def identity(study: StudyConfig) -> str:
    """Returns a hash of all that decides a run's numbers.

    Where the run folder, the cohort, its records in memory and the weights lie, how
    many processes prepare, how members are dealt and how often is saved are no part of
    it.
    """
    values = to_dict(study)
    for name in ("workdir", "data", "mesh", "members"):
        del values[name]
    for name in ("path", "manifest", "workers"):
        del values["cohort"][name]
    for name in ("save_every_s", "piece_s"):
        del values["train"][name]
    del values["model"]["weights_dir"]
    values["model"]["pretrained"] = pathlib.PurePath(study.model.pretrained).name
    return hashlib.sha256(to_json(values).encode()).hexdigest()[:16]


def _impossible(study: StudyConfig) -> list[str]:
    """Returns a sentence for each value that no run could use."""
    train, split, model, cohort = study.train, study.split, study.model, study.cohort
    memory = study.data.memory_gib
    above_zero = {
        "split.folds": split.folds - 1,
        "train.epochs": train.epochs,
        "train.batch_size": train.batch_size,
        "train.learning_rate": train.learning_rate,
        "train.schedule_every": train.schedule_every,
        "train.schedule_factor": train.schedule_factor,
        "train.seeds": train.seeds,
        "train.save_every_s": train.save_every_s,
        "train.piece_s": train.piece_s,
        "train.eps": train.eps,
        "train.steps_per_epoch": train.steps_per_epoch or 1,
        "train.early_stopping": train.early_stopping or 1,
        "cohort.workers": cohort.workers or 1,
        "mesh.data": study.mesh.data,
        "data.memory_gib": 1 if memory is None else memory,
        "cohort.phantom.subjects": cohort.phantom.subjects if cohort.phantom else 1,
    }
    choices = {
        "train.schedule": (train.schedule, SCHEDULES),
        "data.placement": (study.data.placement, PLACEMENTS),
        "train.select_unit": (train.select_unit, SELECT_UNITS),
        "split.select_on": (split.select_on, ("select", "held_out")),
        "model.compute_dtype": (model.compute_dtype, ("float32", "bfloat16")),
    }
    problems = [
        f"{name}: too small; expected {'at least 2' if 'folds' in name else 'above 0'}"
        for name, value in above_zero.items()
        if value <= 0
    ]
    problems += [
        f"{name}={value!r}: expected one of {list(known)}"
        for name, (value, known) in choices.items()
        if value not in known
    ]
    tried = train.trials
    if min(train.l2, train.weight_decay, *tried.l2, *tried.weight_decay) < 0:
        problems.append("train.l2 and train.weight_decay: expected 0 or above")
    if min(tried.learning_rate, default=1) <= 0:
        problems.append("train.trials.learning_rate: too small; expected above 0")
    if not all(0 <= beta < 1 for beta in train.betas):
        problems.append(f"train.betas={train.betas}: expected two numbers in [0, 1)")
    if not 0 < split.select_fraction < 1:
        problems.append(f"split.select_fraction={split.select_fraction}: expected 0..1")
    if study.mesh.data > 0 and train.batch_size % study.mesh.data:
        problems.append(
            f"train.batch_size={train.batch_size}: expected a multiple of "
            f"mesh.data={study.mesh.data}"
        )
    if study.mesh.span and (study.mesh.data != 1 or study.members is not None):
        problems.append(
            "mesh.span: expected mesh.data=1 and no members; it takes all devices for "
            "one member after the other"
        )
    if study.members is not None and min(study.members, default=0) < 0:
        problems.append(f"members={study.members}: expected places from 0")
    if model.frozen and (study.members or study.mesh != MeshConfig(1, span=False)):
        problems.append("model.frozen: expected mesh.data=1, no mesh.span, no members")
    if cohort.manifest and cohort.phantom:
        problems.append("cohort.manifest and cohort.phantom: expected only one of them")
    return problems
