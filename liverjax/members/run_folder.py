"""What a run folder says, as values: the cohort's examinations, folds, learner.

Here and in `liverjax.members` a study's config is taken apart; what is below takes
values. `liverjax.experiment` writes the folder: ``config.json``, ``splits.json``.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float, Int, Num

from liverjax import losses, models, weights
from liverjax.cohort.schema import TRAIN, Cohort, open_cohort
from liverjax.cohort.splits import Fold, read_splits
from liverjax.config import StudyConfig, read_study
from liverjax.data.augment import augment, center_crop
from liverjax.data.inputs import SCRATCH_MEAN, SCRATCH_STD, network_input
from liverjax.data.rows import ROWS, EpochRows, RowKind, draw_epoch, epoch_rng
from liverjax.errors import InputError
from liverjax.members.member import Member, of_study
from liverjax.members.trials import make_trials
from liverjax.tasks.question import Task
from liverjax.train import state as states
from liverjax.train.compile import Learner
from liverjax.train.loop import Plan
from liverjax.train.optimizer import adam
from liverjax.train.schedule import make_schedule


@dataclasses.dataclass(frozen=True)
class Examinations:
    """The examinations of a cohort, an entry each.

    Attributes:
        subject: Names.
        visit: Numbers, as text.
        set: ``train`` or another.
        site: Empty where unknown.
        spans: First record and number of records.
        truth: NaN where unknown.
    """

    subject: tuple[str, ...]
    visit: tuple[str, ...]
    set: tuple[str, ...]
    site: tuple[str, ...]
    spans: Int[np.ndarray, "e 2"]
    truth: Float[np.ndarray, " e"]

    def of_subjects(
        self, subjects: Iterable[str], *, labelled: bool = False
    ) -> Int[np.ndarray, " n"]:
        """Returns the places of cross-validated subjects' examinations.

        Args:
            subjects: Names.
            labelled: Leave out those without a truth.
        """
        wanted = set(subjects)
        chosen = [
            place
            for place, subject in enumerate(self.subject)
            if subject in wanted
            and self.set[place] == TRAIN
            and not (labelled and np.isnan(self.truth[place]))
        ]
        return np.array(chosen, int)

    def of_other_sets(self) -> Int[np.ndarray, " n"]:
        """Returns the places of the examinations that are only predicted."""
        return np.flatnonzero([name != TRAIN for name in self.set])

    def targets(self, *, task: Task, num_records: int) -> Num[np.ndarray, " records"]:
        """Returns what the loss compares with, by record; 0 where there is no truth."""
        known = ~np.isnan(self.truth)
        made = task.train_target(self.truth[known])
        target = np.zeros(len(known), made.dtype)
        target[known] = made
        by_record = np.zeros(num_records, made.dtype)
        for (first, count), value in zip(self.spans, target, strict=True):
            by_record[first : first + count] = value
        return by_record


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder, opened.

    Attributes:
        folder: Its path.
        home: Where its members' folders are: the same, but for a process that only
            helps another to train.
        study: The config it was started with.
        cohort: The prepared cohort.
        folds: Of ``splits.json``.
        examinations: Of the cohort.
        learner: The study's functions.
        trials: The sets of hyperparameters that are tried.
        variables: Pretrained weights to start from; None starts from nothing.
        input_mean: Of the network's input channels, intensities in [0, 1].
        input_std: Likewise.
    """

    folder: pathlib.Path
    home: pathlib.Path
    study: StudyConfig
    cohort: Cohort
    folds: tuple[Fold, ...]
    examinations: Examinations
    learner: Learner
    trials: tuple[Mapping[str, float], ...]
    variables: Mapping[str, Any] | None
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]

    @property
    def task(self) -> Task:
        """The clinical question."""
        return self.study.task

    @functools.cached_property
    def targets(self) -> Num[np.ndarray, " records"]:
        """What the loss compares with, by record."""
        return self.examinations.targets(
            task=self.task, num_records=self.cohort.num_records
        )

    @functools.cached_property
    def table_shape(self) -> tuple[int, int]:
        """Rows of the run's longest epoch, of whatever member, and numbers in a row."""
        shapes = []
        for fold in range(len(self.folds)):
            try:
                shapes.append(self.draw(fold, seed=0, epoch=0).rows.shape)
            except InputError as error:
                raise InputError(f"fold {fold}: {error}") from None
        return max(shapes)

    def train_spans(self, fold: int) -> Int[np.ndarray, "e 2"]:
        """Returns the spans of a fold's training examinations."""
        subjects = self.folds[fold].train
        return self.examinations.spans[
            self.examinations.of_subjects(subjects, labelled=True)
        ]

    def draw(self, fold: int, *, seed: int, epoch: int) -> EpochRows:
        """Returns the rows of one epoch of one fold and seed."""
        return draw_epoch(
            epoch_rng(seed=seed, fold=fold, epoch=epoch),
            self.learner.kind,
            spans=self.train_spans(fold),
            batch_size=self.study.train.batch_size,
            steps=self.study.train.steps_per_epoch,
        )


