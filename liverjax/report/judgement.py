"""From tables of predictions to ``metrics.json`` and the tables beside it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort.files import write_json
from liverjax.cohort.schema import TRAIN
from liverjax.errors import InputError, raise_all
from liverjax.report.block import block
from liverjax.report.comparisons import correct, differences
from liverjax.report.cutoff import Cutoffs, choose_cutoffs, cutoff_sentence
from liverjax.report.judged import Block, Judged, judged_rows
from liverjax.report.metric_tables import write_metric_tables
from liverjax.report.readings import Readings, judge_readings
from liverjax.report.subgroups import judge_subgroups
from liverjax.report.tables import Predictions, examination_name, matching_rows
from liverjax.stats.estimate import Estimate
from liverjax.tasks.kinds import BINARY, SURVIVAL, kind_of
from liverjax.tasks.question import Question

# Names of a ceiling's figures in ``phantom.json`` and in a block.
CEILINGS = ("kendall_tau", "accuracy")

POOLED_IS_BIASED = (
    "The pooled tau compares rows that different networks predicted. When a fold's "
    "held-out subjects are sicker than average its network was trained on healthier "
    "ones, so the pooled tau is biased, downwards when nothing can be learned. "
    "kendall_tau_within_folds compares rows of one fold only; read its p."
)
POOLED_AREA_IS_BIASED = (
    "The pooled figure compares rows that different networks predicted. When a fold's "
    "held-out subjects are sicker than average its network was trained on healthier "
    "ones, so a pooled area is biased, downwards when nothing can be learned."
)
UNKNOWN_FOLDS = (
    "Rows of train have no fold, so nothing says that the network which predicted them "
    "had not seen them: their figures may be optimistic. Fill the column fold."
)
SEVERAL_ROWS = (
    "Subjects have several examinations: intervals resample subjects, and tests that "
    "take rows as independent are left out. --visits first or --visits closest keeps "
    "one examination a subject."
)


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
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the content of ``metrics.json``: every statistic of a table.

    The top level holds the out-of-fold rows of ``train`` if there are any, else the
    first set in the file (``set`` names it). The same block stands for each set under
    ``sets``, each site under ``sites`` (in the top level's set, or else in the first
    set that has it) and each compared model under ``models``, on the rows of both.

    Args:
        predictions: What `read_predictions` returned.
        task: The clinical question.
        compare: Tables of other models, joined on (subject, visit).
        examinations: Rows of ``examinations.csv``, for columns the table lacks.
        out_dir: Where to write ``metrics.json`` and its tables; None writes nothing.
        ceiling: The best any reader could reach (`CEILINGS`), of a synthetic cohort.
        visits: The rule the table was read with, for the record.
        slices: The rule for slices the table was read with, for the record.
        subgroups: Columns whose levels are compared (`judge_subgroups`).
        readings: What readers said of the same examinations (`judge_readings`).
        seed: Of bootstraps and permutations.

    Raises:
        InputError: If no row has a truth, or a compared table fits no row or has
            another truth.
    """
    predictions, compare, cutoff = choose_cutoffs(
        join(predictions, examinations), compare=compare, task=task
    )
    by_set = {
        name: predictions.take(predictions.set == name)
        for name in dict.fromkeys(predictions.set.tolist())
    }
    judged_sets = _judged_sets(by_set, file=predictions.file)
    top = _top_level(judged_sets)
    pairs = _pairs(judged_sets[top], compare)
    ready = {
        name: judged_rows(rows, task=task, seed=seed)
        for name, rows in judged_sets.items()
    }
    blocks: dict[str, Any] = {name: block(rows) for name, rows in ready.items()}
    _add_ceiling(blocks[top], ceiling)
    models = {pair.other.name: _compared(pair, task=task, seed=seed) for pair in pairs}
    correct(models)
    metrics = _metrics(blocks[top]) | {
        "set": top,
        "sets": {name: _metrics(values) for name, values in blocks.items()},
        "sites": _sites(judged_sets, top=top, task=task, seed=seed),
        "models": models,
        "subgroups": judge_subgroups(
            judged_sets[top], task=task, names=subgroups, seed=seed
        ),
        "readers": (
            judge_readings(readings, rows=predictions, headline=top)
            if readings
            else None
        ),
        "task": task.name,
        "kind": kind_of(task),
        "options": _options(task),
        "seed": seed,
        "visits": visits,
        "slices": slices,
        "cutoff": cutoff,
        "input": _input(predictions, examinations),
        "notes": _notes(predictions, ready[top], by_set=by_set, cutoff=cutoff),
    }
    if out_dir is not None:
        write_json(out_dir / "metrics.json", metrics)
        write_metric_tables(out_dir, ready, blocks=blocks)
    return metrics


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


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Another model's table; the rows that both have, with our and with its answers."""

    other: Predictions
    ours: Predictions
    theirs: Predictions
    unmatched: int


