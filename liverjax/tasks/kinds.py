"""Which kind of judgement a question asks for."""

from __future__ import annotations

from liverjax.tasks.question import Question

BINARY, STAGES, NUMBER, SURVIVAL, POINTS = (
    "binary",
    "stages",
    "number",
    "survival",
    "points",
)


def kind_of(task: Question) -> str:
    """Returns how a question is judged.

    ``binary`` (two classes), ``stages`` (more classes, predicted as such), ``points``
    (a score in points that cut-offs turn into classes), ``number`` (no classes) or
    ``survival``.
    """
    if task.judged_by == SURVIVAL:
        return SURVIVAL
    if not task.classes:
        return NUMBER
    if len(task.classes) == 2:
        return BINARY
    return STAGES if task.judged_by == "class" else POINTS
