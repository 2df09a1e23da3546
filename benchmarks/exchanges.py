"""Permutation tests of paired differences, for `benchmarks.coverage`.

Each is that of a report (`liverjax.report.comparisons`): whole subjects exchange the
two models' ranks, or losses. In the first laws the pair is exchangeable; "of unlike
scores" has two scores of equal tau that are not: one of three values and one without
ties.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats

from benchmarks.bootstraps import two_readings
from benchmarks.simulated import Rng, risks
from liverjax.stats import rank_correlation, resampling, survival

PERMUTATIONS = 499
CLASSES = (-0.545, 0.697)  # cuts of a normal law: 29, 46 and 24 % as in study 000
# With it the score without ties has the tau-b of the one of three values (0.398).
NOISE = 0.729
# One cohort's truth, two scores and subjects.
Cohort = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def one_visit(rng: Rng, n: int) -> Cohort:
    truth, one, two = two_readings(rng, n)
    return np.digitize(truth, CLASSES), one, two, np.arange(n)


def two_visits(rng: Rng, n: int) -> Cohort:
    """Two visits a subject, whose scores are alike."""
    subject = np.repeat(np.arange(n // 2), 2)
    truth, one, two = two_readings(rng, n // 2)
    one, two = (s[subject] + 0.3 * rng.normal(size=len(subject)) for s in (one, two))
    return np.digitize(truth, CLASSES)[subject], one, two, subject


def unlike_scores(rng: Rng, n: int) -> Cohort:
    truth, shared = rng.normal(size=(2, n))
    known = 0.6 * truth + 0.5 * shared
    one = known + NOISE * rng.normal(size=n)
    two = np.digitize(known + 0.6 * rng.normal(size=n), (0.6, 1.2))
    return np.digitize(truth, CLASSES), one, two.astype(float), np.arange(n)


def ranks(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.concatenate([scipy.stats.rankdata(score) for score in (one, two)])


def taus(law: Callable[[Rng, int], Cohort]) -> Callable[[Rng, int], float]:
    """The test of equal taus."""

    def one_cohort(rng: Rng, n: int) -> float:
        truth, one, two, subject = law(rng, n)
        both, target = ranks(one, two), np.tile(truth, 2)
        return resampling.exchange_test(
            rng,
            lambda w: rank_correlation.resampled_tau(both, y=target, weight=w),
            subject=subject,
            permutations=PERMUTATIONS,
        )

    return one_cohort


def concordances(rng: Rng, n: int) -> float:
    """The test of equal Harrell's Cs."""
    risk, time, event = risks(rng, n)
    shared = rng.normal(size=n)
    one, two = (risk + 0.5 * shared + 0.6 * rng.normal(size=n) for _ in range(2))
    both = ranks(one, two)
    return resampling.exchange_test(
        rng,
        lambda w: survival.resampled_harrell_c(
            both, time=np.tile(time, 2), event=np.tile(event, 2), weight=w
        ),
        subject=np.arange(n),
        permutations=PERMUTATIONS,
    )


def errors(rng: Rng, n: int) -> float:
    """The test of equal mean errors: one constant, the other seldom large."""
    gap = rng.exponential(size=n) - 1.0
    return resampling.sign_flip_test(
        rng, gap, subject=np.arange(n), permutations=PERMUTATIONS
    )


TESTS = {
    "difference of taus, exchanged ranks": taus(one_visit),
    "difference of taus, exchanged ranks, two visits a subject": taus(two_visits),
    "difference of taus, exchanged ranks of unlike scores": taus(unlike_scores),
    "difference of Harrell's Cs, exchanged ranks": concordances,
    "difference of mean errors, exchanged losses of a skewed law": errors,
}
