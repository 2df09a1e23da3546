"""Child-Pugh score from images: regression of 5 to 15 points, classes by cut-off."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from liverjax.cohort.manifest_checks import CHILD_PUGH_ITEMS
from liverjax.errors import InputError
from liverjax.tasks.question import Outcome

LOWEST, HIGHEST = 5, 15
# The five items as measured; as points they are the manifest's `CHILD_PUGH_ITEMS`.
MEASURED_ITEMS = (
    "bilirubin_umol_per_l",
    "bilirubin_mg_per_dl",
    "albumin_g_per_l",
    "albumin_g_per_dl",
    "inr",
)


@dataclasses.dataclass(frozen=True)
class ChildPugh:
    """One continuous output; class A 5 to 6, B 7 to 9, C 10 to 15 points.

    Attributes:
        target: What the network regresses: ``points`` (5 to 15) or ``class_index``
            (0, 1, 2). The paper can be read either way.
        rounding: Round a prediction to the nearest integer before the cut-offs (the
            paper); otherwise compare it with 6.5 and 9.5. Both are the same but at
            exact halves, where rounding goes to the even number.
        standardise: Scale points so that their spread is near 1 inside the network
            (mean 8.5, spread 2.5); the link undoes it. The paper is silent: off.

    Reference:
        Pugh et al., British Journal of Surgery 60 (1973) 646; the regression with
        cut-offs is study 000's.
    """

    target: str = "points"
    rounding: bool = True
    standardise: bool = False

    name = "child_pugh"
    target_column = "child_pugh"
    classes = ("A", "B", "C")
    num_outputs = 1
    loss = "mse"
    judged_by = "score"
    label_items = CHILD_PUGH_ITEMS + MEASURED_ITEMS

    def __post_init__(self) -> None:
        if self.target not in ("points", "class_index"):
            raise InputError(
                f"task.target={self.target!r}: expected 'points' or 'class_index'"
            )

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest score of a perfect network."""
        if self.target == "class_index":
            return 0.0, len(self.classes) - 1.0
        return float(LOWEST), float(HIGHEST)

    def parse(self, cell: str) -> float:
        """Returns the points in a cell, NaN for an empty one.

        Raises:
            InputError: If it is not an integer from 5 to 15.
        """
        if not cell.strip():
            return math.nan
        try:
            points = float(cell)
        except ValueError:
            points = math.nan
        if points not in range(LOWEST, HIGHEST + 1):
            raise InputError(
                f"child_pugh={cell!r}: expected an integer from {LOWEST} to {HIGHEST}"
            )
        return points

    def train_target(self, truth: np.ndarray) -> np.ndarray:
        """Returns the regression target of points, on the network's scale."""
        if self.target == "class_index":
            return self.true_class(truth).astype(np.float32)
        centre, spread = self._scale()
        return ((truth - centre) / spread).astype(np.float32)

    def initial_bias(self, truth: np.ndarray) -> np.ndarray:
        """Returns the mean target of the training examinations."""
        return self.train_target(truth).mean(dtype=float, keepdims=True)

    def link(self, outputs: Any, *, xp: Any = np) -> Outcome:
        """Returns points (or the class index) of outputs; no probabilities."""
        del xp
        centre, spread = self._scale()
        return Outcome(outputs[:, 0] * spread + centre)

    def true_class(self, truth: np.ndarray) -> np.ndarray:
        """Returns 0, 1, 2 for points of class A, B, C."""
        return np.digitize(truth, (6.5, 9.5))

    def classify(self, outcome: Outcome) -> np.ndarray:
        """Returns the class index of a score by the clinical cut-offs."""
        score = np.asarray(outcome.score, float)
        if self.rounding:
            score = np.round(score)
        cut_offs = (0.5, 1.5) if self.target == "class_index" else (6.5, 9.5)
        return np.digitize(score, cut_offs)

    def select(self, outcome: Outcome, *, truth: np.ndarray) -> float:
        """Returns the share of examinations put into their class."""
        return float(np.mean(self.classify(outcome) == self.true_class(truth)))

    def _scale(self) -> tuple[float, float]:
        regress_points = self.target == "points"
        return (8.5, 2.5) if self.standardise and regress_points else (0.0, 1.0)
