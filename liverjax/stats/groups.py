"""Tests between groups, and what a cohort table says of its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.exact_tables import exact_table_p
from liverjax.stats.paired import ChiSquareTest

QUANTILES = {"linear": "linear", "spss": "weibull"}


@dataclasses.dataclass(frozen=True)
class MannWhitney(Estimate):
    """The Mann-Whitney test; ``estimate`` is P(x > y) + P(x = y)/2, an AUC.

    Attributes:
        u: Pairs with x > y, plus half those that are equal.
    """

    u: float = np.nan


@dataclasses.dataclass(frozen=True)
class TTest(Estimate):
    """A t test; ``estimate`` is the difference of means, first minus second.

    Attributes:
        t: Statistic.
        df: Degrees of freedom.
    """

    t: float = np.nan
    df: float = np.nan


@dataclasses.dataclass(frozen=True)
class ContingencyTest(ChiSquareTest):
    """Pearson's test of a table; ``p`` is that of Fisher's where it was asked for.

    Attributes:
        expected: Counts under independence.
        p_chi_square: Pearson's, uncorrected.
        statistic_yates: With Yates' correction; NaN but for 2 x 2 tables.
        p_yates: Its p.
        p_fisher: Exact, two-sided; NaN where it was not computed.
        small_expected: An expected count is below 5.
    """

    expected: Float[np.ndarray, "r c"] | None = None
    p_chi_square: float = np.nan
    statistic_yates: float = np.nan
    p_yates: float = np.nan
    p_fisher: float = np.nan
    small_expected: bool = False


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a table says of a numeric column.

    Attributes:
        n: Rows that are there.
        missing: Rows that are not.
        median: 50th percentile.
        q1: 25th.
        q3: 75th.
        mean: Mean.
        sd: Standard deviation with divisor n - 1.
        low: Smallest.
        high: Largest.
    """

    n: int
    missing: int
    median: float
    q1: float
    q3: float
    mean: float
    sd: float
    low: float
    high: float


def summary(values: Num[np.ndarray, " n"], *, quantiles: str = "linear") -> Summary:
    """Returns median, quartiles, mean and sd of a column; NaN is missing.

    Args:
        values: The column.
        quantiles: ``linear`` (R type 7, numpy) or ``spss`` (type 6), which differ in
            the last digit.

    Raises:
        ValueError: If the kind of quantile is unknown.
    """
    if quantiles not in QUANTILES:
        raise ValueError(f"quantiles {quantiles!r}: expected one of {list(QUANTILES)}")
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    n, missing = len(known), len(values) - len(known)
    if n == 0:
        return Summary(0, missing, *(7 * [np.nan]))
    q1, median, q3 = np.quantile(known, [0.25, 0.5, 0.75], method=QUANTILES[quantiles])
    sd = known.std(ddof=1) if n > 1 else np.nan
    numbers = (median, q1, q3, known.mean(), sd, known.min(), known.max())
    return Summary(n, missing, *(float(number) for number in numbers))


def mann_whitney(
    x: Num[np.ndarray, " n"],
    *,
    y: Num[np.ndarray, " m"],
    method: str = "asymptotic",
    continuity: bool = False,
    alternative: str = "two-sided",
) -> MannWhitney:
    """Returns the Mann-Whitney test; NaN p where all values are equal.

    Args:
        x: One group.
        y: The other.
        method: ``asymptotic`` with the variance for ties (what SPSS prints), or
            ``exact`` (no ties).
        continuity: Correct the asymptotic test by a half, as R does.
        alternative: ``two-sided``, ``greater`` (x tends to be) or ``less``.

    Raises:
        ValueError: If a value is NaN, a group is empty, or the exact law is asked for
            with ties.

    Reference:
        Mann and Whitney, Annals of Mathematical Statistics 18 (1947) 50.
    """
    _check(x, y)
    both = np.concatenate([x, y])
    if method == "exact" and len(np.unique(both)) < len(both):
        raise ValueError("the exact law of U holds without ties only")
    n = len(both)
    words = f"Mann-Whitney test, {method}, {alternative}"
    if np.ptp(both) == 0:
        return MannWhitney(0.5, method=words, n=n, u=len(x) * len(y) / 2)
    found = scipy.stats.mannwhitneyu(
        x, y, alternative=alternative, method=method, use_continuity=continuity
    )
    u = float(found.statistic)
    share = u / (len(x) * len(y))
    return MannWhitney(share, p=float(found.pvalue), method=words, n=n, u=u)


