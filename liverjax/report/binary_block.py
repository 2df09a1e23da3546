"""Statistics of two classes: discrimination, calls, calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from liverjax.report.judged import CLUSTERED, Block, Judged, by_bootstrap
from liverjax.stats import (
    calibration,
    calibration_groups,
    classification,
    paired,
    proportions,
    roc,
)
from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import weighted_mean

ONE_CLASS = "needs rows of both classes"


def binary_families() -> tuple[Callable[[Judged], Block], ...]:
    """Returns the families of statistics of two classes, in the order of the page."""
    return discrimination, calls, calibration_figures


def discrimination(rows: Judged) -> Block:
    """Returns the area under the ROC curve with two intervals."""
    return areas(rows, rows.score, positive=rows.positive)


def areas(
    rows: Judged, score: np.ndarray, *, positive: np.ndarray, suffix: str = ""
) -> Block:
    """Returns ``auc`` and ``auc_bootstrap`` of a score for a yes/no truth.

    The first interval is DeLong's on the logit scale: of those simulated in
    ``docs/coverage.md`` the one that keeps its level in small cohorts.
    """
    if len(np.unique(positive)) < 2:
        return {f"auc{suffix}": Estimate(np.nan, method=ONE_CLASS, n=len(positive))}
    return {
        f"auc{suffix}": roc.auc(score, positive=positive, subject=rows.cluster),
        f"auc_bootstrap{suffix}": roc.auc(
            score, positive=positive, method="bootstrap", weight=rows.weight
        ),
    }


def calls(rows: Judged) -> Block:
    """Returns what the 2 x 2 table says: sensitivity, specificity, PPV, NPV, ..."""
    if rows.predicted_class is None:
        return {}
    counts = rows.confusion
    (tn, fp), (fn, tp) = counts.tolist()
    n = tn + fp + fn + tp
    shares = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "accuracy": (tp + tn, n),
    }
    drawn = classification.resampled_confusion(
        rows.true_class,
        predicted_class=rows.predicted_class,
        num_classes=2,
        weight=rows.weight,
    )
    figures = classification.class_figures(drawn)
    draws = {
        "sensitivity": figures.sensitivity[:, 1],
        "specificity": figures.specificity[:, 1],
        "ppv": figures.precision[:, 1],
        "npv": figures.npv[:, 1],
        "accuracy": classification.accuracy(drawn),
    }
    found: Block = {}
    for name, (top, bottom) in shares.items():
        share = proportions.proportion(top, n=bottom, method="clopper_pearson")
        found[name] = share
        if rows.clustered:
            clustered = by_bootstrap(rows, share.estimate, draws=draws[name], n=bottom)
            words = f"{top}/{bottom}; {clustered.method}"
            found[name] = dataclasses.replace(clustered, method=words)
    one = classification.class_figures(counts)
    found["f1"] = by_bootstrap(rows, float(one.f1[1]), draws=figures.f1[:, 1])
    return found | against_commonest(rows)


def against_commonest(rows: Judged) -> Block:
    """Returns whether accuracy beats the constant answer "the commonest class".

    The binomial test takes the class sizes as fixed by design; McNemar's test takes
    them as drawn with the cohort, and keeps its level then too.
    """
    counts = rows.confusion
    rate = proportions.no_information_rate_test(counts)
    right = rows.predicted_class == rows.true_class
    constant = rows.true_class == counts.sum(axis=1).argmax()
    if rows.clustered:
        words = f"no-information rate; {CLUSTERED}"
        rate = dataclasses.replace(rate, p=np.nan, method=words)
        gain = paired.mcnemar_clustered(
            right, second_right=constant, subject=rows.subject
        )
    else:
        gain = paired.mcnemar_rows(right, second_right=constant, method="mid_p")
    words = f"accuracy less the commonest class's share; {gain.method}"
    return {
        "no_information_rate_test": rate,
        "accuracy_gain": dataclasses.replace(gain, method=words),
    }


def calibration_figures(rows: Judged) -> Block:
    """Returns Brier score, calibration slope, intercept and error of probabilities."""
    if rows.probability is None:
        return {}
    found = calibration_of(rows, rows.probability, positive=rows.positive)
    return found | goodness_of_fit(rows, rows.probability)


def goodness_of_fit(
    rows: Judged, probability: np.ndarray, *, suffix: str = ""
) -> Block:
    """Returns the Hosmer-Lemeshow test of probabilities that rows had no part in.

    Nothing where it is not defined: of clustered rows, or of fewer than three groups of
    different probability.
    """
    if rows.clustered or len(np.unique(probability)) < 3:
        return {}
    try:
        test = calibration_groups.hosmer_lemeshow(
            probability, positive=rows.positive, external=True
        )
    except ValueError:
        return {}
    return {f"hosmer_lemeshow{suffix}": test}


def calibration_of(
    rows: Judged, probability: np.ndarray, *, positive: np.ndarray, suffix: str = ""
) -> Block:
    """Returns the calibration of probabilities of a yes/no truth."""
    score = calibration.brier(probability, positive=positive)
    error = (probability - positive) ** 2
    draws = weighted_mean(error, weight=rows.weight)
    found: Block = {
        "brier": by_bootstrap(rows, score.estimate, draws=draws),
        "brier_scaled": Estimate(
            score.scaled,
            method="1 - Brier / Brier of the prevalence; 0 is no better than it",
            n=len(probability),
        ),
    }
    if len(np.unique(positive)) == 2:
        fit = calibration.calibration_fit(probability, positive=positive)
        found |= {
            "calibration_slope": fit.slope,
            "calibration_intercept": fit.intercept,
            "calibration_in_the_large": fit.in_the_large,
        }
        if rows.clustered:
            for name in tuple(found)[2:]:
                found[name] = Estimate(
                    found[name].estimate,
                    method=f"{found[name].method}; no interval: {CLUSTERED}",
                    n=found[name].n,
                )
    found["expected_calibration_error"] = calibration_groups.expected_calibration_error(
        probability, positive=positive
    )
    return {f"{name}{suffix}": value for name, value in found.items()}
