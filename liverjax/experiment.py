"""The protocol of a study: stages that each leave files and are skipped when done."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from liverjax import (
    baselines,
    cluster,
    config,
    members,
    merge,
    models,
    report,
    runtime,
    study_flags,
    weights,
)
from liverjax.children import run_child
from liverjax.cohort import files, leakage, schema, splits
from liverjax.config import StudyConfig
from liverjax.errors import InputError, raise_all
from liverjax.members import dealing
from liverjax.report import html

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """How a run ended: exit status and a sentence for the user."""

    status: int
    message: str


def run(study: StudyConfig, *, scheduler: str | None = None) -> RunOutcome:
    """Runs a study from images to report, or goes on where it stood.

    Args:
        study: Whole; ``study.workdir`` is the run folder.
        scheduler: A cluster that prepares and trains: its address, or its file.

    Raises:
        InputError: If the folder, config, weights, cohort or splits cannot be used.
    """
    folder = pathlib.Path(study.workdir)
    if not (folder / "DONE").exists():
        if scheduler and study.mesh.span:
            raise InputError("mesh.span and --scheduler: choose one of them")
        if study.members is None and scheduler is None:
            runtime.refuse_ranks()
        check_study(study)
    claim_folder(folder, study=study)
    if (folder / "DONE").exists():
        return RunOutcome(0, f"already done: {folder / 'report.html'}")
    if study.members and not (folder / "splits.json").exists():
        raise InputError(
            f"{folder}: no splits.json yet, which all starts with members share; make "
            'it and the cohort once with --config.members="()"'
        )
    cohort = prepare(folder, study=study, scheduler=scheduler)
    folds = split(folder, study=study, cohort=cohort)
    every = members.every_member(study, folds=folds)
    chosen = pick_members(every, places=study.members)
    if chosen:
        ended = train(
            folder,
            chosen,
            study=study,
            num_members=len(every),
            scheduler=scheduler,
        )
        if ended.stopped:
            return stopped(folder, ended)
    if study.members is not None:
        names = ", ".join(member.id for member in chosen) or "no member"
        return RunOutcome(
            0, f"trained {names}; a start without members writes the report"
        )
    return finish(folder, study=study, folds=folds, every=every)


def train(
    folder: pathlib.Path,
    chosen: Sequence[members.Member],
    *,
    study: StudyConfig,
    num_members: int,
    scheduler: str | None,
) -> members.Ended:
    """Trains members here or on a cluster; writes what their numbers depend on."""
    facts, group = folder / "environment.json", study.mesh.data
    if scheduler and study.model.frozen:
        _log.warning(
            "warning: model.frozen: the heads are one program and are trained by this "
            "process, on its own device; the cluster of --scheduler only prepares"
        )
    if scheduler is None or study.model.frozen:
        groups = runtime.start(1 if study.model.frozen else num_members, group=group)
        files.write_json(facts, runtime.facts(groups))
        return members.train_members(folder, chosen, groups=groups)
    client = cluster.connect(scheduler)
    found = dealing.worker_facts(client, num_members=num_members, group=group)
    files.write_json(facts, found)
    return dealing.train_members(
        folder, chosen, client=client, num_members=num_members, group=group
    )


def finish(
    folder: pathlib.Path,
    *,
    study: StudyConfig,
    folds: tuple[splits.Fold, ...],
    every: Sequence[members.Member],
) -> RunOutcome:
    """Merges what all members predicted, judges it and writes the report."""
    trials = members.make_trials(dataclasses.asdict(study.train.trials))
    best = members.write_trials(folder, every, trials=trials)
    merge.write_predictions(folder, every, trial=best, task=study.task)
    baselines.write(folder, study=study, folds=folds)
    judge(folder, study=study)
    files.write_bytes(folder / "DONE", (config.identity(study) + "\n").encode())
    return RunOutcome(0, f"report: {folder / 'report.html'}")


def stopped(folder: pathlib.Path, ended: members.Ended) -> RunOutcome:
    """Returns what a run says that was asked to stop."""
    return RunOutcome(ended.status, f"stopped; the same command goes on in {folder}")


def pick_members(
    every: Sequence[members.Member], *, places: Sequence[int] | None
) -> tuple[members.Member, ...]:
    """Returns the members of one start; all where none are named.

    Raises:
        InputError: If a place is beyond the study's members.
    """
    if places is None:
        return tuple(every)
    beyond = [place for place in places if place >= len(every)]
    if beyond:
        raise InputError(
            f"members={tuple(places)}: {beyond} do not exist; the study has "
            f"{len(every)} members, 0 to {len(every) - 1}"
        )
    return tuple(every[place] for place in places)


def claim_folder(folder: pathlib.Path, *, study: StudyConfig) -> None:
    """Writes ``config.json``, once it is sure that the folder belongs to this study.

    What is no part of the study's identity (where its cohort and weights lie, memory,
    how often it saves) may change from start to start; the last start's values stand.

    Raises:
        InputError: If the folder holds another study, naming what differs.
    """
    path = folder / "config.json"
    # Which members one start trains is no property of the folder.
    values = config.to_dict(dataclasses.replace(study, members=None))
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise InputError(
                f"{folder}: not empty and not a run folder (config.json is missing); "
                "choose another --workdir"
            )
        files.write_json(path, values)
        return
    earlier = config.from_config_dict(files.read_json(path))
    if config.identity(earlier) != config.identity(study):
        now, then = (
            json.loads(files.to_json(v)) for v in (values, config.to_dict(earlier))
        )
        raise InputError(
            f"{folder}: holds a run of another config; choose another --workdir, or "
            "remove the folder if nothing in it is needed. It differs in "
            f"{', '.join(_differences(then, now))}"
        )
    if config.to_dict(earlier) != values and not (folder / "DONE").exists():
        files.write_json(path, values)


def check_study(study: StudyConfig) -> None:
    """Checks before any work that network, weights and baselines can be had.

    Raises:
        InputError: If the model or an option is unknown or does not fit the images, or
            weights, a table of features or a manifest is missing.
    """
    baselines.check(study)
    model = study.model
    if "dtype" in model.options:
        raise InputError("config.model.options: dtype is set by model.compute_dtype")
    try:
        models.make(model.name, num_outputs=study.task.num_outputs, **model.options)
    except ValueError as error:
        raise InputError(f"config.model: {error}") from None
    members.check_network(study)


def weights_hash(study: StudyConfig) -> str:
    """Returns the SHA-256 of the weights a study starts from; empty without any."""
    model = study.model
    if model.pretrained == "none":
        return ""
    path = weights.locate(
        model.name, pretrained=model.pretrained, weights_dir=model.weights_dir
    )
    return files.sha256_file(path)


def prepare(
    folder: pathlib.Path, *, study: StudyConfig, scheduler: str | None = None
) -> schema.Cohort:
    """Returns the study's cohort, prepared now if it is not complete.

    Raises:
        InputError: If preparation failed, or the cohort was made by another recipe.
    """
    path = pathlib.Path(study.cohort.path) if study.cohort.path else folder / "cohort"
    manifest = pathlib.Path(study.cohort.manifest) if study.cohort.manifest else None
    complete = (path / "cohort.json").exists()
    if study.cohort.phantom:
        manifest = folder / "phantom" / "manifest.csv"
        if not complete and not manifest.exists():
            run_child(_phantom_command(study.cohort.phantom, out=manifest.parent))
    if not complete:
        if manifest is None:
            raise InputError(
                f"{path}: no prepared cohort; give --config.cohort.manifest=FILE.csv "
                "to prepare it, or --config.cohort.path to one that is ready"
            )
        command = ["data_prep.build", study_flags.saved(folder / "config.json")]
        command += [f"--manifest={manifest}", f"--out={path}"]
        if study.cohort.workers:
            command.append(f"--workers={study.cohort.workers}")
        if scheduler:
            command.append(f"--scheduler={scheduler}")
        run_child(command)
    cohort = schema.open_cohort(path)
    if cohort.recipe != study.prepare:
        one, two = (dataclasses.asdict(r) for r in (cohort.recipe, study.prepare))
        raise InputError(
            f"{path}: prepared by another recipe; it differs in "
            f"{', '.join(_differences(one, two))}. Change config.prepare or prepare "
            "again into another folder"
        )
    if (folder / "cohort.json").exists():
        earlier = files.sha256_file(folder / "cohort.json")
        if earlier != cohort.fingerprint:
            raise InputError(
                f"{path}: not the cohort this run started with (SHA-256 of cohort.json "
                f"{cohort.fingerprint[:12]}..., then {earlier[:12]}...); choose "
                "another --workdir"
            )
    told = ["cohort.json", "examinations.csv", "qc/status.csv", "exclusions.csv"]
    sources = [path / name for name in told]
    if manifest:
        sources.append(manifest.parent / "phantom.json")
    for source in sources:
        if source.exists():
            files.write_bytes(folder / source.name, source.read_bytes())
    return cohort


def split(
    folder: pathlib.Path, *, study: StudyConfig, cohort: schema.Cohort
) -> tuple[splits.Fold, ...]:
    """Returns the folds of ``splits.json``, made (or copied from the user's) once.

    Raises:
        InputError: If subjects leak, overlap, are too few, or a fold lacks a class that
            the task must see.
    """
    task, options = study.task, study.split
    truth = _truth(cohort, study=study)
    others = {r["subject"] for r in cohort.examinations if r["set"] != schema.TRAIN}
    path = folder / "splits.json"
    if not path.exists():
        if options.leak_check:
            leakage.refuse_leaks(leakage.find_leaks(cohort))
        if options.file:
            folds = splits.read_splits(pathlib.Path(options.file))
        else:
            classes = dict(
                zip(truth, task.true_class(np.array(list(truth.values()))), strict=True)
            )
            folds = splits.make_folds(
                {s: int(c) if options.stratify else 0 for s, c in classes.items()},
                folds=options.folds,
                select_fraction=options.select_fraction,
                seed=options.seed,
            )
            if options.select_on == "held_out":
                folds = tuple(
                    splits.Fold(f.train + f.select, f.held_out, f.held_out)
                    for f in folds
                )
        splits.check_folds(folds, train=list(truth), others=sorted(others))
        _check_classes(folds, study=study, truth=truth)
        splits.write_splits(path, folds, seed=options.seed)
    folds = splits.read_splits(path)
    splits.check_folds(folds, train=list(truth), others=sorted(others), title=str(path))
    return folds


def judge(folder: pathlib.Path, *, study: StudyConfig) -> None:
    """Computes ``metrics.json`` and ``report.html`` from the run folder's tables."""
    started = time.monotonic()
    report.judge_run(folder, task=study.task)
    html.write_report(folder, task=study.task)
    _log.info("judged and reported in %.1f s", time.monotonic() - started)


def _truth(cohort: schema.Cohort, *, study: StudyConfig) -> dict[str, float]:
    """The truth of each subject of ``train``: of its first visit in the table."""
    truth: dict[str, float] = {}
    for row in cohort.examinations:
        if row["set"] == schema.TRAIN:
            value = study.task.parse(row[study.task.target_column])
            truth.setdefault(row["subject"], value)
    if not truth:
        raise InputError(
            f"{cohort.path}: no examination of the set 'train'; the manifest's column "
            "'set' says which are cross-validated (empty or absent means train)"
        )
    return truth


def _check_classes(
    folds: tuple[splits.Fold, ...], *, study: StudyConfig, truth: dict[str, float]
) -> None:
    task = study.task
    problems = []
    for number, fold in enumerate(folds):
        present = task.true_class(np.array([truth[s] for s in fold.train]))
        absent = [c for i, c in enumerate(task.classes) if i not in present]
        if absent:
            problems.append(f"fold {number} trains on no subject of class {absent}")
    if study.task.judged_by == "class":
        raise_all(problems, title="splits")
    for problem in problems:
        _log.warning("warning: %s", problem)


def _phantom_command(phantom: config.PhantomConfig, *, out: pathlib.Path) -> list[str]:
    options = [
        f"--{name}={value}" for name, value in dataclasses.asdict(phantom).items()
    ]
    return ["data_prep.phantom", f"--out={out}", *options]


def _differences(one: object, two: object, prefix: str = "") -> list[str]:
    """Dotted names of values that differ between two nested mappings."""
    if isinstance(one, dict) and isinstance(two, dict):
        return [
            name
            for key in sorted({*one, *two})
            for name in _differences(one.get(key), two.get(key), f"{prefix}.{key}")
        ]
    return [] if one == two else [f"{prefix.lstrip('.')} ({one!r} there, {two!r} here)"]
