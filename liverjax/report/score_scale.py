"""What a score may be used for: an estimate in the target's unit, or a rank alone."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int

from liverjax.tasks.generic import Binary
from liverjax.tasks.kinds import BINARY, STAGES, SURVIVAL, kind_of
from liverjax.tasks.question import Outcome, Question

# The column in which a table says what its score is, and its two words.
SCALE, RANK, TARGET = "score_scale", "rank", "target"
# Probabilities rounded to two decimals may miss 1 by this much.
SUM_TOLERANCE = 0.021


def scale_problem(
    cells: Collection[str], *, score: Float[np.ndarray, " n"] | None, task: Question
) -> str:
    """Returns what is wrong with a table's word for its scores; empty for nothing.

    Args:
        cells: Of the column `SCALE`, in any order.
        score: The table's, if it has one.
        task: The clinical question.
    """
    words = set(cells)
    if words <= {""}:
        return ""
    if len(words) > 1 or not words <= {RANK, TARGET}:
        found = ", ".join(map(repr, sorted(words)))
        return (
            f"{SCALE} holds {found}: expected one word in all rows, {RANK} (the score "
            f"only ranks) or {TARGET} (it is in the target's unit; of two classes, the "
            "probability of the second)"
        )
    if RANK in words or score is None or kind_of(task) != BINARY:
        return ""
    if score.min() < 0 or score.max() > 1:
        return (
            f"{SCALE} says {TARGET}, so scores are probabilities, but they run from "
            f"{score.min():g} to {score.max():g}"
        )
    return ""


def decide_scale(
    score: Float[np.ndarray, " n"],
    *,
    probs: Float[np.ndarray, "n k"] | None,
    said: str,
    task: Question,
) -> tuple[bool, str]:
    """Returns whether scores are in the target's unit, and a note on what was taken.

    The table's own word decides. Without it scores of two classes within 0 to 1 are
    probabilities; those of stages are expected stages if the probabilities give them,
    or if they run beyond 0 to 1 but not beyond the stages; others are in the target's
    unit if their median is near the task's range. A risk only ranks.

    Args:
        score: Higher is sicker.
        probs: Of each class, if given.
        said: The cell of the column `SCALE`; empty where there is none.
        task: The clinical question.
    """
    kind = kind_of(task)
    if kind == SURVIVAL:
        return False, ""
    if said:
        words = "only rank" if said == RANK else "are in the target's unit"
        return said == TARGET, f"Scores {words}: the column {SCALE} says so."
    if kind == STAGES:
        return _of_stages(score, probs, last=len(task.classes) - 1)
    low, high = task.score_range
    if kind != BINARY:
        near = bool(low - 1 <= np.median(score) <= high + 1)
        note = (
            f"Half of the scores are outside {low:g} to {high:g}: they are used for "
            "ranking alone."
        )
        return near, "" if near else note
    if np.all((score >= 0) & (score <= 1)):
        return True, ""
    if probs is not None:
        return False, ""
    return False, (
        "Scores are not all within 0 to 1, so they are no probabilities: they rank, "
        "and there is no calibration and no decision curve. If they are percentages, "
        "divide them by 100."
    )


def call_classes(
    outcome: Outcome, *, on_scale: bool, task: Question
) -> Int[np.ndarray, " n"] | None:
    """Returns the class index that scores and probabilities call, or None.

    Of three or more classes the likeliest; of two the task's cut-off on a score in the
    target's unit, or where there is none on the probability. A score that only ranks
    calls nothing until the task names its cut-off.

    Args:
        outcome: Scores, and probabilities if there are any.
        on_scale: Whether the scores are in the target's unit.
        task: The clinical question, with classes.
    """
    probs = outcome.probs
    if probs is not None and len(task.classes) > 2:
        return np.asarray(probs).argmax(axis=1)
    if on_scale or (isinstance(task, Binary) and task.cutoff is not None):
        return np.asarray(task.classify(outcome))
    if probs is not None:
        share = probs[:, 1] / probs.sum(axis=1)
        return np.asarray(task.classify(Outcome(share)))
    return None


def is_called_later(task: Question) -> bool:
    """Returns whether a set of the table will choose the cut-off (``youden:SET``)."""
    return isinstance(task, Binary) and bool(task.cutoff_from)


def _of_stages(
    score: np.ndarray, probs: np.ndarray | None, *, last: int
) -> tuple[bool, str]:
    """Scores within 0 to 1 may be the probability of a cut, so they only rank."""
    if probs is not None:
        expected = probs @ np.arange(last + 1.0)
        if np.allclose(score, expected, rtol=0, atol=SUM_TOLERANCE * last):
            return True, ""
    span = f"Scores run from {score.min():.4g} to {score.max():.4g}"
    if score.min() >= 0 and score.max() <= 1:
        there, where = False, "within 0 to 1, where they may be a probability"
    elif score.min() >= -0.5 and score.max() <= last + 0.5:
        there, where = True, f"within the stages 0 to {last}"
    else:
        there, where = False, f"beyond the stages 0 to {last}"
    taken, other, word = (
        ("as expected stages", "they only rank", RANK)
        if there
        else ("for ranking alone", "they are expected stages", TARGET)
    )
    return there, (
        f"{span}, {where}: they are taken {taken}. If {other}, write {word} into a "
        f"column {SCALE}."
    )
