"""Judges predictions: ``python -m liverjax.report --predictions FILE.csv ...``.

A table made elsewhere, or a finished run; neither needs jax.

    python -m liverjax.report --predictions FILE.csv --task child_pugh --out DIR
    python -m liverjax.report --run runs/demo
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from liverjax import tasks
from liverjax.cohort.files import read_json, sha256_file, write_bytes, write_csv
from liverjax.cohort.table_text import Dialect, read_table
from liverjax.errors import InputError, run_command
from liverjax.report import markup
from liverjax.report.cutoff import question_of_others
from liverjax.report.foreign import (
    BASELINE,
    baseline_rows,
    question_of_folder,
    question_of_table,
)
from liverjax.report.headlines import HEADLINES
from liverjax.report.html import RESEARCH_ONLY, write_report
from liverjax.report.readings import READINGS, read_readings, write_readings
from liverjax.report.run import CEILING, judge_run
from liverjax.report.tables import (
    SLICES,
    VISITS,
    Predictions,
    read_predictions,
    with_points,
    write_predictions,
)
from liverjax.tasks.kinds import BINARY
from liverjax.tasks.question import Question


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges and reports; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    given = _parser().parse_args(_join_baselines(words))
    if bool(given.run) == bool(given.predictions):
        raise InputError("give either --predictions FILE.csv --out DIR, or --run DIR")
    if given.predictions and not given.out:
        raise InputError("--out is missing: the folder for the report")
    folder = given.run or given.out
    task, given_as, readings = _question(given), None, None
    before: Mapping[str, Any] = {}
    if given.readings:
        readings = read_readings(given.readings, task=task, dialect=_dialect(given))
    if given.predictions:
        _bring_all(given, folder, task=task)
        given_as = given.predictions.name
    elif (folder / "metrics.json").exists():
        before = read_json(folder / "metrics.json")
        given_as = (before.get("input") or {}).get("file")
    if readings:
        write_readings(folder / READINGS, readings, task=task)
    if given.ceiling:
        _bring_ceiling(given.ceiling, folder)
    metrics = judge_run(
        folder,
        task=task,
        visits=given.visits or before.get("visits"),
        slices=given.slices or before.get("slices"),
        subgroups=given.subgroups or before.get("subgroup_columns"),
        given_as=given_as,
        headline=given.set or before.get("headline"),
    )
    page = write_report(folder, task=task)
    print(_summary(metrics))
    print(RESEARCH_ONLY)
    print(f"report: {page}")
    return 0


def _join_baselines(words: Sequence[str]) -> list[str]:
    """The words with those after --baselines as one.

    A minus before a column's name would make argparse take it for an option, and a
    blank after a comma for a word too many.
    """
    joined: list[str] = []
    names: list[str] | None = None
    for word in words:
        if names is not None and not word.startswith("--"):
            names.append(word)
            joined[-1] = f"--baselines={','.join(names)}"
        else:
            names = [] if word == "--baselines" else None
            joined.append(word)
    if "--baselines" in joined:
        raise InputError(
            "--baselines: names of scores or columns are missing, such as "
            "--baselines fib4,-platelets_10e9_per_l"
        )
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m liverjax.report",
        description="Judges a table of predictions, or a finished run again.",
    )
    add = parser.add_argument
    names = sorted({*tasks.TASKS, *tasks.GENERIC})
    add("--predictions", type=pathlib.Path, help="table: subject, target, score ...")
    add("--compare", type=pathlib.Path, nargs="+", default=[], help="other models")
    add(
        "--readings", type=pathlib.Path, help="readers: subject, reader, with_ai, score"
    )
    add("--run", type=pathlib.Path, help="a finished run folder, judged again")
    add("--task", choices=names, help="with --run: the run's own")
    add("--classes", help="names in order, the negative or mildest first: F0,F1,F2")
    add(
        "--cutoff",
        help="binary: from here on a score is positive (0.5); youden:SET chooses it on "
        "one set and uses it on all",
    )
    add("--out", type=pathlib.Path, help="folder for report, figures and metrics")
    add("--set", help="the set that stands first (train with folds, else the first)")
    add("--visits", choices=VISITS, help="which examinations of a patient are kept")
    add("--slices", choices=SLICES, help="the table's rows are slices: how to judge")
    add("--subgroups", nargs="+", help="columns, or cuts like 'age_years>=60'")
    add(
        "--baselines",
        type=lambda words: [word for word in re.split("[, ]+", words) if word],
        default=[],
        help="scores (fib4, apri, albi) or columns as simple models: "
        "fib4,-platelets_10e9_per_l (minus: lower is sicker)",
    )
    add("--ceiling", type=pathlib.Path, help="phantom.json of a synthetic cohort")
    add("--delimiter", default=",", help="between cells; 'tab' for a tab")
    add("--decimal", default=".", help="decimal sign, '.' or ','")
    add("--encoding", default="utf-8", help="of the tables")
    return parser


def _question(given: argparse.Namespace) -> Question:
    if given.run:
        return question_of_folder(given.run, name=given.task)
    if given.task is None:
        known = ", ".join(sorted({*tasks.TASKS, *tasks.GENERIC}))
        raise InputError(f"--task is missing: one of {known}")
    return question_of_table(
        given.predictions,
        name=given.task,
        classes=_names(given.classes),
        cutoff=given.cutoff,
        dialect=_dialect(given),
    )


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


def _dialect(given: argparse.Namespace) -> Dialect:
    return Dialect(given.delimiter, given.decimal, given.encoding)


def _bring_all(
    given: argparse.Namespace, folder: pathlib.Path, *, task: Question
) -> None:
    """Copies the table, the compared tables and the baselines into the folder."""
    dialect, slices = _dialect(given), given.slices
    read = _bring(
        given.predictions,
        folder / "predictions.csv",
        task=task,
        dialect=dialect,
        slices=slices,
    )
    baselines = {
        BASELINE + column.removeprefix("-"): baseline_rows(read, column=column)
        for column in given.baselines
    }
    _check_models([*(p.stem for p in given.compare), *baselines], folder=folder)
    if (folder / READINGS).exists() and not given.readings:
        raise InputError(
            f"{folder / READINGS}: stands there from an earlier call; remove it, name "
            "it after --readings, or choose another --out"
        )
    ceiling = folder / CEILING
    if ceiling.exists() and not (given.ceiling or (folder / "config.json").exists()):
        raise InputError(
            f"{ceiling}: stands there from an earlier call; remove it, name it after "
            "--ceiling, or choose another --out"
        )
    others = question_of_others(task)
    for other in given.compare:
        path = folder / "models" / f"{other.stem}.csv"
        _bring(other, path, task=others, dialect=dialect, slices=slices)
    for name, rows in baselines.items():
        write_predictions(folder / "models" / f"{name}.csv", rows, task=task)


def _check_models(names: Sequence[str], *, folder: pathlib.Path) -> None:
    """Each table needs a name of its own, and only given ones are judged."""
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
    source: pathlib.Path,
    target: pathlib.Path,
    *,
    task: Question,
    dialect: Dialect,
    slices: str | None,
) -> Predictions:
    """Copies a checked table into the report's folder, as our own form where needed.

    The folder then holds everything that its report was made from.
    """
    read = read_predictions(source, task=task, dialect=dialect, slices=slices)
    if target.exists() and (target.parent / "config.json").exists():
        if sha256_file(target) == read.sha256:
            return read
        raise InputError(
            f"{target.parent}: a run folder with predictions of its own; choose "
            "another --out"
        )
    if dialect == Dialect():
        write_bytes(target, source.read_bytes())
        return read
    table = read_table(source, dialect=dialect)
    write_csv(target, with_points(table, dialect=dialect), columns=table.columns)
    again = read_predictions(target, task=task, slices=slices)
    return dataclasses.replace(again, file=read.file)


def _bring_ceiling(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies the ceiling into the folder, which is judged again with it."""
    known = read_json(source)
    if not isinstance(known, dict) or not isinstance(known.get("ceiling"), dict):
        raise InputError(
            f"{source}: holds no ceiling; --ceiling is phantom.json of a synthetic "
            "cohort"
        )
    target = folder / CEILING
    if target.exists() and sha256_file(target) == sha256_file(source):
        return
    if target.exists() and (folder / "config.json").exists():
        raise InputError(f"{target}: the run has a ceiling of its own; no --ceiling")
    write_bytes(target, source.read_bytes())


def _summary(metrics: Mapping[str, Any]) -> str:
    others = [name for name in metrics["sets"] if name != metrics["set"]]
    lines = [f"set {metrics['set']}"]
    if others:
        lines[0] += f" (--set puts another first: {', '.join(others)})"
    if metrics["kind"] == BINARY:
        lines.append(f"positive: {metrics['options']['classes'][1]}")
    for name in HEADLINES[metrics["kind"]]:
        metric = metrics.get(name)
        if metric and not markup.is_absent(metric["estimate"]):
            line = f"{name} {markup.estimate(metric)}, n {metric['n']}"
            if not markup.is_absent(metric["p"]):
                line += f", p {markup.p_value(metric['p'])}"
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