def kruskal_wallis(groups: Sequence[Num[np.ndarray, " _"]]) -> ChiSquareTest:
    """Returns the Kruskal-Wallis test; NaN where all values are equal.

    Raises:
        ValueError: If a value is NaN, a group is empty or there is one group.
    """
    _check(*groups)
    if len(groups) < 2:
        raise ValueError("one group: a comparison needs two")
    n, df, words = sum(map(len, groups)), len(groups) - 1, "Kruskal-Wallis test"
    if np.ptp(np.concatenate(groups)) == 0:
        return ChiSquareTest(np.nan, method=words, n=n, df=df)
    found = scipy.stats.kruskal(*groups)
    value, p = float(found.statistic), float(found.pvalue)
    return ChiSquareTest(value, p=p, method=words, n=n, df=df)


def wilcoxon_signed_rank(
    x: Num[np.ndarray, " n"],
    *,
    y: Num[np.ndarray, " n"],
    method: str = "asymptotic",
    continuity: bool = False,
    alternative: str = "two-sided",
) -> Estimate:
    """Returns Wilcoxon's test of paired differences; ``estimate`` is V.

    Zero differences are dropped. Differences are rounded to 12 digits first, so that
    rounding noise does not break ties.

    Raises:
        ValueError: If a value is NaN, or every difference is 0.
    """
    _check(x, y)
    d = np.asarray(x, float) - np.asarray(y, float)
    size = np.abs(d).max()
    if size == 0:
        raise ValueError("every difference is 0: there is nothing to rank")
    d = np.round(d / size, 12)
    d = d[d != 0]
    if method == "exact" and len(np.unique(np.abs(d))) < len(d):
        raise ValueError("the exact law of V holds without ties only")
    v = float(scipy.stats.rankdata(np.abs(d)) @ (d > 0))
    found = scipy.stats.wilcoxon(
        d, alternative=alternative, method=method, correction=continuity
    )
    words = f"Wilcoxon signed-rank test, {method}, {alternative}"
    return Estimate(v, p=float(found.pvalue), method=words, n=len(x))


def t_test(
    x: Num[np.ndarray, " n"],
    *,
    y: Num[np.ndarray, " m"],
    equal_variances: bool = False,
    conf: float = 0.95,
) -> TTest:
    """Returns Welch's t test, or Student's for equal variances.

    Raises:
        ValueError: If a value is NaN or a group has fewer than two rows.
    """
    _check(x, y)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"groups of {len(x)} and {len(y)}: each needs two rows")
    found = scipy.stats.ttest_ind(x, y, equal_var=equal_variances)
    ends = found.confidence_interval(conf)
    name = "Student's" if equal_variances else "Welch's"
    return TTest(
        float(np.mean(x) - np.mean(y)),
        float(ends.low),
        float(ends.high),
        float(found.pvalue),
        f"difference of means, {name} t test",
        len(x) + len(y),
        t=float(found.statistic),
        df=float(found.df),
    )


def friedman(values: Num[np.ndarray, "n k"]) -> ChiSquareTest:
    """Returns Friedman's test of k paired measurements, a row a subject.

    Returns:
        NaN where every row is constant.
    """
    n, k = values.shape
    ranks = scipy.stats.rankdata(values, axis=1)
    spread = np.sum((ranks - (k + 1) / 2) ** 2)
    words = "Friedman's test"
    if spread == 0:
        return ChiSquareTest(np.nan, method=words, n=n, df=k - 1)
    gap = ranks.sum(axis=0) - n * (k + 1) / 2
    value = float((k - 1) * (gap @ gap) / spread)
    p = float(scipy.stats.chi2.sf(value, k - 1))
    return ChiSquareTest(value, p=p, method=words, n=n, df=k - 1)