def every_member(study: StudyConfig, *, folds: Sequence[Fold]) -> tuple[Member, ...]:
    """Returns all members of a study."""
    return of_study(
        folds=len(folds),
        seeds=study.train.seeds,
        trials=len(make_trials(dataclasses.asdict(study.train.trials))),
    )


def open_run(folder: pathlib.Path) -> Run:
    """Returns what a run folder says.

    Raises:
        InputError: If its config, splits, cohort or weights cannot be used.
    """
    study = read_study(folder)
    path = pathlib.Path(study.cohort.path) if study.cohort.path else folder / "cohort"
    cohort = open_cohort(path, verify=False)
    variables, mean, std = starting_weights(study)
    return Run(
        folder=folder,
        home=folder,
        study=study,
        cohort=cohort,
        folds=read_splits(folder / "splits.json"),
        examinations=read_examinations(cohort, task=study.task),
        learner=make_learner(study, mean=mean, std=std),
        input_mean=mean,
        input_std=std,
        trials=make_trials(dataclasses.asdict(study.train.trials)),
        variables=variables,
    )


def read_examinations(cohort: Cohort, *, task: Task) -> Examinations:
    """Returns a cohort's examinations with their records and truths.

    Raises:
        InputError: If a truth cannot be read, or an examination's records are missing
            or do not stand together.
    """
    rows = cohort.examinations
    places: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(cohort.index):
        places.setdefault((row["subject"], row["visit"]), []).append(number)
    spans, truth = [], []
    for row in rows:
        records = places.get((row["subject"], row["visit"]), [])
        title = f"{cohort.path}: subject {row['subject']}, visit {row['visit']}"
        if not records or records != list(range(records[0], records[-1] + 1)):
            raise InputError(
                f"{title}: its records {records[:5]} are missing or apart in "
                "index.csv; prepare the cohort again with python -m data_prep.build"
            )
        spans.append((records[0], len(records)))
        if task.target_column not in row:
            raise InputError(
                f"{cohort.path / 'examinations.csv'}: no column {task.target_column}, "
                f"which the task {task.name} asks for"
            )
        try:
            truth.append(task.parse(row[task.target_column]))
        except InputError as error:
            raise InputError(f"{title}: {error}") from None
    return Examinations(
        subject=tuple(row["subject"] for row in rows),
        visit=tuple(row["visit"] for row in rows),
        set=tuple(row["set"] for row in rows),
        site=tuple(row["site"] for row in rows),
        spans=np.array(spans).reshape(-1, 2),
        truth=np.array(truth, float),
    )


