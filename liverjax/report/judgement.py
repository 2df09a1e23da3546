"""From tables of predictions to ``metrics.json`` and the tables beside it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort.files import write_json
from liverjax.cohort.schema import TRAIN
from liverjax.errors import InputError
from liverjax.report.block import block
from liverjax.report.comparisons import correct, differences
from liverjax.report.cutoff import choose_cutoffs
from liverjax.report.judged import Block, judged_rows
from liverjax.report.metric_tables import write_metric_tables
from liverjax.report.notes import judgement_notes
from liverjax.report.pairing import Pair, pair_sets
from liverjax.report.readings import Readings, judge_readings
from liverjax.report.recalibration import add_recalibrated
from liverjax.report.subgroups import judge_subgroups
from liverjax.report.tables import Predictions, examination_name
from liverjax.report.words import counted
from liverjax.stats.estimate import Estimate
from liverjax.tasks.kinds import kind_of
from liverjax.tasks.question import Question

# Names of a ceiling's figures in ``phantom.json`` and in a block.
CEILINGS = ("kendall_tau", "accuracy")


def judge(
    predictions: Predictions,
    *,
    task: Question,
    compare: Sequence[Predictions] = (),
    examinations: Sequence[Mapping[str, str]] | None = None,
    out_dir: pathlib.Path | None = None,
    ceiling: Mapping[str, Any] | None = None,
    visits: str | None = None,
    slices: str | None = None,
    subgroups: Sequence[str] | None = None,
    readings: Readings | None = None,
    headline: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the content of ``metrics.json``: every statistic of a table.

    The top level holds the headline's set (``set`` names it). Every set stands so under
    ``sets``: its figures, compared ``models`` (on the rows of both) and ``subgroups``.
    ``sites`` has the figures of each, in the headline's or else the first set with it.

    Args:
        predictions: What `read_predictions` returned.
        task: The clinical question.
        compare: Tables of other models, joined on (subject, visit).
        examinations: Rows of ``examinations.csv``, for columns the table lacks.
        out_dir: Where to write ``metrics.json`` and its tables; None writes nothing.
        ceiling: The best any reader could reach (`CEILINGS`), of a synthetic cohort.
        visits: The rule the table was read with, for the record.
        slices: That for slices, for the record.
        subgroups: Columns whose levels are compared (`judge_subgroups`).
        readings: What readers said of the same examinations (`judge_readings`).
        headline: The top level's set; None is train with folds, or the file's first.
        seed: Of bootstraps and permutations.

    Raises:
        InputError: If no row has a truth, no judged row is of the headline's set, or a
            compared table fits no row or has another truth.
    """
    joined = join(predictions, examinations)
    predictions, compare, cutoff = choose_cutoffs(joined, compare=compare, task=task)
    judged_sets = _judged_sets(predictions)
    top = _top_level(judged_sets, headline=headline, file=predictions.file)
    pairs = pair_sets(predictions, sets=judged_sets, compare=compare)
    ready = {n: judged_rows(r, task=task, seed=seed) for n, r in judged_sets.items()}
    blocks = _blocks(ready, top=top, ceiling=ceiling)
    sets = _sets(
        judged_sets,
        blocks=blocks,
        pairs=pairs,
        top=top,
        task=task,
        subgroups=subgroups,
        seed=seed,
    )
    metrics = sets[top] | {
        "set": top,
        "headline": headline,
        "sets": sets,
        "sites": _sites(judged_sets, top=top, task=task, seed=seed),
        "readers": readings and judge_readings(readings, rows=predictions, first=top),
        "task": task.name,
        "kind": kind_of(task),
        "options": _options(task),
        "seed": seed,
        "visits": visits,
        "slices": slices,
        "subgroup_columns": subgroups and list(subgroups),
        "cutoff": cutoff,
        "input": _input(predictions, examinations),
        "notes": judgement_notes(
            predictions, judged=ready, metrics=sets, pairs=pairs, top=top, cutoff=cutoff
        ),
    }
    if out_dir is not None:
        write_json(out_dir / "metrics.json", metrics)
        write_metric_tables(out_dir, ready, blocks=blocks)
    return metrics


def _blocks(
    ready: Mapping[str, Judged], *, top: str, ceiling: Mapping[str, Any] | None
) -> dict[str, Block]:
    """Each set's figures, with what only some sets have."""
    blocks = {name: block(rows) for name, rows in ready.items()}
    _add_ceiling(blocks[top], ceiling)
    add_recalibrated(blocks, ready)
    return blocks


def join(
    predictions: Predictions, examinations: Sequence[Mapping[str, str]] | None
) -> Predictions:
    """Returns the table with the columns of ``examinations.csv`` that it lacks."""
    if not examinations:
        return predictions
    cells = {(row["subject"], int(row.get("visit") or 1)): row for row in examinations}
    own = {"subject", "visit", "set", "site", *predictions.extra}
    names = [name for name in examinations[0] if name not in own]
    found = [cells.get(key, {}) for key in predictions.examined()]
    joined = {
        name: np.array([row.get(name, "") for row in found], dtype=np.str_)
        for name in names
    }
    return dataclasses.replace(predictions, extra={**joined, **predictions.extra})


