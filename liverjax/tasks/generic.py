"""Questions of anyone's table: two classes, stages, a number, or time to an event.

These are judged, not trained; a study of our own brings a task of its own.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from liverjax.errors import InputError
from liverjax.tasks.question import Outcome


@dataclasses.dataclass(frozen=True)
class Binary:
    """Yes or no; the score is the probability of the second class, or only ranks.

    Attributes:
        classes: Negative and positive, as the cells of the table name them.
        cutoff: A score from here on is positive; None is 0.5 for probabilities, and no
            class for other scores.
        cutoff_from: The set that chooses the cut-off by Youden's index; empty is none.
    """

    classes: tuple[str, ...] = ("0", "1")
    cutoff: float | None = None
    cutoff_from: str = ""

    name = "binary"
    judged_by = "class"
    score_range = (0.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.classes) != 2 or len(set(self.classes)) != 2:
            number = len(self.classes)
            given = f"{number} were given" if number > 1 else "one was given"
            given = "both are the same" if number == 2 else given
            raise InputError(
                f"--classes {','.join(self.classes)}: expected two names, the positive "
                f"one last, such as --classes none,cirrhosis; {given}"
            )

    def parse(self, cell: str) -> float:
        """Returns 0 or 1 of a cell, NaN for an empty one.

        Raises:
            InputError: If it is neither 0 or 1 nor a class.
        """
        return _class_index(cell, classes=self.classes)

    def true_class(self, truth: np.ndarray) -> np.ndarray:
        """Returns 0 or 1."""
        return np.asarray(truth).astype(int)

    def classify(self, outcome: Outcome) -> np.ndarray:
        """Returns 1 where the score reaches the cut-off."""
        cutoff = 0.5 if self.cutoff is None else self.cutoff
        return (np.asarray(outcome.score, float) >= cutoff).astype(int)


@dataclasses.dataclass(frozen=True)
class Stages:
    """Ordered stages; the score is the expected stage, or only ranks.

    Attributes:
        classes: Names, the mildest first.
    """

    classes: tuple[str, ...] = ("0", "1", "2", "3", "4")

    name = "stages"
    judged_by = "class"

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 3 or len(set(self.classes)) < len(self.classes):
            raise InputError(
                f"--classes {','.join(self.classes)}: expected three or more stages, "
                "the mildest first; for two classes use --task binary"
            )

    @property
    def score_range(self) -> tuple[float, float]:
        """The index of the first and of the last stage."""
        return 0.0, len(self.classes) - 1.0

    def parse(self, cell: str) -> float:
        """Returns the index of a stage's name (or the index itself), NaN if empty.

        Raises:
            InputError: If it is no stage.
        """
        return _class_index(cell, classes=self.classes)

    def true_class(self, truth: np.ndarray) -> np.ndarray:
        """Returns the index of the stage."""
        return np.asarray(truth).astype(int)

    def classify(self, outcome: Outcome) -> np.ndarray:
        """Returns the nearest stage of an expected stage."""
        score = np.asarray(outcome.score, float)
        return np.clip(np.floor(score + 0.5), 0, len(self.classes) - 1).astype(int)


@dataclasses.dataclass(frozen=True)
class Number:
    """A measurement; the score estimates it in its own unit."""

    name = "number"
    classes: tuple[str, ...] = dataclasses.field(default=(), init=False)
    judged_by = "number"
    score_range = (-math.inf, math.inf)

    def parse(self, cell: str) -> float:
        """Returns the number in a cell, NaN for an empty one.

        Raises:
            InputError: If it is no finite number.
        """
        return _finite(cell)

    def true_class(self, truth: np.ndarray) -> np.ndarray:
        """Returns 0 for every row: there are no classes."""
        return np.zeros(len(truth), int)

    def classify(self, outcome: Outcome) -> np.ndarray:
        """Returns 0 for every row: there are no classes."""
        return np.zeros(len(outcome.score), int)


@dataclasses.dataclass(frozen=True)
class Survival(Number):
    """Time to an event: ``target`` is the time, ``event`` says what ended it.

    The score is a risk: higher means an earlier event.
    """

    name = "survival"
    judged_by = "survival"

    def parse(self, cell: str) -> float:
        """Returns the time in a cell, NaN for an empty one.

        Raises:
            InputError: If it is no number of at least 0.
        """
        time = _finite(cell)
        if time < 0:
            raise InputError(f"target={cell!r}: expected a time of at least 0")
        return time


def _class_index(cell: str, *, classes: tuple[str, ...]) -> float:
    cell = cell.strip()
    if not cell:
        return math.nan
    if cell in classes:
        return float(classes.index(cell))
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if f"{value:g}" in classes:
        return float(classes.index(f"{value:g}"))
    named = not any(name.replace(".", "").isdigit() for name in classes)
    if named and value in range(len(classes)):
        return value
    expected = ", ".join(classes)
    if named:
        expected += f" (or 0 to {len(classes) - 1})"
    raise InputError(
        f"target={cell!r}: expected {expected}; other names: --classes, the mildest "
        "(or negative) first"
    )


def _finite(cell: str) -> float:
    if not cell.strip():
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"target={cell!r}: expected a number")
    return value
