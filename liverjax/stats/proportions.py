"""Proportions: intervals, the binomial test, the no-information rate."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Int

from liverjax.stats.estimate import Estimate

METHODS = ("wilson", "clopper_pearson", "wald", "wilson_cc")
FURTHER_METHODS = ("agresti_coull", "jeffreys", "wald_cut")
_WORDS = {
    "agresti_coull": "Agresti-Coull",
    "jeffreys": "Jeffreys",
    "wald_cut": "Wald, cut at 0 and 1",
    "wilson": "Wilson",
    "wilson_cc": "Wilson, continuity-corrected",
    "clopper_pearson": "Clopper-Pearson",
    "wald": "Wald",
}


@dataclasses.dataclass(frozen=True)
class NoInformationRateTest(Estimate):
    """Whether a classifier beats the constant answer "the commonest class".

    ``estimate`` is the no-information rate, ``p`` that of the test.

    Attributes:
        correct: Right answers.
        accuracy: Their share.
        accuracy_low: Lower end of its Clopper-Pearson interval.
        accuracy_high: Upper end.
    """

    correct: int = 0
    accuracy: float = np.nan
    accuracy_low: float = np.nan
    accuracy_high: float = np.nan


def proportion(
    count: int, *, n: int, method: str = "wilson", conf: float = 0.95
) -> Estimate:
    """Returns ``count / n`` with an interval; NaN for ``n = 0``.

    Args:
        count: Successes.
        n: Independent trials (subjects, not slices).
        method: ``wilson``, ``clopper_pearson``, ``wald`` (not cut), ``wilson_cc``,
            ``agresti_coull`` and ``wald_cut`` (both cut at 0 and 1) or ``jeffreys``.
        conf: Confidence level.

    Raises:
        ValueError: If the method is unknown or the count is not in 0..n.

    Reference:
        Newcombe, Statistics in Medicine 17 (1998) 857, methods 1, 3, 4 and 5; Brown et
        al., Statistical Science 16 (2001) 101 (Agresti-Coull, Jeffreys).
    """
    if method not in METHODS + FURTHER_METHODS:
        known = METHODS + FURTHER_METHODS
        raise ValueError(f"method {method!r}: expected one of {known}")
    if not 0 <= count <= n:
        raise ValueError(f"{count} successes in {n} trials")
    words = f"{count}/{n}, {conf:.0%} {_WORDS[method]} interval"
    if n == 0:
        return Estimate(np.nan, method=words, n=0)
    share = count / n
    if method in ("wald", "wald_cut", "agresti_coull"):
        centre, number = share, float(n)
        z = scipy.stats.norm.ppf((1 + conf) / 2)
        if method == "agresti_coull":
            centre, number = (count + z**2 / 2) / (n + z**2), n + z**2
        half = z * np.sqrt(centre * (1 - centre) / number)
        ends = np.array([centre - half, centre + half])
        low, high = ends if method == "wald" else np.clip(ends, 0.0, 1.0)
        return Estimate(share, float(low), float(high), np.nan, words, n)
    if method == "jeffreys":
        tails = [(1 - conf) / 2, (1 + conf) / 2]
        low, high = scipy.stats.beta.ppf(tails, count + 0.5, n - count + 0.5)
        return Estimate(share, float(low), float(high), np.nan, words, n)
    if method == "clopper_pearson":
        low, high = beta_interval(count, n=n, conf=conf)
    elif method == "wilson":
        z2 = float(scipy.stats.norm.ppf((1 + conf) / 2)) ** 2
        middle = (count + z2 / 2) / (n + z2)
        half = np.sqrt(z2 * (count * (n - count) / n + z2 / 4)) / (n + z2)
        low = 0.0 if count == 0 else middle - half
        high = 1.0 if count == n else middle + half
    else:
        test = scipy.stats.binomtest(count, n)
        low, high = test.proportion_ci(conf, method="wilsoncc")
    return Estimate(share, float(low), float(high), np.nan, words, n)


def beta_interval(
    successes: float | int, *, n: int, conf: float = 0.95
) -> tuple[float, float]:
    """Returns Clopper-Pearson limits; successes need not be a whole number.

    Raises:
        ValueError: If successes are not in 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials")
    tail, failures = (1 - conf) / 2, n - successes
    low = scipy.stats.beta.ppf(tail, successes, failures + 1) if successes > 0 else 0.0
    high = scipy.stats.beta.isf(tail, successes + 1, failures) if failures > 0 else 1.0
    return float(low), float(high)


