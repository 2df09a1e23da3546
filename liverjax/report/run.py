"""A run folder as the report sees it: only a table of predictions is required."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort.files import Row, read_csv, read_json, sha256_file
from liverjax.errors import InputError
from liverjax.report.cutoff import choose_cutoffs, question_of_others
from liverjax.report.judgement import join, judge
from liverjax.report.readings import READINGS, read_readings
from liverjax.report.tables import Predictions, read_predictions
from liverjax.tasks.question import Question

# The ceiling of a synthetic cohort, if the folder has one.
CEILING = "phantom.json"


@dataclasses.dataclass(frozen=True)
class MemberFacts:
    """What a member's folder tells: an epoch a line, and how it ended.

    Attributes:
        name: Of its folder, such as ``f03-s00-t00``.
        epochs: Lines of ``metrics.jsonl``.
        done: Content of ``done.json``; empty while it trains.
    """

    name: str
    epochs: tuple[Mapping[str, Any], ...]
    done: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """A file that the report was made from."""

    name: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Everything a report can be made from; what is absent is empty.

    Attributes:
        path: The folder.
        predictions: Its judged table, joined with ``examinations.csv``.
        models: Other models' tables by name.
        metrics: Content of ``metrics.json``.
        config: Content of ``config.json``.
        environment: Content of ``environment.json``.
        folds: Subjects of ``train``, ``select`` and ``held_out`` of each fold.
        examinations: Rows of ``examinations.csv``: what was prepared.
        status: Rows of ``status.csv``: what was to be prepared.
        exclusions: Rows of ``exclusions.csv``: who never reached the manifest.
        per_fold: Rows of ``per_fold.csv``.
        members: Trained networks.
        heads: Rows of ``members/heads/heads.csv``: heads on a frozen backbone.
        pictures: The folder of the examinations' pictures.
        sources: The files that were read.
    """

    path: pathlib.Path
    predictions: Predictions
    models: Mapping[str, Predictions]
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    folds: tuple[Mapping[str, list[str]], ...]
    examinations: tuple[Row, ...]
    status: tuple[Row, ...]
    exclusions: tuple[Row, ...]
    per_fold: tuple[Row, ...]
    members: tuple[MemberFacts, ...]
    heads: tuple[Row, ...]
    pictures: pathlib.Path
    sources: tuple[Source, ...]

    @property
    def held_out(self) -> str:
        """Who says that the headline's rows were held out; empty where nobody does."""
        rows = self.predictions
        rows = rows.take((rows.set == self.metrics["set"]) & np.isfinite(rows.target))
        if np.any(rows.fold == ""):
            return ""
        if self.folds:
            return "every examination predicted by a network that never saw the patient"
        return (
            "every examination predicted by a model that never saw the patient, as the "
            "table's column fold states"
        )


def judge_run(
    run_dir: pathlib.Path,
    *,
    task: Question,
    visits: str | None = None,
    slices: str | None = None,
    subgroups: Sequence[str] | None = None,
    given_as: str | None = None,
    headline: str | None = None,
) -> dict[str, Any]:
    """Returns and writes ``metrics.json`` of a run folder, from its tables alone.

    Reads ``predictions.csv``, ``models/*.csv``, and where they are there
    ``examinations.csv`` (further columns), ``readings.csv`` (what readers said) and
    ``phantom.json`` (the ceiling).

    Args:
        run_dir: The folder.
        task: The clinical question.
        visits: Which examinations of a subject are judged (`choose_visits`).
        slices: How rows of slices are judged (`from_slices`).
        subgroups: Columns whose levels are compared (`judge_subgroups`).
        given_as: What the table was called before it was copied here.
        headline: The set that stands first; None leaves it to `judge`.

    Raises:
        InputError: If a table cannot be used.
    """
    predictions = read_predictions(
        run_dir / "predictions.csv", task=task, visits=visits, slices=slices
    )
    readings = run_dir / READINGS
    return judge(
        dataclasses.replace(predictions, file=given_as or predictions.file),
        task=task,
        compare=_models(run_dir, task=task, slices=slices),
        examinations=_rows(run_dir / "examinations.csv"),
        out_dir=run_dir,
        ceiling=_ceiling(run_dir / CEILING),
        visits=visits,
        slices=slices,
        subgroups=subgroups,
        headline=headline,
        readings=read_readings(readings, task=task) if readings.exists() else None,
    )


