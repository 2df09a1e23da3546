"""Two classifiers, or several, on the same rows: who is right more often.

A `PairedCalls` counts the rows of one true class by what two tests call them; 1 is
positive. Rows are subjects; for several rows a subject `mcnemar_clustered`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Int, Num, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.proportions import proportion

METHODS = ("exact", "mid_p", "asymptotic", "corrected")


@dataclasses.dataclass(frozen=True)
class PairedCalls:
    """How many rows of one true class two tests call positive (1) or negative (0).

    The first index is that of the first test: ``n10`` rows are positive in the first
    and negative in the second.
    """

    n11: int
    n10: int
    n01: int
    n00: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.n11 + self.n10 + self.n01 + self.n00


@dataclasses.dataclass(frozen=True)
class McNemar(Estimate):
    """The first share of right answers minus the second; ``p`` is the method's.

    Attributes:
        statistic: (b - c)^2 / (b + c); NaN without discordant rows.
        statistic_corrected: With (|b - c| - 1)^2 for b unlike c.
        p_asymptotic: Chi-square(1) of the statistic; NaN without discordant rows.
        p_corrected: The same of the corrected one.
        p_exact: Two-sided binomial, at most 1.
        p_mid: The exact one less half the observed outcome's share.
        only_first: b, rows that only the first has right.
        only_second: c.
    """

    statistic: float = np.nan
    statistic_corrected: float = np.nan
    p_asymptotic: float = np.nan
    p_corrected: float = np.nan
    p_exact: float = np.nan
    p_mid: float = np.nan
    only_first: int = 0
    only_second: int = 0


@dataclasses.dataclass(frozen=True)
class ChiSquareTest(Estimate):
    """A chi-square test; ``estimate`` is its statistic.

    Attributes:
        df: Degrees of freedom.
    """

    df: int = 0


def paired_calls(
    first: Bool[np.ndarray, " n"],
    *,
    second: Bool[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
) -> tuple[PairedCalls, PairedCalls]:
    """Returns the calls of two tests among the diseased and among the others."""

    def count(rows: np.ndarray) -> PairedCalls:
        one, two = first[rows], second[rows]
        return PairedCalls(
            n11=int(np.sum(one & two)),
            n10=int(np.sum(one & ~two)),
            n01=int(np.sum(~one & two)),
            n00=int(np.sum(~one & ~two)),
        )

    return count(positive), count(~positive)


def mcnemar(
    table: Int[np.ndarray, "2 2"], *, method: str = "exact", conf: float = 0.95
) -> McNemar:
    """Returns McNemar's test in all its forms; ``p`` is that of ``method``.

    Without discordant rows the exact and mid-p tests give 1 and the asymptotic ones NaN
    (0/0). The interval of the difference is Newcombe's for paired shares.

    Args:
        table: ``[[both right, only the first], [only the second, both wrong]]``.
        method: ``exact``, ``mid_p``, ``asymptotic`` or ``corrected``; below 25
            discordant rows use one of the first two.
        conf: Confidence level.

    Raises:
        ValueError: If the method is unknown, or there is no row.

    Reference:
        McNemar, Psychometrika 12 (1947) 153; Fagerland et al., BMC Medical Research
        Methodology 13 (2013) 91 (mid-p); Newcombe, Statistics in Medicine 17 (1998)
        2635, method 10.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {METHODS}")
    b, c, n = int(table[0, 1]), int(table[1, 0]), int(table.sum())
    if n == 0:
        raise ValueError("the table has no row")
    statistic, p_asymptotic = _chi_square(abs(b - c), discordant=b + c)
    corrected, p_corrected = _chi_square(max(abs(b - c) - 1, 0), discordant=b + c)
    law = scipy.stats.binom(b + c, 0.5)
    p_exact = min(1.0, 2 * float(law.cdf(min(b, c))))
    p_mid = 2 * float(law.cdf(min(b, c))) - float(law.pmf(min(b, c)))
    low, high = _paired_interval(np.asarray(table, float), conf=conf)
    chosen = {
        "exact": p_exact,
        "mid_p": p_mid,
        "asymptotic": p_asymptotic,
        "corrected": p_corrected,
    }
    return McNemar(
        (b - c) / n,
        low,
        high,
        chosen[method],
        f"difference of paired shares, {conf:.0%} Newcombe interval; McNemar's test, "
        f"{method.replace('_', '-')}",
        n,
        statistic=statistic,
        statistic_corrected=corrected,
        p_asymptotic=p_asymptotic,
        p_corrected=p_corrected,
        p_exact=p_exact,
        p_mid=p_mid,
        only_first=b,
        only_second=c,
    )


def mcnemar_rows(
    first_right: Bool[np.ndarray, " n"],
    *,
    second_right: Bool[np.ndarray, " n"],
    method: str = "exact",
    conf: float = 0.95,
) -> McNemar:
    """Returns `mcnemar` from two columns: whether each test is right in each row."""
    one, two = first_right, second_right
    table = [
        [np.sum(one & two), np.sum(one & ~two)],
        [np.sum(~one & two), np.sum(~one & ~two)],
    ]
    return mcnemar(np.array(table, int), method=method, conf=conf)


