"""The statistics of one group of rows: a set, a site, a model.

`FAMILIES` is the place where further statistics slot in: a function of `Judged` rows
that returns estimates by the names they have in ``metrics.json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from liverjax.report.binary_block import against_commonest, binary_families
from liverjax.report.judged import CLUSTERED, Block, Judged, by_bootstrap
from liverjax.report.measure_block import number_figures, survival_figures
from liverjax.report.stage_block import stage_figures
from liverjax.stats import classification, proportions, rank_correlation
from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import weighted_mean
from liverjax.tasks import kinds


def block(rows: Judged) -> Block:
    """Returns every statistic of a group of rows by its name."""
    if not len(rows.target):
        return {}
    families = FAMILIES[rows.kind]
    return {name: value for family in families for name, value in family(rows).items()}


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
    if rows.clustered:
        exact = by_bootstrap(rows, exact.estimate, draws=classification.accuracy(drawn))
    found: Block = {"accuracy": exact} | against_commonest(rows)
    for name, statistic in _OF_CONFUSION.items():
        value = float(statistic(confusion))
        found[name] = by_bootstrap(rows, value, draws=statistic(drawn))
    figures = classification.class_figures(confusion)
    resampled = classification.class_figures(drawn)
    for name, values in _named(figures).items():
        draws = _named(resampled)[name]
        macro = by_bootstrap(rows, float(values.mean()), draws=draws.mean(axis=1))
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


def pooled_tau(rows: Judged) -> Block:
    """Returns Kendall's tau of score and truth."""
    return {"kendall_tau": _tau(rows, rows.score, rows.target)}


def within_fold_figures(rows: Judged) -> Block:
    """Returns the tau within folds of rows that have folds; nothing for others."""
    return {} if rows.fold is None else {"kendall_tau_within_folds": _within(rows)}


Family = Callable[[Judged], Block]
FAMILIES: Mapping[str, tuple[Family, ...]] = {
    kinds.POINTS: (rank_figures, class_figures, error_figures),
    kinds.BINARY: (*binary_families(), within_fold_figures),
    kinds.STAGES: (
        stage_figures,
        pooled_tau,
        within_fold_figures,
        class_figures,
        error_figures,
    ),
    kinds.NUMBER: (number_figures, error_figures, within_fold_figures),
    kinds.SURVIVAL: (survival_figures,),
}
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
        return by_bootstrap(rows, share.estimate, draws=draws, n=int(bottom))
    f1 = float(classification.class_figures(confusion).f1[index])
    return by_bootstrap(rows, f1, draws=draws)


def _mean(rows: Judged, values: np.ndarray) -> Estimate:
    draws = weighted_mean(values, weight=rows.weight)
    return by_bootstrap(rows, float(values.mean()), draws=draws)


def _named(figures: classification.ClassFigures) -> dict[str, np.ndarray]:
    return {
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "precision": figures.precision,
        "npv": figures.npv,
        "f1": figures.f1,
    }