def read_run(run_dir: pathlib.Path, *, task: Question) -> RunFolder:
    """Returns what a judged folder holds.

    Args:
        run_dir: A folder with ``predictions.csv`` and ``metrics.json``.
        task: The clinical question.

    Raises:
        InputError: If the folder is not judged yet, or a file of it cannot be read.
    """
    if not (run_dir / "metrics.json").exists():
        raise InputError(
            f"{run_dir}: metrics.json is missing; judge the folder first "
            "(python -m liverjax.report --run)"
        )
    metrics = read_json(run_dir / "metrics.json")
    predictions = read_predictions(
        run_dir / "predictions.csv",
        task=task,
        visits=metrics.get("visits"),
        slices=metrics.get("slices"),
    )
    predictions, models, _ = choose_cutoffs(
        predictions,
        compare=_models(run_dir, task=task, slices=metrics.get("slices")),
        task=task,
    )
    examinations = _rows(run_dir / "examinations.csv")
    config = _config(run_dir)
    splits = _json(run_dir / "splits.json")
    cohort = (config.get("cohort") or {}).get("path") or run_dir / "cohort"
    return RunFolder(
        path=run_dir,
        predictions=join(predictions, examinations),
        models={model.name: model for model in models},
        metrics=metrics,
        config=config,
        environment=_json(run_dir / "environment.json"),
        folds=tuple(splits.get("folds", ())),
        examinations=tuple(examinations),
        status=tuple(_rows(run_dir / "status.csv")),
        exclusions=tuple(_rows(run_dir / "exclusions.csv")),
        per_fold=tuple(_rows(run_dir / "per_fold.csv")),
        members=_members(run_dir / "members"),
        heads=tuple(_rows(run_dir / "members" / "heads" / "heads.csv")),
        pictures=pathlib.Path(cohort) / "qc",
        sources=_sources(run_dir),
    )


def _config(run_dir: pathlib.Path) -> dict[str, Any]:
    """A run's config; of a file of weights the name alone: folders may bear names."""
    config = _json(run_dir / "config.json")
    model = config.get("model") or {}
    if model.get("pretrained"):
        name = pathlib.PurePath(model["pretrained"]).name
        config = {**config, "model": {**model, "pretrained": name}}
    return config


_SOURCES = (
    "predictions.csv",
    "models/*.csv",
    READINGS,
    "metrics.json",
    "confusion.csv",
    "per_class.csv",
    "per_fold.csv",
    "config.json",
    "environment.json",
    "cohort.json",
    "splits.json",
    "examinations.csv",
    "status.csv",
    "exclusions.csv",
    CEILING,
)


def _sources(run_dir: pathlib.Path) -> tuple[Source, ...]:
    paths = [path for pattern in _SOURCES for path in sorted(run_dir.glob(pattern))]
    return tuple(
        Source(str(path.relative_to(run_dir)), sha256_file(path)) for path in paths
    )


def _models(
    run_dir: pathlib.Path, *, task: Question, slices: str | None
) -> list[Predictions]:
    task = question_of_others(task)
    return [
        read_predictions(path, task=task, slices=slices)
        for path in sorted((run_dir / "models").glob("*.csv"))
    ]


def _members(folder: pathlib.Path) -> tuple[MemberFacts, ...]:
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name == "heads":
            continue
        found.append(
            MemberFacts(
                name=path.name,
                epochs=_json_lines(path / "metrics.jsonl"),
                done=_json(path / "done.json"),
            )
        )
    return tuple(found)


def _json_lines(path: pathlib.Path) -> tuple[Mapping[str, Any], ...]:
    """A line an epoch; a last line cut off by a kill is left out."""
    if not path.exists():
        return ()
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return tuple(line for line in lines if isinstance(line, dict))


def _ceiling(path: pathlib.Path) -> Mapping[str, Any] | None:
    value = _json(path).get("ceiling")
    return value if isinstance(value, dict) else None


def _json(path: pathlib.Path) -> dict[str, Any]:
    value = read_json(path) if path.exists() else {}
    return value if isinstance(value, dict) else {}


def _rows(path: pathlib.Path) -> list[Row]:
    return read_csv(path)[1] if path.exists() else []
