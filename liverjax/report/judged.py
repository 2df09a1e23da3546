"""Rows that are judged, and the resamples that all their statistics share."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int, Shaped

from liverjax.report.answers import UNKNOWN_CLASS
from liverjax.report.tables import Predictions
from liverjax.stats import classification
from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import percentile_interval, subject_weights
from liverjax.tasks.kinds import BINARY, kind_of
from liverjax.tasks.question import Question

Block = dict[str, Estimate]

CLUSTERED = "subjects have several rows: no test without a clustered form"


@dataclasses.dataclass(frozen=True)
class Judged:
    """Rows with a truth, and the resamples that all their statistics share.

    Attributes:
        kind: How the question is judged (`liverjax.tasks.kinds.kind_of`).
        seed: Of the permutations; the resamples came from it too.
        classes: Names in clinical order.
        score: Higher is sicker.
        target: Truth.
        ideal: What a perfect score would be, or None where the score is only ranked.
        true_class: Index of the truth's class.
        predicted_class: Index, or None where no class is known.
        fold: The fold that held each row out, or None.
        weight: Resamples: how often each row was drawn.
        clustered: Some subject has several rows.
        subject: The independent unit of each row.
        probs: Probability of each class, or None.
        on_scale: The score is in the target's unit, or a probability.
        event: Whether the follow-up ended in the event, or None.
        ascites: Child-Pugh points of ascites (1 is none), or None where not known.
    """

    kind: str
    seed: int
    classes: tuple[str, ...]
    score: Float[np.ndarray, " n"]
    target: Float[np.ndarray, " n"]
    ideal: Float[np.ndarray, " n"] | None
    true_class: Int[np.ndarray, " n"]
    predicted_class: Int[np.ndarray, " n"] | None
    fold: Shaped[np.ndarray, " n"] | None
    weight: Int[np.ndarray, "b n"]
    clustered: bool
    subject: Shaped[np.ndarray, " n"]
    probs: Float[np.ndarray, "n k"] | None
    on_scale: bool
    event: Shaped[np.ndarray, " n"] | None = None
    ascites: Float[np.ndarray, " n"] | None = None

    @property
    def confusion(self) -> Int[np.ndarray, "k k"]:
        """Counts of true (rows) and predicted classes; only where classes are known."""
        assert self.predicted_class is not None
        return classification.confusion_matrix(
            self.true_class,
            predicted_class=self.predicted_class,
            num_classes=len(self.classes),
        )

    @property
    def cluster(self) -> Shaped[np.ndarray, " n"] | None:
        """The subject of each row where subjects have several, else None."""
        return self.subject if self.clustered else None

    @property
    def positive(self) -> Shaped[np.ndarray, " n"]:
        """Whether each row is of the second class; of two classes."""
        return self.true_class == 1

    @property
    def probability(self) -> Float[np.ndarray, " n"] | None:
        """Probability of the second of two classes, or None for a score that ranks."""
        if self.kind != BINARY:
            return None
        if self.probs is not None:
            return self.probs[:, 1] / self.probs.sum(axis=1)
        return self.score if self.on_scale else None


def judged_rows(predictions: Predictions, *, task: Question, seed: int) -> Judged:
    """Returns the rows that have a truth, ready to be judged.

    Rows are sorted, so that the order of the file changes nothing.

    Args:
        predictions: One group of rows.
        task: The clinical question.
        seed: Of resamples and permutations.
    """
    rows = predictions.take(~np.isnan(predictions.target))
    rows = rows.take(np.lexsort((rows.visit, rows.subject)))
    true_class = np.asarray(task.true_class(rows.target), int)
    has_folds = len(rows) > 0 and bool(np.all(rows.fold != ""))
    known = len(rows) > 0 and bool(np.all(rows.predicted_class != UNKNOWN_CLASS))
    event = rows.extra.get("event")
    return Judged(
        kind=kind_of(task),
        subject=rows.subject,
        probs=rows.probs,
        on_scale=rows.on_scale,
        event=None if event is None else event == "1",
        seed=seed,
        classes=task.classes,
        score=rows.score,
        target=rows.target,
        ideal=ideal_score(rows, task=task),
        true_class=true_class,
        predicted_class=rows.predicted_class if known else None,
        fold=rows.fold if has_folds else None,
        weight=subject_weights(
            np.random.default_rng(seed),
            subject=rows.subject,
            stratum=rows.fold if has_folds else None,
        ),
        clustered=len(np.unique(rows.subject)) < len(rows),
        ascites=_ascites(rows),
    )


def ideal_score(rows: Predictions, *, task: Question) -> Float[np.ndarray, " n"] | None:
    """Returns the score a perfect network would give; None where scores only rank."""
    if not rows.on_scale:
        return None
    if is_class_index(task):
        return np.asarray(task.true_class(rows.target), float)
    return rows.target


def is_class_index(task: Question) -> bool:
    """Returns whether the task's score runs over class indices, not over its target."""
    return task.score_range == (0.0, len(task.classes) - 1.0)


def by_bootstrap(
    rows: Judged, estimate: float, *, draws: np.ndarray, n: int | None = None
) -> Estimate:
    """Returns a value with the percentile interval of its resamples."""
    low, high = percentile_interval(draws)
    inside = " inside folds" if rows.fold is not None else ""
    words = f"95% interval from {len(draws):,} bootstraps of subjects{inside}"
    return Estimate(
        float(estimate), low, high, np.nan, words, len(rows.target) if n is None else n
    )


def _ascites(rows: Predictions) -> np.ndarray | None:
    cells = rows.extra.get("ascites_points")
    if cells is None:
        return None
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells], float)
    except ValueError:
        return None
