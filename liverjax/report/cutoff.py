"""From where a score is positive: a cut-off chosen on one set and used on all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from liverjax.errors import InputError
from liverjax.report.tables import Predictions, matching_rows
from liverjax.stats import roc_curve
from liverjax.tasks.generic import Binary
from liverjax.tasks.question import Question

Cutoffs = dict[str, Any]


def question_of_others(task: Question) -> Question:
    """Returns the question for compared tables: a cut-off is of one table's scores."""
    if isinstance(task, Binary) and task.cutoff is not None:
        return dataclasses.replace(task, cutoff=None)
    return task


def choose_cutoffs(
    predictions: Predictions, *, compare: Sequence[Predictions], task: Question
) -> tuple[Predictions, list[Predictions], Cutoffs | None]:
    """Returns the tables with the classes of cut-offs that one set chose.

    Nothing changes unless the task names such a set (``--cutoff youden:SET``). Each
    table has a cut-off of its own, the lowest one with the largest Youden index in the
    rows of that set, halfway between neighbouring scores.

    Args:
        predictions: The judged table.
        compare: Tables of other models.
        task: The clinical question.

    Returns:
        The tables, and what was chosen: ``set``, ``n``, ``threshold``, ``youden_j`` and
        the thresholds of ``models`` by name; None where nothing was.

    Raises:
        InputError: If the set has no row of one class.
    """
    if not (isinstance(task, Binary) and task.cutoff_from):
        return predictions, list(compare), None
    name = task.cutoff_from
    chosen_on = predictions.take(
        (predictions.set == name) & np.isfinite(predictions.target)
    )
    own = _youden(chosen_on.score, target=chosen_on.target, name=name, of=predictions)
    others, thresholds = [], {}
    for other in compare:
        rows, theirs = matching_rows(chosen_on, other)
        found = _youden(
            other.score[theirs], target=chosen_on.target[rows], name=name, of=other
        )
        thresholds[other.name] = found.threshold
        others.append(_called(other, found.threshold))
    chosen = {
        "set": name,
        "n": own.n,
        "threshold": own.threshold,
        "youden_j": own.youden_j,
        "models": thresholds,
    }
    return _called(predictions, own.threshold), others, chosen


def cutoff_sentence(chosen: Cutoffs) -> str:
    """Returns how the cut-off came about, and where it flatters."""
    return (
        f"The cut-off {chosen['threshold']:.4g} has the largest Youden index in the "
        f"set “{chosen['set']}” (n = {chosen['n']}), of several such the lowest, "
        "halfway between neighbouring scores: figures of calls in that set itself are "
        "optimistic; the other sets had no part in it."
    )


def _youden(
    score: np.ndarray, *, target: np.ndarray, name: str, of: Predictions
) -> roc_curve.Cutoff:
    positive = target == 1
    if positive.all() or not positive.any():
        known = ", ".join(dict.fromkeys(of.set.tolist()))
        raise InputError(
            f"--cutoff youden:{name}: {of.file} has {positive.sum()} positive and "
            f"{(~positive).sum()} negative rows of that set, and needs both to choose "
            f"a cut-off; the column set holds {known}"
        )
    return roc_curve.youden_cutoff(score, positive=positive)


def _called(rows: Predictions, threshold: float) -> Predictions:
    called = (rows.score >= threshold).astype(int)
    return dataclasses.replace(rows, predicted_class=called)
