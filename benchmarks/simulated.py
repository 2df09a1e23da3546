"""Cohorts drawn from laws whose truth is known, for `benchmarks.coverage`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats

from liverjax.stats import classification

RESAMPLES = 1_000
PREVALENCE = 0.4
AUC = 0.86  # of study 001's external set
SHIFT = np.sqrt(2) * scipy.stats.norm.ppf(AUC)
LOG_HAZARD = 1.0

Rng = np.random.Generator
# One cohort: whether its interval holds the truth. None leaves the cohort out.
Interval = Callable[[Rng, int], bool | None]


def holds(found, truth: float) -> bool | None:
    """Whether an interval holds the truth; None where there is no interval."""
    if np.isnan(found.low) or np.isnan(found.high):
        return None
    return bool(found.low - 1e-12 <= truth <= found.high + 1e-12)


def binormal(rng: Rng, n: int, *, shift: float = SHIFT) -> tuple[np.ndarray, ...]:
    """A score and its truth, with a fixed share of positives."""
    positive = np.arange(n) < round(PREVALENCE * n)
    return rng.normal(size=n) + shift * positive, positive


def two_scores(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """Two correlated scores of the same area, and the truth."""
    shared, positive = binormal(rng, n)
    one, two = (shared + rng.normal(size=n) for _ in range(2))
    return one, two, positive


TWO_SCORES_AUC = float(scipy.stats.norm.cdf(SHIFT / 2))


def visits(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """Two visits a subject, n rows in all: score, truth and subject."""
    subject = np.repeat(np.arange(n // 2), 2)
    positive = subject < round(PREVALENCE * (n // 2))
    own = np.sqrt(0.7) * rng.normal(size=n // 2)[subject]
    score = own + np.sqrt(0.3) * rng.normal(size=len(subject)) + SHIFT * positive
    return score, positive, subject


def stages(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """A score and one of four ordinal stages, all there from 28 rows on."""
    stage = np.arange(n) % 4
    return rng.normal(size=n) + 0.8 * stage, stage


def correlated(rng: Rng, n: int, rho: float) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=n)
    return x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)


def child_pugh_like(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A continuous score against three classes of 29, 46 and 24 %."""
    x, latent = correlated(rng, n, 0.6)
    return x, np.digitize(latent, scipy.stats.norm.ppf([0.293, 0.757]))


def calibrated(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right."""
    p = 1 / (1 + np.exp(-rng.normal(0, 1.5, size=n)))
    return p, rng.random(n) < p


def two_readers(rng: Rng, n: int) -> np.ndarray:
    """Counts of two readers' three classes."""
    flat = rng.choice(9, size=n, p=READERS.ravel())
    return np.bincount(flat, minlength=9).reshape(3, 3)


def paired_tests(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """Two tests of equal sensitivity, specificity and predictive values."""
    positive = rng.random(n) < PREVALENCE
    share = np.where(positive, 0.8, 0.25)
    common = rng.random(n)
    own = rng.random((2, n))
    first, second = np.where(rng.random((2, n)) < 0.5, common, own) < share
    return first, second, positive


def lives(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """Times of two groups alike, a third censored."""
    time, censored = rng.exponential(size=n), rng.exponential(2.0, size=n)
    return np.minimum(time, censored), time <= censored, np.arange(n) % 2


def risks(rng: Rng, n: int) -> tuple[np.ndarray, ...]:
    """A risk (log hazard), time and event; about one in three is censored."""
    risk = rng.normal(size=n)
    time = rng.exponential(np.exp(-LOG_HAZARD * risk))
    censored = rng.exponential(2.0, size=n)
    return risk, np.minimum(time, censored), time <= censored


READERS = np.array([[0.22, 0.06, 0.01], [0.07, 0.28, 0.06], [0.01, 0.06, 0.23]])
READERS_KAPPA = {
    weights: float(
        classification.kappa((READERS * 1e6).round().astype(int), weights=weights)
    )
    for weights in ("none", "quadratic")
}
