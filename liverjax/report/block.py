"""The statistics of one group of rows: a set, a site, a model.

`FAMILIES` is the place where further statistics slot in: a function of `Judged` rows
that returns estimates by the names they have in ``metrics.json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int, Shaped

from liverjax.report.table_checks import UNKNOWN_CLASS
from liverjax.report.tables import Predictions
from liverjax.stats import classification, proportions, rank_correlation
from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import (
    percentile_interval,
    subject_weights,
    weighted_mean,
)
from liverjax.tasks.question import Task

Block = dict[str, Estimate]

CLUSTERED = "subjects have several rows: no test without a clustered form"


@dataclasses.dataclass(frozen=True)
class Judged:
    """Rows with a truth, and the resamples that all their statistics share.

    Attributes:
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
        ascites: Child-Pugh points of ascites (1 is none), or None where not known.
    """

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


def judged_rows(predictions: Predictions, *, task: Task, seed: int) -> Judged:
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
    return Judged(
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


def ideal_score(rows: Predictions, *, task: Task) -> Float[np.ndarray, " n"] | None:
    """Returns the score a perfect network would give; None where scores only rank."""
    if not rows.on_scale:
        return None
    if is_class_index(task):
        return np.asarray(task.true_class(rows.target), float)
    return rows.target


def is_class_index(task: Task) -> bool:
    """Returns whether the task's score runs over class indices, not over its target."""
    return task.score_range == (0.0, len(task.classes) - 1.0)


def block(rows: Judged) -> Block:
    """Returns every statistic of a group of rows by its name."""
    return {name: value for family in FAMILIES for name, value in family(rows).items()}


def rank_figures(rows: Judged) -> Block:
    """Returns Kendall's tau: pooled, within folds, by other readings, in subgroups."""
    found: Block = {
        "kendall_tau": _tau(rows, rows.score, rows.target),
        "kendall_tau_within_folds": _within(rows),
        "kendall_tau_score_against_class": _tau(rows, rows.score, rows.true_class),
    }
    if rows.predicted_class is not None:
        found["kendall_tau_class_against_target"] = _tau(
            rows, rows.predicted_class, rows.target
        )
        found["kendall_tau_class_against_class"] = _tau(
            rows, rows.predicted_class, rows.true_class
        )
    if rows.ascites is not None:
        without = rows.ascites == 1
        tau = _tau(rows, rows.score, rows.target, where=without)
        words = f"rows without ascites (ascites_points 1); {tau.method}"
        found["kendall_tau_without_ascites"] = dataclasses.replace(tau, method=words)
    return found


def class_figures(rows: Judged) -> Block:
    """Returns accuracy, its test, and the figures of each class and their means."""
    if rows.predicted_class is None:
        return {}
    confusion = rows.confusion
    n, right = int(confusion.sum()), int(np.trace(confusion))
    drawn = classification.resampled_confusion(
        rows.true_class,
        predicted_class=rows.predicted_class,
        num_classes=len(rows.classes),
        weight=rows.weight,
    )
    exact = proportions.proportion(right, n=n, method="clopper_pearson")
    test = proportions.no_information_rate_test(confusion)
    if rows.clustered:
        exact = _by_bootstrap(rows, exact.estimate, classification.accuracy(drawn))
        test = dataclasses.replace(
            test, p=np.nan, method=f"no-information rate; {CLUSTERED}"
        )
    found: Block = {"accuracy": exact, "no_information_rate_test": test}
    for name, statistic in _OF_CONFUSION.items():
        found[name] = _by_bootstrap(rows, float(statistic(confusion)), statistic(drawn))
    figures = classification.class_figures(confusion)
    resampled = classification.class_figures(drawn)
    for name, values in _named(figures).items():
        draws = _named(resampled)[name]
        macro = _by_bootstrap(rows, float(values.mean()), draws.mean(axis=1))
        undefined = [
            c for c, v in zip(rows.classes, values, strict=True) if np.isnan(v)
        ]
        if undefined:
            words = f"undefined (0/0) for class {', '.join(undefined)}"
            macro = dataclasses.replace(macro, method=words)
        found[f"macro_{name}"] = macro
        for index, label in enumerate(rows.classes):
            found[f"{name}_{label}"] = _of_class(
                rows, name, index, confusion=confusion, draws=draws[:, index]
            )
    return found


