"""Predictive values of two tests on the same subjects, compared.

A predictive value is a share among those whom the test calls positive (or negative), so
the two tests' denominators differ and overlap: McNemar's test does not apply.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.paired import PairedCalls

METHODS = ("kosinski", "leisenring")


@dataclasses.dataclass(frozen=True)
class PredictiveValueTest(Estimate):
    """The first test's predictive value minus the second's.

    Attributes:
        first: Predictive value of the first test.
        second: Of the second.
        statistic: Chi-square with one degree of freedom; 0 for identical tests.
    """

    first: float = np.nan
    second: float = np.nan
    statistic: float = np.nan


@dataclasses.dataclass(frozen=True)
class RelativePredictiveValue(Estimate):
    """The second test's predictive value over the first's.

    Attributes:
        z: Log ratio over its standard error; 0 for identical tests.
    """

    z: float = np.nan


def compare_predictive_values(
    diseased: PairedCalls, *, nondiseased: PairedCalls, method: str = "kosinski"
) -> tuple[PredictiveValueTest, PredictiveValueTest]:
    """Returns the tests of equal positive and of equal negative predictive values.

    Args:
        diseased: Calls among the diseased (`paired.paired_calls`).
        nondiseased: Calls among the others.
        method: ``kosinski`` (weighted generalised score) or ``leisenring`` (generalised
            score).

    Returns:
        Positive, negative. NaN where a test calls nobody positive (negative); statistic
        0 and p 1 for identical tests.

    Raises:
        ValueError: If the method is unknown.

    Reference:
        Kosinski, Statistics in Medicine 32 (2013) 964; Leisenring et al., Biometrics 56
        (2000) 345.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {METHODS}")
    n = diseased.n + nondiseased.n
    found = []
    for name, right, wrong in _sides(diseased, nondiseased):
        first, second, size1, size2 = _shares(right, wrong)
        statistic = p = np.nan
        if size1 and size2:
            squared, variance = _score(right, wrong, weighted=method == "kosinski")
            statistic = squared / variance if variance > 0 else 0.0
            p = float(scipy.stats.chi2.sf(statistic, 1))
        words = f"difference of {name} predictive values; {method.capitalize()}'s test"
        found.append(
            PredictiveValueTest(
                first - second,
                p=p,
                method=words,
                n=n,
                first=first,
                second=second,
                statistic=statistic,
            )
        )
    return found[0], found[1]


