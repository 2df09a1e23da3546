"""A run folder as the report sees it: whatever is there, nothing required but rows."""

from __future__ import annotations

import pathlib
from typing import Any

from liverjax.cohort.files import read_csv, read_json
from liverjax.report.judgement import judge
from liverjax.report.tables import Predictions, read_predictions
from liverjax.tasks.question import Task


def judge_run(
    run_dir: pathlib.Path,
    *,
    task: Task,
    visits: str | None = None,
    ceiling: pathlib.Path | None = None,
) -> dict[str, Any]:
    """Returns and writes ``metrics.json`` of a run folder, from its tables alone.

    Reads ``predictions.csv``, ``models/*.csv``, and where they are there
    ``examinations.csv`` (further columns) and ``phantom.json`` (the ceiling).

    Args:
        run_dir: The folder.
        task: The clinical question.
        visits: Which examinations of a subject are judged (`choose_visits`).
        ceiling: Another file than ``phantom.json`` that holds the ceiling.

    Raises:
        InputError: If a table cannot be used.
    """
    predictions = read_predictions(
        run_dir / "predictions.csv", task=task, visits=visits
    )
    return judge(
        predictions,
        task=task,
        compare=read_models(run_dir, task=task),
        examinations=read_rows(run_dir / "examinations.csv"),
        out_dir=run_dir,
        ceiling=read_ceiling(ceiling or run_dir / "phantom.json"),
    )


def read_models(run_dir: pathlib.Path, *, task: Task) -> tuple[Predictions, ...]:
    """Returns the tables of other models in ``models/``, by name."""
    return tuple(
        read_predictions(path, task=task)
        for path in sorted((run_dir / "models").glob("*.csv"))
    )


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns the rows of a table that this package wrote; none where it is absent."""
    return read_csv(path)[1] if path.exists() else []


def read_ceiling(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the ceiling in a ``phantom.json``, None where there is none."""
    if not path.exists():
        return None
    value = read_json(path)
    return value.get("ceiling") if isinstance(value, dict) else None