def mcnemar_clustered(
    first_right: Bool[np.ndarray, " n"],
    *,
    second_right: Bool[np.ndarray, " n"],
    subject: Shaped[np.ndarray, " n"],
    conf: float = 0.95,
) -> Estimate:
    """Returns the paired difference of shares where subjects have several rows.

    With d the sum over a subject's rows of ``first_right - second_right``, the
    statistic is ``(sum d)^2 / sum d^2``: McNemar's where each subject has one row. The
    interval is by the cluster-robust variance of the difference.

    Reference:
        Obuchowski, Statistics in Medicine 17 (1998) 1495.
    """
    who = np.unique(subject, return_inverse=True)[1]
    gain = first_right.astype(float) - second_right.astype(float)
    d = np.bincount(who, weights=gain)
    n, clusters, total = len(who), len(d), d.sum()
    p = 1.0
    if np.any(d != 0):
        p = float(scipy.stats.chi2.sf(total**2 / (d @ d), 1))
    difference = total / n
    residual = d - difference * np.bincount(who)
    spread = (
        clusters / (clusters - 1) * (residual @ residual) if clusters > 1 else np.nan
    )
    half = scipy.stats.norm.ppf((1 + conf) / 2) * np.sqrt(spread) / n
    words = f"difference of paired shares; McNemar's test over {clusters} subjects"
    return Estimate(difference, difference - half, difference + half, p, words, n)


def compare_sensitivity_specificity(
    diseased: PairedCalls, *, nondiseased: PairedCalls, method: str = "exact"
) -> tuple[McNemar, McNemar]:
    """Returns McNemar's tests of two tests' sensitivities and of their specificities.

    Raises:
        ValueError: If there is no diseased or no other row.
    """
    d, h = diseased, nondiseased
    sensitivity = np.array([[d.n11, d.n10], [d.n01, d.n00]])
    specificity = np.array([[h.n00, h.n01], [h.n10, h.n11]])
    return mcnemar(sensitivity, method=method), mcnemar(specificity, method=method)


def bowker(table: Int[np.ndarray, "k k"]) -> ChiSquareTest:
    """Returns Bowker's test that a table of paired classes is symmetric.

    Empty pairs of cells add nothing to the statistic and keep their degree of freedom,
    as in R; the p is NaN where all are empty.

    Reference:
        Bowker, Journal of the American Statistical Association 43 (1948) 572.
    """
    above, below = _off_diagonal(table)
    total = above + below
    filled = total > 0
    df = len(total)
    words, n = "Bowker's test of symmetry", int(table.sum())
    if not filled.any():
        return ChiSquareTest(np.nan, method=words, n=n, df=df)
    value = float(np.sum((above - below)[filled] ** 2 / total[filled]))
    p = float(scipy.stats.chi2.sf(value, df))
    return ChiSquareTest(value, p=p, method=words, n=n, df=df)


def stuart_maxwell(table: Int[np.ndarray, "k k"]) -> ChiSquareTest:
    """Returns the Stuart-Maxwell test that paired classes are equally common.

    Raises:
        ValueError: If a class is used by neither, or only in agreement.

    Reference:
        Stuart, Biometrika 42 (1955) 412; Maxwell, British Journal of Psychiatry 116
        (1970) 651.
    """
    counts = np.asarray(table, float)
    k = len(counts)
    d = (counts.sum(axis=1) - counts.sum(axis=0))[:-1]
    covariance = -(counts + counts.T)
    margins = counts.sum(axis=1) + counts.sum(axis=0) - 2 * np.diag(counts)
    np.fill_diagonal(covariance, margins)
    covariance = covariance[:-1, :-1]
    if np.linalg.matrix_rank(covariance) < k - 1:
        raise ValueError("a class has no disagreement; leave it out of the table")
    value = float(d @ np.linalg.solve(covariance, d))
    p = float(scipy.stats.chi2.sf(value, k - 1))
    words = "Stuart-Maxwell test of marginal homogeneity"
    return ChiSquareTest(value, p=p, method=words, n=int(counts.sum()), df=k - 1)


def cochran_q(right: Num[np.ndarray, "n k"]) -> ChiSquareTest:
    """Returns Cochran's Q: whether k tests of the same rows are right equally often.

    Args:
        right: 1 where the test (column) is right in the row, else 0.

    Returns:
        NaN where the tests agree in every row.

    Reference:
        Cochran, Biometrika 37 (1950) 256.
    """
    n, k = right.shape
    by_test, by_row = right.sum(axis=0).astype(float), right.sum(axis=1).astype(float)
    spread = k * by_row.sum() - by_row @ by_row
    words = "Cochran's Q test"
    if spread == 0:
        return ChiSquareTest(np.nan, method=words, n=n, df=k - 1)
    value = float((k - 1) * (k * by_test @ by_test - by_test.sum() ** 2) / spread)
    p = float(scipy.stats.chi2.sf(value, k - 1))
    return ChiSquareTest(value, p=p, method=words, n=n, df=k - 1)


def _chi_square(difference: int, *, discordant: int) -> tuple[float, float]:
    if discordant == 0:
        return np.nan, np.nan
    value = difference**2 / discordant
    return value, float(scipy.stats.chi2.sf(value, 1))


def _paired_interval(table: np.ndarray, *, conf: float) -> tuple[float, float]:
    """Newcombe's interval of a difference of paired shares (method 10)."""
    (a, b), (c, d) = table
    n = int(table.sum())
    one = proportion(int(a + b), n=n, conf=conf)
    two = proportion(int(a + c), n=n, conf=conf)
    spread = (a + b) * (c + d) * (a + c) * (b + d)
    phi = (a * d - b * c) / np.sqrt(spread) if spread > 0 else 0.0

    def length(x: float, y: float) -> float:
        # Equal lengths of equal calls (phi 1) may miss 0 by rounding.
        return float(np.sqrt(max(0.0, x**2 - 2 * phi * x * y + y**2)))

    difference = (b - c) / n
    below = length(one.estimate - one.low, two.high - two.estimate)
    above = length(one.high - one.estimate, two.estimate - two.low)
    return difference - below, difference + above


def _off_diagonal(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.triu_indices(len(table), k=1)
    counts = np.asarray(table, float)
    return counts[rows, columns], counts[columns, rows]