def _pairs(judged: Predictions, compare: Sequence[Predictions]) -> list[_Pair]:
    judged = judged.take(np.isfinite(judged.target))
    pairs, problems = [], []
    names = [other.name for other in compare]
    if len(set(names)) < len(names):
        problems.append(f"two tables have one name: {sorted(names)}")
    for other in compare:
        own, others = matching_rows(judged, other)
        if not len(own):
            problems.append(f"{other.file}: no (subject, visit) of it is judged here")
            continue
        ours, theirs = judged.take(own), other.take(others)
        unlike = np.isfinite(theirs.target) & (theirs.target != ours.target)
        if unlike.any():
            problems.append(
                f"{other.file}: another target for {unlike.sum()} examinations (such "
                f"as subject {ours.subject[unlike].tolist()[0]!r}); both tables must "
                "hold one truth"
            )
            continue
        pairs.append(_Pair(other, ours, theirs.answering(ours), len(judged) - len(own)))
    raise_all(problems, title="compared tables")
    return pairs


def _compared(pair: _Pair, *, task: Question, seed: int) -> dict[str, Any]:
    """Another model's block on the rows it shares, and the paired differences."""
    ours = judged_rows(pair.ours, task=task, seed=seed)
    theirs = judged_rows(pair.theirs, task=task, seed=seed)
    found = _metrics(block(theirs) | differences(ours, theirs))
    counts = {
        "matched": len(pair.ours),
        "unmatched_here": pair.unmatched,
        "unmatched_there": len(pair.other) - len(pair.ours),
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


def _judged_sets(
    by_set: Mapping[str, Predictions], *, file: str
) -> dict[str, Predictions]:
    found = {n: rows for n, rows in by_set.items() if np.isfinite(rows.target).any()}
    if not found:
        raise InputError(f"{file}: no row has a target; nothing to judge")
    return found


def _options(task: Question) -> dict[str, Any]:
    """The fields of a task, so that the folder can be judged again."""
    options = vars(task) if dataclasses.is_dataclass(task) else {}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
    }


def _top_level(by_set: Mapping[str, Predictions]) -> str:
    """Out-of-fold rows if there are any; rows of train without folds come last."""
    if TRAIN in by_set and np.all(by_set[TRAIN].fold != ""):
        return TRAIN
    return next((name for name in by_set if name != TRAIN), TRAIN)


def _sites(
    by_set: Mapping[str, Predictions], *, top: str, task: Question, seed: int
) -> dict[str, Any]:
    """Each named site's block, with the set it is judged in."""
    found: dict[str, Any] = {}
    for where in (top, *(name for name in by_set if name != top)):
        rows = by_set[where]
        rows = rows.take(np.isfinite(rows.target))
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
        "without_target": int((~has_truth).sum()),
        "prepared_without_prediction": [
            examination_name(*key) for key in prepared if key not in have
        ],
    }


def _notes(
    predictions: Predictions,
    top: Judged,
    *,
    by_set: Mapping[str, Predictions],
    cutoff: Cutoffs | None,
) -> list[str]:
    notes = list(predictions.notes)
    if cutoff:
        notes.append(cutoff_sentence(cutoff))
    if top.fold is not None and top.kind not in (BINARY, SURVIVAL):
        notes.append(POOLED_IS_BIASED)
    elif top.fold is not None:
        notes.append(POOLED_AREA_IS_BIASED)
    if TRAIN in by_set and np.any(by_set[TRAIN].fold == ""):
        notes.append(UNKNOWN_FOLDS)
    if top.clustered:
        notes.append(SEVERAL_ROWS)
    train = set(by_set[TRAIN].subject.tolist()) if TRAIN in by_set else set()
    for name, rows in by_set.items():
        both = train & set(rows.subject.tolist()) if name != TRAIN else set()
        if both:
            notes.append(
                f"{len(both)} subjects stand in train and in {name} (such as "
                f"{min(both)!r}): {name} is no independent test."
            )
        truths = rows.target[np.isfinite(rows.target)]
        if len(truths) and len(np.unique(truths)) == 1:
            notes.append(f"Every truth in {name} is the same: nothing can be ranked.")
    return notes