def proportion_difference(
    count: int,
    *,
    n: int,
    other_count: int,
    other_n: int,
    method: str = "newcombe",
    conf: float = 0.95,
) -> Estimate:
    """Returns the share of one group minus that of another, of different subjects.

    Args:
        count: Successes of the first group.
        n: Its size.
        other_count: Successes of the second.
        other_n: Its size.
        method: ``newcombe`` (method 10: Wilson limits squared and added) or ``wald``.
        conf: Confidence level.

    Raises:
        ValueError: If the method is unknown, a group empty or a count not in 0..n.

    Reference:
        Newcombe, Statistics in Medicine 17 (1998) 873.
    """
    if method not in ("newcombe", "wald"):
        raise ValueError(f"method {method!r}: newcombe or wald")
    if not (n > 0 and other_n > 0):
        raise ValueError(f"groups of {n} and {other_n}: both need a row")
    one = proportion(count, n=n, conf=conf)
    two = proportion(other_count, n=other_n, conf=conf)
    difference = one.estimate - two.estimate
    if method == "newcombe":
        below = np.hypot(one.estimate - one.low, two.high - two.estimate)
        above = np.hypot(one.high - one.estimate, two.estimate - two.low)
    else:
        spread = one.estimate * (1 - one.estimate) / n
        spread += two.estimate * (1 - two.estimate) / other_n
        below = above = scipy.stats.norm.ppf((1 + conf) / 2) * np.sqrt(spread)
    return Estimate(
        difference,
        float(difference - below),
        float(difference + above),
        method=f"difference of shares, {conf:.0%} {method.capitalize()} interval",
        n=n + other_n,
    )


def binomial_test(
    count: int,
    *,
    n: int,
    p0: float,
    alternative: str = "two-sided",
    conf: float = 0.95,
) -> Estimate:
    """Returns the exact binomial test of a share against ``p0``.

    Args:
        count: Successes.
        n: Independent trials.
        p0: Share under the null hypothesis.
        alternative: ``two-sided`` (sums all outcomes that are not likelier than the
            observed one), ``greater`` or ``less``; the Clopper-Pearson interval is
            one-sided with it.
        conf: Confidence level.
    """
    test = scipy.stats.binomtest(count, n, p0, alternative=alternative)
    low, high = test.proportion_ci(conf)
    words = f"{count}/{n}; exact binomial test against {p0:.4g}, {alternative}"
    return Estimate(count / n, float(low), float(high), float(test.pvalue), words, n)


def no_information_rate_test(
    confusion: Int[np.ndarray, "k k"], *, conf: float = 0.95
) -> NoInformationRateTest:
    """Returns the one-sided binomial test of accuracy against the no-information rate.

    The rate is the largest share of a true class in the evaluated rows themselves. Rows
    are taken as independent: one a subject.

    Args:
        confusion: Counts, rows are the truth, columns the prediction.
        conf: Confidence level of the accuracy's interval.
    """
    n, correct = int(confusion.sum()), int(np.trace(confusion))
    if n == 0:
        return NoInformationRateTest(np.nan, method="no row was judged", n=0)
    largest = int(confusion.sum(axis=1).max())
    test = binomial_test(correct, n=n, p0=largest / n, alternative="greater")
    accuracy = proportion(correct, n=n, method="clopper_pearson", conf=conf)
    return NoInformationRateTest(
        largest / n,
        p=test.p,
        method=(
            f"no-information rate {largest}/{n}; one-sided exact binomial test of "
            f"{correct}/{n} right answers against it"
        ),
        n=n,
        correct=correct,
        accuracy=accuracy.estimate,
        accuracy_low=accuracy.low,
        accuracy_high=accuracy.high,
    )