def starting_weights(
    study: StudyConfig,
) -> tuple[Mapping[str, Any] | None, tuple[float, ...], tuple[float, ...]]:
    """Returns the variables to start from, and mean and std of the input's channels.

    Pretrained weights bring their own mean and std; a head of another size is left out
    of them and starts anew.

    Raises:
        InputError: If the weights are missing or are not those of the model.
    """
    model, channels = study.model, len(study.prepare.channels)
    if model.pretrained == "none":
        return None, (SCRATCH_MEAN,) * channels, (SCRATCH_STD,) * channels
    path = weights.locate(
        model.name, pretrained=model.pretrained, weights_dir=model.weights_dir
    )
    try:
        variables, meta = weights.load(path)
        if meta.model != model.name:
            raise weights.WeightsError(
                f"these are weights of {meta.model}, config.model.name is {model.name}"
            )
        adapted = weights.adapt(
            variables,
            model=model.name,
            num_outputs=study.task.num_outputs,
            in_channels=channels,
            image_px=study.prepare.patch_px,
        )
    except weights.WeightsError as error:
        raise InputError(f"{path}: {error}") from None
    mean = weights.spread(meta.input_mean, in_channels=channels)
    std = weights.spread(meta.input_std, in_channels=channels)
    return adapted.variables, mean, std


def check_network(study: StudyConfig) -> None:
    """Builds a study's network on the images it will see, by shapes alone.

    Raises:
        InputError: If the network, its options or its weights cannot be had, or do not
            fit the images.
    """
    variables, mean, std = starting_weights(study)
    px, channels = study.prepare.patch_px, len(study.prepare.channels)
    images = jax.ShapeDtypeStruct((1, px, px, channels), np.float32)

    def create(image: Any, variables: Any) -> Any:
        return states.create_state(
            states.member_key(0, fold=0),
            model=make_learner(study, mean=mean, std=std).model,
            tx=optax.identity(),
            image=image,
            variables=variables,
        )

    given = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), variables)
    try:
        jax.eval_shape(create, images, given)
    except ValueError as error:
        hint = ""
        if study.model.pretrained != "none" and study.model.options.get("width"):
            hint = (
                "; pretrained weights have the published width: set "
                "model.options.width=None, or model.pretrained=none"
            )
        raise InputError(
            f"config.model: {study.model.name} on images of {px} x {px} px "
            f"(prepare.patch_px): {error}{hint}"
        ) from None


def make_learner(
    study: StudyConfig,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    kind: RowKind = ROWS["slice"],
) -> Learner:
    """Returns the pure functions that a study trains and predicts with.

    Args:
        study: The config.
        mean: Of the input's channels.
        std: Of the input's channels.
        kind: How a row becomes an example.
    """
    specs, crop_px = study.prepare.arrays(), study.prepare.patch_px
    model = study.model
    dtype = None if model.compute_dtype == "float32" else model.compute_dtype

    def augment_fn(key: Any, arrays: Any) -> Any:
        changed = augment(
            key, arrays, specs=specs, settings=study.augment, crop_px=crop_px
        )
        return network_input(changed, mean=mean, std=std)

    def crop_fn(arrays: Any) -> Any:
        cropped = center_crop(arrays, specs=specs, crop_px=crop_px)
        return network_input(cropped, mean=mean, std=std)

    return Learner(
        model=models.make(
            model.name,
            num_outputs=study.task.num_outputs,
            dtype=dtype,
            **model.options,
        ),
        tx=adam(
            l2=study.train.l2,
            weight_decay=study.train.weight_decay,
            betas=study.train.betas,
            eps=study.train.eps,
        ),
        loss_fn=losses.LOSSES[study.task.loss],
        kind=kind,
        augment_fn=augment_fn,
        crop_fn=crop_fn,
        head=weights.FAMILIES[model.name].head.removeprefix("params/"),
    )


def make_plan(study: StudyConfig, *, learning_rate: float | None = None) -> Plan:
    """Returns how long a study's members are trained.

    Args:
        study: The config.
        learning_rate: At the start; None is the config's.
    """
    train = study.train
    return Plan(
        epochs=train.epochs,
        schedule=make_schedule(
            train.schedule,
            learning_rate=learning_rate or train.learning_rate,
            every=train.schedule_every,
            factor=train.schedule_factor,
            epochs=train.epochs,
        ),
        early_stopping=train.early_stopping,
        save_every_s=train.save_every_s,
        piece_s=train.piece_s,
    )
