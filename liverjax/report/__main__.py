"""Judges predictions: ``python -m liverjax.report --predictions FILE.csv ...``.

A table made elsewhere, or a finished run; neither needs jax.

    python -m liverjax.report --predictions FILE.csv --task child_pugh --out DIR
    python -m liverjax.report --run runs/demo
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from liverjax import tasks
from liverjax.cohort.files import read_json, sha256_file, write_bytes
from liverjax.cohort.table_text import Dialect
from liverjax.errors import InputError, run_command
from liverjax.report import markup
from liverjax.report.html import RESEARCH_ONLY, write_report
from liverjax.report.run import judge_run
from liverjax.report.tables import (
    VISITS,
    read_predictions,
    to_rows,
    write_predictions,
)
from liverjax.tasks.question import Task


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges and reports; returns the exit status."""
    given = _parser().parse_args(arguments)
    if bool(given.run) == bool(given.predictions):
        raise InputError("give either --predictions FILE.csv --out DIR, or --run DIR")
    if given.predictions and not given.out:
        raise InputError("--out is missing: the folder for the report")
    folder = given.run or given.out
    task = _task(given.task, run=given.run)
    if given.predictions:
        dialect = Dialect(given.delimiter, given.decimal, given.encoding)
        _bring(
            given.predictions, folder / "predictions.csv", task=task, dialect=dialect
        )
        _check_models(given.compare, folder=folder)
        for other in given.compare:
            path = folder / "models" / f"{other.stem}.csv"
            _bring(other, path, task=task, dialect=dialect)
    metrics = judge_run(folder, task=task, visits=given.visits, ceiling=given.ceiling)
    page = write_report(folder, task=task)
    print(_summary(metrics))
    print(RESEARCH_ONLY)
    print(f"report: {page}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m liverjax.report",
        description="Judges a table of predictions, or a finished run again.",
    )
    add = parser.add_argument
    add("--predictions", type=pathlib.Path, help="table: subject, target, score ...")
    add("--compare", type=pathlib.Path, nargs="+", default=[], help="other models")
    add("--run", type=pathlib.Path, help="a finished run folder, judged again")
    add("--task", choices=sorted(tasks.TASKS), help="with --run: the run's own")
    add("--out", type=pathlib.Path, help="folder for report, figures and metrics")
    add("--visits", choices=VISITS, help="which examinations of a patient are kept")
    add("--ceiling", type=pathlib.Path, help="phantom.json of a synthetic cohort")
    add("--delimiter", default=",", help="between cells; 'tab' for a tab")
    add("--decimal", default=".", help="decimal sign, '.' or ','")
    add("--encoding", default="utf-8", help="of the tables")
    return parser


def _task(name: str | None, *, run: pathlib.Path | None) -> Task:
    """The named task, or the run's own with its options."""
    config = run / "config.json" if run else None
    if config and config.exists():
        options = dict(read_json(config).get("task") or {})
        if name in (None, options.get("name")) and "name" in options:
            return tasks.make(options.pop("name"), **options)
    if name is None:
        raise InputError(f"--task is missing: one of {', '.join(sorted(tasks.TASKS))}")
    return tasks.make(name)


def _check_models(compare: Sequence[pathlib.Path], *, folder: pathlib.Path) -> None:
    """Each table needs a name of its own, and only given ones are judged."""
    names = [path.stem for path in compare]
    if len(set(names)) < len(names):
        raise InputError(f"--compare: two tables have one name: {', '.join(names)}")
    there = {path.stem for path in (folder / "models").glob("*.csv")}
    if there - set(names):
        raise InputError(
            f"{folder / 'models'}: holds tables of an earlier call "
            f"({', '.join(sorted(there - set(names)))}); remove them, name them after "
            "--compare, or choose another --out"
        )


def _bring(
    source: pathlib.Path, target: pathlib.Path, *, task: Task, dialect: Dialect
) -> None:
    """Copies a checked table into the report's folder, as our own form where needed.

    The folder then holds everything that its report was made from.
    """
    read = read_predictions(source, task=task, dialect=dialect)
    if target.exists() and (target.parent / "config.json").exists():
        if sha256_file(target) == read.sha256:
            return
        raise InputError(
            f"{target.parent}: a run folder with predictions of its own; choose "
            "another --out"
        )
    if dialect == Dialect():
        write_bytes(target, source.read_bytes())
    else:
        write_predictions(target, to_rows(read, task=task), task=task)


def _summary(metrics: Mapping[str, Any]) -> str:
    lines = [f"set {metrics['set']}"]
    for name in ("kendall_tau", "kendall_tau_within_folds", "accuracy"):
        metric = metrics.get(name)
        if metric and not markup.is_absent(metric["estimate"]):
            line = f"{name} {markup.estimate(metric)}, n {metric['n']}"
            if not markup.is_absent(metric["p"]):
                line += f", p {markup.p_value(metric['p'])}"
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