def contingency(
    table: Int[np.ndarray, "r c"], *, fisher: str = "small"
) -> ContingencyTest:
    """Returns the chi-square test of a table of counts, and Fisher's where needed.

    Args:
        table: Counts.
        fisher: ``small``: where an expected count is below 5, ``always`` or ``never``.
            Beyond 2 x 2 the exact law is summed over all tables of the same margins
            (`exact_table_p`).

    Raises:
        ValueError: If a row or a column is empty, or the word is unknown.

    Reference:
        Fisher, Statistical Methods for Research Workers, 5th ed. 1934; Freeman and
        Halton, Biometrika 38 (1951) 141 (beyond 2 x 2).
    """
    if fisher not in ("small", "always", "never"):
        raise ValueError(f"fisher {fisher!r}: small, always or never")
    if np.any(table.sum(axis=0) == 0) or np.any(table.sum(axis=1) == 0):
        raise ValueError("a row or a column of the table is empty; leave it out")
    found = scipy.stats.chi2_contingency(table, correction=False)
    yates = (np.nan, np.nan)
    if table.shape == (2, 2):
        corrected = scipy.stats.chi2_contingency(table, correction=True)
        yates = float(corrected.statistic), float(corrected.pvalue)
    small = bool(found.expected_freq.min() < 5)
    exact = fisher == "always" or (fisher == "small" and small)
    p_fisher = exact_table_p(table) if exact else np.nan
    words = "Fisher's exact test" if exact else "chi-square test"
    return ContingencyTest(
        float(found.statistic),
        p=p_fisher if exact else float(found.pvalue),
        method=words,
        n=int(table.sum()),
        df=int(found.dof),
        expected=found.expected_freq,
        p_chi_square=float(found.pvalue),
        statistic_yates=yates[0],
        p_yates=yates[1],
        p_fisher=p_fisher,
        small_expected=small,
    )


def standardised_difference(
    x: Num[np.ndarray, " n"], *, y: Num[np.ndarray, " m"]
) -> float:
    """Returns the difference of means over the root of the mean variance.

    For a yes/no column give 0 and 1: the variance is then that of a share. NaN is
    missing and left out; above 0.1 two sets are commonly called unbalanced.

    Reference:
        Austin, Statistics in Medicine 28 (2009) 3083.
    """
    one, two = np.asarray(x, float), np.asarray(y, float)
    one, two = one[~np.isnan(one)], two[~np.isnan(two)]
    if not (len(one) and len(two)):
        return np.nan
    shares = np.isin(np.concatenate([one, two]), (0, 1)).all()
    ddof = 0 if shares or min(len(one), len(two)) < 2 else 1
    spread = (one.var(ddof=ddof) + two.var(ddof=ddof)) / 2
    gap = one.mean() - two.mean()
    if spread == 0:
        return 0.0 if gap == 0 else float(np.copysign(np.inf, gap))
    return float(gap / np.sqrt(spread))


def trend_test(
    events: Int[np.ndarray, " g"],
    *,
    totals: Int[np.ndarray, " g"],
    scores: Num[np.ndarray, " g"] | None = None,
) -> ChiSquareTest:
    """Returns the Cochran-Armitage test of a trend in shares over ordered groups.

    Args:
        events: Of each group.
        totals: Rows of each.
        scores: Of each; None is 0, 1, 2, ...

    Returns:
        NaN where all rows or none are events.

    Reference:
        Armitage, Biometrics 11 (1955) 375.
    """
    score = np.arange(len(events)) if scores is None else np.asarray(scores, float)
    n = int(totals.sum())
    share = events.sum() / n
    centred = score - score @ totals / n
    variance = share * (1 - share) * (totals @ centred**2)
    words = "Cochran-Armitage test of trend"
    if variance == 0:
        return ChiSquareTest(np.nan, method=words, n=n, df=1)
    value = float((events @ centred) ** 2 / variance)
    p = float(scipy.stats.chi2.sf(value, 1))
    return ChiSquareTest(value, p=p, method=words, n=n, df=1)


def _check(*groups: np.ndarray) -> None:
    if any(np.isnan(np.asarray(group, float)).any() for group in groups):
        raise ValueError("a value is NaN; leave such rows out and say how many")
    if any(len(group) == 0 for group in groups):
        raise ValueError("a group is empty")