def _sets(
    rows: Mapping[str, Predictions],
    *,
    blocks: Mapping[str, Block],
    pairs: Mapping[str, Sequence[Pair]],
    top: str,
    task: Question,
    subgroups: Sequence[str] | None,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Each set's figures, compared models and subgroups."""
    compared = {
        name: {p.other.name: _compared(p, task=task, seed=seed) for p in of_set}
        for name, of_set in pairs.items()
    }
    correct([model for models in compared.values() for model in models.values()])
    groups = judge_subgroups(rows, headline=top, task=task, names=subgroups, seed=seed)
    return {
        name: _metrics(values) | {"models": compared[name], "subgroups": groups[name]}
        for name, values in blocks.items()
    }


def _compared(pair: Pair, *, task: Question, seed: int) -> dict[str, Any]:
    """Another model's block on the rows it shares, and the paired differences."""
    ours = judged_rows(pair.ours, task=task, seed=seed)
    theirs = judged_rows(pair.theirs, task=task, seed=seed)
    found = _metrics(block(theirs) | differences(ours, theirs))
    counts = {
        "matched": len(pair.ours),
        "unmatched_here": pair.only_here,
        "unmatched_there": pair.only_there,
    }
    return found | {
        "rows": counts,
        "notes": list(pair.other.notes),
        "file": pair.other.file,
    }


def _add_ceiling(found: Block, ceiling: Mapping[str, Any] | None) -> None:
    for name in CEILINGS:
        best = (ceiling or {}).get(name)
        if best is None or name not in found:
            continue
        best, own = float(best), found[name]
        draws = int((ceiling or {}).get("draws", 0))
        found[f"{name}_ceiling"] = Estimate(
            best,
            method="best that any reader of the synthetic images can reach",
            n=draws,
        )
        if best > 0:
            found[f"{name}_share_of_ceiling"] = Estimate(
                own.estimate / best,
                own.low / best,
                own.high / best,
                method=f"{name} divided by its ceiling, which is taken as exact",
                n=own.n,
            )


def _judged_sets(predictions: Predictions) -> dict[str, Predictions]:
    """The rows that have a truth, by set, in the order of the file."""
    rows = predictions.take(np.isfinite(predictions.target))
    if not len(rows):
        raise InputError(f"{predictions.file}: no row has a target; nothing to judge")
    names = dict.fromkeys(rows.set.tolist())
    return {name: rows.take(rows.set == name) for name in names}


def _options(task: Question) -> dict[str, Any]:
    """The fields of a task, so that the folder can be judged again."""
    options = vars(task) if dataclasses.is_dataclass(task) else {}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
    }


def _top_level(
    sets: Mapping[str, Predictions], *, headline: str | None, file: str
) -> str:
    """The set asked for; else out-of-fold rows, and train without folds last."""
    if headline is not None and headline not in sets:
        there = ", ".join(
            f"{name} ({counted(len(rows), 'judged row')})"
            for name, rows in sets.items()
        )
        raise InputError(
            f"--set {headline}: {file} has no judged row of that set; it has {there}"
        )
    if headline is not None:
        return headline
    if TRAIN in sets and np.all(sets[TRAIN].fold != ""):
        return TRAIN
    return next((name for name in sets if name != TRAIN), TRAIN)


def _sites(
    by_set: Mapping[str, Predictions], *, top: str, task: Question, seed: int
) -> dict[str, Any]:
    """Each named site's block, with the set it is judged in."""
    found: dict[str, Any] = {}
    for where in (top, *(name for name in by_set if name != top)):
        rows = by_set[where]
        for site in sorted(set(rows.site.tolist()) - {"", *found}):
            here = judged_rows(rows.take(rows.site == site), task=task, seed=seed)
            found[site] = {"set": where} | _metrics(block(here))
    return found


def _metrics(found: Block) -> dict[str, Any]:
    return {name: value.as_metric() for name, value in found.items()}


def _input(
    predictions: Predictions, examinations: Sequence[Mapping[str, str]] | None
) -> dict[str, Any]:
    has_truth = np.isfinite(predictions.target)
    have = {*predictions.examined(), *predictions.left_out}
    prepared = [
        (row["subject"], int(row.get("visit") or 1)) for row in examinations or ()
    ]
    return {
        "file": predictions.file,
        "sha256": predictions.sha256,
        "rows": len(predictions),
        "subjects": len(np.unique(predictions.subject)),
        "judged": int(has_truth.sum()),
        "judged_subjects": len(np.unique(predictions.subject[has_truth])),
        "without_target": int((~has_truth).sum()),
        "prepared_without_prediction": [
            examination_name(*key) for key in prepared if key not in have
        ],
    }