def compare_predictive_values_clustered(
    first: Bool[np.ndarray, " n"],
    *,
    second: Bool[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    subject: Shaped[np.ndarray, " n"],
    conf: float = 0.95,
) -> tuple[PredictiveValueTest, PredictiveValueTest]:
    """Returns the tests where subjects have several rows: Leisenring's, over subjects.

    The score of a subject is the sum over all its calls, so that its rows may depend on
    one another; for one row a subject it is Leisenring's test. The interval is by the
    cluster-robust variance of the difference.

    Args:
        first: Calls of the first test.
        second: Of the second.
        positive: Truth.
        subject: Who each row belongs to.
        conf: Confidence level.

    Returns:
        Positive, negative. NaN where a test calls nobody positive (negative).

    Reference:
        Leisenring et al., Biometrics 56 (2000) 345.
    """
    who = np.unique(subject, return_inverse=True)[1]
    pairs = (
        ("positive", first, second, positive),
        ("negative", ~first, ~second, ~positive),
    )
    found = [
        _clustered(name, one, two, truth, who=who, conf=conf)
        for name, one, two, truth in pairs
    ]
    return found[0], found[1]


def _clustered(
    name: str,
    one: np.ndarray,
    two: np.ndarray,
    truth: np.ndarray,
    *,
    who: np.ndarray,
    conf: float,
) -> PredictiveValueTest:
    clusters = int(who.max()) + 1
    words = f"difference of {name} predictive values; Leisenring's test over subjects"
    size1, size2, n = int(one.sum()), int(two.sum()), len(who)
    if not (size1 and size2):
        return PredictiveValueTest(np.nan, method=words, n=n)
    share1, share2 = float(truth[one].mean()), float(truth[two].mean())
    total = size1 + size2
    pooled = (share1 * size1 + share2 * size2) / total
    # Each call is an observation: of the first test 0, of the second 1.
    weight = two * (1 - size2 / total) - one * (size2 / total)
    score = np.bincount(who, weights=weight * (truth - pooled), minlength=clusters)
    spread = float(score @ score)
    statistic = float(score.sum()) ** 2 / spread if spread > 0 else 0.0
    influence = one * (truth - share1) / size1 - two * (truth - share2) / size2
    of_subject = np.bincount(who, weights=influence, minlength=clusters)
    factor = clusters / (clusters - 1) if clusters > 1 else np.nan
    half = scipy.stats.norm.ppf((1 + conf) / 2) * np.sqrt(
        factor * (of_subject @ of_subject)
    )
    return PredictiveValueTest(
        share1 - share2,
        float(share1 - share2 - half),
        float(share1 - share2 + half),
        float(scipy.stats.chi2.sf(statistic, 1)),
        f"{words} ({clusters})",
        n,
        first=share1,
        second=share2,
        statistic=statistic,
    )


def relative_predictive_values(
    diseased: PairedCalls, *, nondiseased: PairedCalls, conf: float = 0.95
) -> tuple[RelativePredictiveValue, RelativePredictiveValue]:
    """Returns the ratios of predictive values, second test over first, by delta method.

    Args:
        diseased: Calls among the diseased.
        nondiseased: Calls among the others.
        conf: Confidence level.

    Returns:
        Positive, negative. NaN where a predictive value is 0 or undefined.

    Reference:
        Moskowitz and Pepe, Clinical Trials 3 (2006) 272.
    """
    n = diseased.n + nondiseased.n
    quantile = scipy.stats.norm.ppf((1 + conf) / 2)
    found = []
    for name, right, wrong in _sides(diseased, nondiseased):
        words = f"ratio of {name} predictive values, Moskowitz and Pepe"
        first, second, size1, size2 = _shares(right, wrong)
        if not (size1 and size2 and first > 0 and second > 0):
            found.append(RelativePredictiveValue(np.nan, method=words, n=n))
            continue
        # d log(PV2 / PV1) by each cell of the multinomial law.
        right_1, right_2 = first * size1, second * size2
        slope_1 = 1 / right_1 - 1 / size1
        slope_2 = 1 / right_2 - 1 / size2
        gradient = {
            "n11": (slope_2 - slope_1, 1 / size1 - 1 / size2),
            "n10": (-slope_1, 1 / size1),
            "n01": (slope_2, -1 / size2),
        }
        variance = sum(
            right[cell] * of_right**2 + wrong[cell] * of_wrong**2
            for cell, (of_right, of_wrong) in gradient.items()
        )
        se, log_ratio = float(np.sqrt(variance)), float(np.log(second / first))
        z = log_ratio / se if se > 0 else 0.0
        low, high = np.exp(log_ratio + quantile * se * np.array([-1.0, 1.0]))
        p = 2 * float(scipy.stats.norm.sf(abs(z)))
        found.append(
            RelativePredictiveValue(
                second / first, float(low), float(high), p, words, n, z=z
            )
        )
    return found[0], found[1]


def _sides(
    diseased: PairedCalls, nondiseased: PairedCalls
) -> list[tuple[str, dict[str, int], dict[str, int]]]:
    """For each sign: its name, rightly and wrongly so called; 1 is "so called"."""
    d, h = dataclasses.asdict(diseased), dataclasses.asdict(nondiseased)

    def swapped(calls: dict[str, int]) -> dict[str, int]:
        pairs = {"n11": "n00", "n10": "n01", "n01": "n10", "n00": "n11"}
        return {name: calls[other] for name, other in pairs.items()}

    return [("positive", d, h), ("negative", swapped(h), swapped(d))]


def _shares(
    right: dict[str, int], wrong: dict[str, int]
) -> tuple[float, float, int, int]:
    """Predictive value and number of calls, of the first and of the second test."""
    right_1, right_2 = right["n11"] + right["n10"], right["n11"] + right["n01"]
    size1 = right_1 + wrong["n11"] + wrong["n10"]
    size2 = right_2 + wrong["n11"] + wrong["n01"]
    first = right_1 / size1 if size1 else np.nan
    second = right_2 / size2 if size2 else np.nan
    return first, second, size1, size2


def _score(
    right: dict[str, int], wrong: dict[str, int], *, weighted: bool
) -> tuple[float, float]:
    """The squared score and its variance."""
    first, second, size1, size2 = _shares(right, wrong)
    share = (first * size1 + second * size2) / (size1 + size2)
    if weighted:
        both = right["n11"] * (1 - share) ** 2 + wrong["n11"] * share**2
        covariance = both / (size1 + size2)
        variance = share * (1 - share) - 2 * covariance
        return (first - second) ** 2, variance * (1 / size1 + 1 / size2)
    by_second = size2 / (size1 + size2)
    centred = {"n11": 1 - 2 * by_second, "n10": -by_second, "n01": 1 - by_second}
    score = sum(right[cell] * value for cell, value in centred.items())
    variance = sum(
        (right[cell] * (1 - share) ** 2 + wrong[cell] * share**2) * value**2
        for cell, value in centred.items()
    )
    return score**2, variance
