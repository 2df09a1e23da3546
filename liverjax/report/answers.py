"""What a table answers: the score that ranks, the class, and which column is which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from liverjax.report.words import counted
from liverjax.tasks.generic import Binary
from liverjax.tasks.kinds import BINARY, NUMBER, STAGES, SURVIVAL, kind_of
from liverjax.tasks.question import Outcome, Question

UNKNOWN_CLASS = -1
# Scores that are probabilities rounded to two decimals are not told apart from them.
_SAME = 0.01


class Answer(NamedTuple):
    """Rows' answers.

    Attributes:
        score: Higher is sicker.
        predicted_class: Index into the task's classes; -1 where unknown.
        on_scale: The score is in the target's unit.
        notes: What a reader must know, a sentence each.
    """

    score: Float[np.ndarray, " n"]
    predicted_class: Int[np.ndarray, " n"]
    on_scale: bool
    notes: tuple[str, ...]


def choose_answer(
    task: Question,
    *,
    score: Float[np.ndarray, " n"] | None,
    probs: Float[np.ndarray, "n k"] | None,
    classes: Int[np.ndarray, " n"] | None,
) -> Answer:
    """Returns the score to rank by and the class, from whichever columns there are.

    At least one of them is there. A class that a set's own cut-off will make
    (``--cutoff youden:SET``) stays unknown here.

    Args:
        task: The clinical question.
        score: The column ``score``.
        probs: The columns ``prob_<class>``.
        classes: Indices of the column ``class``.
    """
    on_scale = _on_scale(score, task=task)
    notes = _ranked_by(task, score=score, probs=probs, on_scale=on_scale)
    if score is None and probs is not None:
        score = probs @ np.arange(len(task.classes), dtype=float)
        on_scale = kind_of(task) in (BINARY, STAGES)
    elif score is None:
        assert classes is not None
        score = np.asarray(classes, float)
    elif probs is not None:
        notes += _side_by_side(task, score=score, probs=probs)
    called, more = _called(
        task, score=score, probs=probs, classes=classes, on_scale=on_scale
    )
    if called is None:
        return Answer(score, np.full(len(score), UNKNOWN_CLASS), on_scale, notes + more)
    return Answer(score, called, on_scale, notes + more)


def _on_scale(score: np.ndarray | None, *, task: Question) -> bool:
    kind = kind_of(task)
    if score is None or kind == SURVIVAL:
        return False
    low, high = task.score_range
    if kind == BINARY:
        return bool(np.all((score >= 0) & (score <= 1)))
    return bool(low - 1 <= np.median(score) <= high + 1)


def _ranked_by(
    task: Question,
    *,
    score: np.ndarray | None,
    probs: np.ndarray | None,
    on_scale: bool,
) -> tuple[str, ...]:
    """What ranks where it is not a score in the target's unit."""
    kind = kind_of(task)
    if score is None and probs is not None:
        by = {BINARY: f"probability of {task.classes[-1]}", STAGES: "expected stage"}
        shown = by.get(kind, "expected class")
        return (f"No score is given: rows are ranked by the {shown}.",)
    if score is None:
        return ("No score is given: rows are ranked by the predicted class.",)
    if on_scale or kind == SURVIVAL:
        return ()
    if kind == BINARY and probs is None:
        return (
            "Scores are not all within 0 to 1, so they are no probabilities: they "
            "rank, and there is no calibration and no decision curve. If they are "
            "percentages, divide them by 100.",
        )
    if kind == BINARY:
        return ()
    low, high = task.score_range
    return (
        f"Half of the scores are outside {low:g} to {high:g}: they are used for "
        "ranking alone.",
    )


def _side_by_side(
    task: Question, *, score: np.ndarray, probs: np.ndarray
) -> tuple[str, ...]:
    """Which column is judged for what, where the score is not that of the shares."""
    total = probs.sum(axis=1)
    expected = probs @ np.arange(len(task.classes), dtype=float) / total
    if np.allclose(score, expected, atol=_SAME, rtol=0):
        return ()
    kind = kind_of(task)
    if kind == BINARY:
        name = f"prob_{task.classes[1]}"
        return (
            f"The columns score and {name} differ: score ranks (AUC, ROC curve) and is "
            f"cut into calls; {name} is judged by calibration, Brier score and "
            "decision curve.",
        )
    of_shares = (
        "the areas of the cuts, calibration and the class"
        if kind == STAGES
        else "the class"
    )
    return (
        "The column score is not what the prob_ columns expect: score is judged by "
        f"rank correlation and distance, the prob_ columns make {of_shares}.",
    )


def _called(
    task: Question,
    *,
    score: np.ndarray,
    probs: np.ndarray | None,
    classes: np.ndarray | None,
    on_scale: bool,
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The class of each row, or None; and how the column class fits the others."""
    kind = kind_of(task)
    if kind in (NUMBER, SURVIVAL):
        return None, ()
    named = isinstance(task, Binary) and task.cutoff is not None
    chosen = isinstance(task, Binary) and bool(task.cutoff_from)
    notes: tuple[str, ...] = ()
    if classes is not None and (named or chosen):
        notes = ("--cutoff makes the class; the column class is not used.",)
    if chosen:
        return None, notes
    made = None
    if probs is not None and kind != BINARY:
        made = probs.argmax(axis=1)
    elif on_scale or named:
        made = np.asarray(task.classify(Outcome(score)))
    if classes is not None and not named:
        return classes, _contradiction(task, classes, made=made, score=score)
    if made is None:
        words = "No class is given and none can be made of such scores"
        notes += (words + (": name --cutoff." if kind == BINARY else "."),)
    return made, notes


def _contradiction(
    task: Question,
    classes: np.ndarray,
    *,
    made: np.ndarray | None,
    score: np.ndarray,
) -> tuple[str, ...]:
    """Where the column class is not that of the score or of the likeliest class."""
    binary = kind_of(task) == BINARY
    if made is None and not binary:
        return ()
    cut = _cuts(score, called=classes == 1) if binary else ""
    if made is None:
        if cut.startswith("a cut-off"):
            return ()
        return (
            f"The column class does not follow the score: {cut}. Figures of calls use "
            "the column class.",
        )
    wrong = int(np.sum(made != classes))
    if not wrong:
        return ()
    from_where = " (from 0.5 on)" if binary else ""
    return (
        f"The column class is not that of the other columns{from_where} in "
        f"{wrong:,} of {counted(len(classes), 'row')}{f'; {cut}' if cut else ''}. "
        "Figures of calls use the column class; without it the others make it.",
    )


def _cuts(score: np.ndarray, *, called: np.ndarray) -> str:
    """Between which scores a cut-off makes these calls."""
    if called.all() or not called.any():
        return "a cut-off beyond all scores makes it"
    low, high = score[~called].max(), score[called].min()
    if low < high:
        return f"a cut-off between {low:.4g} and {high:.4g} makes it"
    return "no cut-off of the score makes it"
