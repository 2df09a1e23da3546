"""What a table answers: the score that ranks, the class, and which column is which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from liverjax.report.score_scale import call_classes, decide_scale
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
    said: str = "",
) -> Answer:
    """Returns the score to rank by and the class, from whichever columns there are.

    At least one of them is there. A class that a set's own cut-off will make
    (``--cutoff youden:SET``) stays unknown here.

    Args:
        task: The clinical question.
        score: The column ``score``.
        probs: The columns ``prob_<class>``.
        classes: Indices of the column ``class``.
        said: What the table says of its scores (`decide_scale`).
    """
    notes: tuple[str, ...]
    on_scale = False
    if score is None and probs is not None:
        by = {BINARY: f"probability of {task.classes[-1]}", STAGES: "expected stage"}
        shown = by.get(kind_of(task), "expected class")
        notes = (f"No score is given: rows are ranked by the {shown}.",)
        score = probs @ np.arange(len(task.classes), dtype=float)
        on_scale = kind_of(task) in by
    elif score is None:
        assert classes is not None
        notes = ("No score is given: rows are ranked by the predicted class.",)
        score = np.asarray(classes, float)
    else:
        on_scale, note = decide_scale(score, probs=probs, said=said, task=task)
        notes = (note,) if note else ()
        if probs is not None:
            notes += _side_by_side(task, score=score, probs=probs, on_scale=on_scale)
    called, more = _called(
        task, score=score, probs=probs, classes=classes, on_scale=on_scale
    )
    if called is None:
        called = np.full(len(score), UNKNOWN_CLASS)
    return Answer(score, called, on_scale, notes + more)


def _side_by_side(
    task: Question, *, score: np.ndarray, probs: np.ndarray, on_scale: bool
) -> tuple[str, ...]:
    """Which column is judged for what, where the score is not that of the shares."""
    total = probs.sum(axis=1)
    expected = probs @ np.arange(len(task.classes), dtype=float) / total
    if np.allclose(score, expected, atol=_SAME, rtol=0):
        return ()
    kind = kind_of(task)
    if kind == BINARY:
        name = f"prob_{task.classes[1]}"
        cut = on_scale or (isinstance(task, Binary) and task.cutoff is not None)
        calls = (
            ("and is cut into calls", "") if cut else ("alone", "makes the calls and ")
        )
        return (
            f"The columns score and {name} differ: score ranks (AUC, ROC curve) "
            f"{calls[0]}; {name} {calls[1]}is judged by calibration, Brier score and "
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
    made = call_classes(Outcome(score, probs), on_scale=on_scale, task=task)
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