def error_figures(rows: Judged) -> Block:
    """Returns how far scores are from the truth, in its unit."""
    if rows.ideal is None or not len(rows.ideal):
        return {}
    error = rows.score - rows.ideal
    return {
        "mean_absolute_error": _mean(rows, np.abs(error)),
        "mean_error": _mean(rows, error),
    }


FAMILIES: tuple[Callable[[Judged], Block], ...] = (
    rank_figures,
    class_figures,
    error_figures,
)
_OF_CONFUSION: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "within_one_class": classification.within_one_class,
    "quadratic_kappa": lambda counts: classification.kappa(counts, weights="quadratic"),
}


def _tau(
    rows: Judged, x: np.ndarray, y: np.ndarray, *, where: np.ndarray | None = None
) -> Estimate:
    weight = rows.weight
    if where is not None:
        x, y, weight = x[where], y[where], weight[:, where]
    if len(x) < 2:
        return Estimate(np.nan, method="fewer than two rows", n=len(x))
    tau = rank_correlation.kendall_tau(x, y=y, weight=weight)
    if rows.clustered:
        tau = dataclasses.replace(tau, p=np.nan, method=f"{tau.method}; {CLUSTERED}")
    return tau


def _within(rows: Judged) -> Estimate:
    if rows.fold is None:
        return Estimate(np.nan, method="rows have no folds", n=0)
    found = rank_correlation.kendall_tau_within_folds(
        np.random.default_rng(rows.seed),
        rows.score,
        target=rows.target,
        fold=rows.fold,
        permutations=0 if rows.clustered else rank_correlation.PERMUTATIONS,
        weight=rows.weight,
    )
    if rows.clustered:
        words = f"{found.method}; {CLUSTERED}"
        found = dataclasses.replace(found, method=words)
    return found


def _of_class(
    rows: Judged, name: str, index: int, *, confusion: np.ndarray, draws: np.ndarray
) -> Estimate:
    """One figure of one class: a proportion with its Wilson interval, or F1."""
    positive = confusion[index].sum()
    called = confusion[:, index].sum()
    right = confusion[index, index]
    rejected = confusion.sum() - positive - called + right
    of = {
        "sensitivity": (right, positive),
        "specificity": (rejected, confusion.sum() - positive),
        "precision": (right, called),
        "npv": (rejected, confusion.sum() - called),
    }
    if name in of:
        top, bottom = of[name]
        share = proportions.proportion(int(top), n=int(bottom))
        if not rows.clustered:
            return share
        return _by_bootstrap(rows, share.estimate, draws, n=int(bottom))
    f1 = float(classification.class_figures(confusion).f1[index])
    return _by_bootstrap(rows, f1, draws)


def _mean(rows: Judged, values: np.ndarray) -> Estimate:
    draws = weighted_mean(values, weight=rows.weight)
    return _by_bootstrap(rows, float(values.mean()), draws)


def _by_bootstrap(
    rows: Judged, estimate: float, draws: np.ndarray, *, n: int | None = None
) -> Estimate:
    low, high = percentile_interval(draws)
    inside = " inside folds" if rows.fold is not None else ""
    words = f"95% interval from {len(draws):,} bootstraps of subjects{inside}"
    return Estimate(
        float(estimate), low, high, np.nan, words, len(rows.target) if n is None else n
    )


def _named(figures: classification.ClassFigures) -> dict[str, np.ndarray]:
    return {
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "precision": figures.precision,
        "npv": figures.npv,
        "f1": figures.f1,
    }


def _ascites(rows: Predictions) -> np.ndarray | None:
    cells = rows.extra.get("ascites_points")
    if cells is None:
        return None
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells], float)
    except ValueError:
        return None
