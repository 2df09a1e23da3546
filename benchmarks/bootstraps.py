"""Percentile bootstraps that reports print, for `benchmarks.coverage`.

Resamples are those of a report (`resampling.subject_weights`), the statistics its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.special

from benchmarks.simulated import (
    LOG_HAZARD,
    PREVALENCE,
    READERS,
    READERS_KAPPA,
    RESAMPLES,
    Interval,
    Rng,
    calibrated,
    correlated,
    risks,
)
from liverjax.stats import (
    classification,
    rank_correlation,
    resampling,
    roc_multiclass,
    survival,
)

SENSITIVITY, SPECIFICITY = 0.8, 0.75
CLASS_SHARES = (0.293, 0.463, 0.244)  # of study 000
# One cohort's resampled statistic, ``(b,)``, from its resamples.
Draws = Callable[[Rng, int, np.ndarray], np.ndarray]


def weights(rng: Rng, n: int) -> np.ndarray:
    """The resamples of a cohort without folds, a row a subject."""
    return resampling.subject_weights(rng, subject=np.arange(n), resamples=RESAMPLES)


def percentiles(draws: Draws, *, truth: float) -> Interval:
    """Whether the percentile interval of a statistic holds its truth."""

    def one(rng: Rng, n: int) -> bool | None:
        low, high = resampling.percentile_interval(draws(rng, n, weights(rng, n)))
        return None if np.isnan(low) else bool(low - 1e-12 <= truth <= high + 1e-12)

    return one


def absolute_error(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    return resampling.weighted_mean(np.abs(rng.normal(size=n)), weight=weight)


def brier(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    p, positive = calibrated(rng, n)
    return resampling.weighted_mean((p - positive) ** 2, weight=weight)


def _brier_truth() -> float:
    """Mean of p (1 - p) over `calibrated`'s law."""
    x, share = np.polynomial.hermite_e.hermegauss(80)
    p = scipy.special.expit(1.5 * x)
    return float(share @ (p * (1 - p)) / share.sum())


def f1(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    truth = (rng.random(n) < PREVALENCE).astype(int)
    share = np.where(truth == 1, SENSITIVITY, 1 - SPECIFICITY)
    called = (rng.random(n) < share).astype(int)
    drawn = classification.resampled_confusion(
        truth, predicted_class=called, num_classes=2, weight=weight
    )
    return classification.class_figures(drawn).f1[:, 1]


def _f1_truth() -> float:
    right = PREVALENCE * SENSITIVITY
    wrong = PREVALENCE * (1 - SENSITIVITY) + (1 - PREVALENCE) * (1 - SPECIFICITY)
    return 2 * right / (2 * right + wrong)


def quadratic_kappa(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    flat = rng.choice(9, size=n, p=READERS.ravel())
    drawn = classification.resampled_confusion(
        flat // 3, predicted_class=flat % 3, num_classes=3, weight=weight
    )
    return classification.kappa(drawn, weights="quadratic")


def class_probabilities(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three ordered classes from one noisy reading, and the class."""
    ends = np.round(n * np.cumsum([0, *CLASS_SHARES])).astype(int)
    truth = np.repeat([0, 1, 2], np.diff(ends))
    reading = truth + rng.normal(size=n)
    likelihood = np.exp(-((reading[:, None] - np.arange(3)) ** 2) / 2) * CLASS_SHARES
    return likelihood / likelihood.sum(axis=1, keepdims=True), truth


def macro_auc(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    probs, truth = class_probabilities(rng, n)
    return roc_multiclass.resampled_macro_auc(probs, true_class=truth, weight=weight)


def _macro_auc_truth() -> float:
    probs, truth = class_probabilities(np.random.default_rng(1), 200_000)
    return roc_multiclass.multiclass_auc(probs, true_class=truth).macro


def c_index(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    risk, time, event = risks(rng, n)
    return survival.resampled_harrell_c(risk, time=time, event=event, weight=weight)


def _c_truth() -> float:
    """Of two with hazards a and b, both censored at rate 1/2: who is seen to die first.

    The first death is seen with a / (a + b + 1), and is rightly foretold where the
    larger hazard is the first to die.
    """
    x = np.random.default_rng(1).normal(size=(2, 1_000_000))
    a, b = np.exp(LOG_HAZARD * x)
    return float(
        np.mean(np.maximum(a, b) / (a + b + 1)) / np.mean((a + b) / (a + b + 1))
    )


def two_readings(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """A truth, and two scores that know it equally well and are alike."""
    truth, shared = rng.normal(size=(2, n))
    one, two = (0.6 * truth + 0.5 * shared + 0.6 * rng.normal(size=n) for _ in range(2))
    return truth, one, two


def tau_difference(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    truth, *scores = two_readings(rng, n)
    first, second = (
        rank_correlation.resampled_tau(score, y=truth, weight=weight)
        for score in scores
    )
    return first - second


def error_difference(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    truth, *scores = two_readings(rng, n)
    first, second = (
        resampling.weighted_mean(np.abs(score - truth), weight=weight)
        for score in scores
    )
    return first - second


def c_difference(rng: Rng, n: int, weight: np.ndarray) -> np.ndarray:
    risk, time, event = risks(rng, n)
    shared = rng.normal(size=n)
    first, second = (
        survival.resampled_harrell_c(
            risk + 0.5 * shared + 0.6 * rng.normal(size=n),
            time=time,
            event=event,
            weight=weight,
        )
        for _ in range(2)
    )
    return first - second


def within_fold_tau(rng: Rng, n: int) -> bool | None:
    """Five folds, resampled inside, of scores that know nothing: tau is 0."""
    score, target = correlated(rng, n, 0.0)
    fold = np.arange(n) % 5
    weight = resampling.subject_weights(
        rng, subject=np.arange(n), stratum=fold, resamples=RESAMPLES
    )
    found = rank_correlation.kendall_tau_within_folds(
        rng, score, target=target, fold=fold, permutations=0, weight=weight
    )
    return None if np.isnan(found.low) else bool(found.low <= 0 <= found.high)


INTERVALS: dict[str, Interval] = {
    "mean absolute error, bootstrap percentiles": percentiles(
        absolute_error, truth=float(np.sqrt(2 / np.pi))
    ),
    "Brier score, bootstrap percentiles": percentiles(brier, truth=_brier_truth()),
    "F1, bootstrap percentiles": percentiles(f1, truth=_f1_truth()),
    "quadratic kappa, bootstrap percentiles": percentiles(
        quadratic_kappa, truth=READERS_KAPPA["quadratic"]
    ),
    "macro AUC of three classes, bootstrap percentiles": percentiles(
        macro_auc, truth=_macro_auc_truth()
    ),
    "Harrell's C, bootstrap percentiles": percentiles(c_index, truth=_c_truth()),
    "Kendall's tau within folds, bootstrap percentiles": within_fold_tau,
    "difference of taus, paired bootstraps": percentiles(tau_difference, truth=0.0),
    "difference of mean absolute errors, paired bootstraps": percentiles(
        error_difference, truth=0.0
    ),
    "difference of Harrell's Cs, paired bootstraps": percentiles(
        c_difference, truth=0.0
    ),
}
