"""Correlations beside Kendall's: Spearman, Pearson, Somers."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.stats
from jaxtyping import Num

from liverjax.stats.estimate import Estimate

# All orders of nine ranks are 362,880; of ten, ten times as many.
_LARGEST_EXACT = 9


@dataclasses.dataclass(frozen=True)
class Correlation(Estimate):
    """A correlation coefficient.

    Attributes:
        t: Statistic of the t test.
        rank_distance: Spearman's S, ``(n^3 - n)(1 - rho) / 6``: without ties the sum of
            squared rank differences.
    """

    t: float = np.nan
    rank_distance: float = np.nan


def spearman(
    x: Num[np.ndarray, " n"],
    *,
    y: Num[np.ndarray, " n"],
    method: str = "t",
    conf: float = 0.95,
) -> Correlation:
    """Returns Spearman's rho with its two-sided p and its interval.

    Args:
        x: One variable.
        y: The other.
        method: ``t``, or ``exact``: the law of S over all orders, for at most nine rows
            without ties.
        conf: Confidence level of the interval, on Fisher's z scale with Bonett and
            Wright's variance.

    Returns:
        NaN for a constant variable.

    Raises:
        ValueError: If a value is NaN, there are fewer than three rows, or the exact law
            does not hold.

    Reference:
        Spearman, American Journal of Psychology 15 (1904) 72; Bonett and Wright,
        Psychometrika 65 (2000) 23.
    """
    if method not in ("t", "exact"):
        raise ValueError(f"method {method!r}: t or exact")
    n = _checked(x, y)
    words = f"Spearman's rho, {method} test; {conf:.0%} interval on z scale"
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, method=words, n=n)
    rank_x, rank_y = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    rho = float(np.corrcoef(rank_x, rank_y)[0, 1])
    low, high = _fisher(rho, variance=(1 + rho**2 / 2) / max(n - 3, 1e-300), conf=conf)
    t, p = _t_test(rho, n=n)
    distance = (n**3 - n) * (1 - rho) / 6
    if method == "exact":
        p = _exact_spearman(rank_x, rank_y)
    return Correlation(rho, low, high, p, words, n, t=t, rank_distance=distance)


def pearson(
    x: Num[np.ndarray, " n"], *, y: Num[np.ndarray, " n"], conf: float = 0.95
) -> Correlation:
    """Returns Pearson's r with its t test and Fisher's interval.

    Returns:
        NaN for a constant variable.

    Raises:
        ValueError: If a value is NaN or there are fewer than three rows.
    """
    n = _checked(x, y)
    words = f"Pearson's r, t test; {conf:.0%} interval on z scale"
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, method=words, n=n)
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    low, high = _fisher(r, variance=1 / max(n - 3, 1e-300), conf=conf)
    t, p = _t_test(r, n=n)
    return Correlation(r, low, high, p, words, n, t=t)


def somers_d(x: Num[np.ndarray, " n"], *, y: Num[np.ndarray, " n"]) -> Estimate:
    """Returns Somers' D of y given x: pairs tied in x are left out.

    Raises:
        ValueError: If a value is NaN or there are fewer than three rows.

    Reference:
        Somers, American Sociological Review 27 (1962) 799.
    """
    n = _checked(x, y)
    found = scipy.stats.somersd(x, y)
    words = "Somers' D of the second given the first, asymptotic test"
    return Estimate(float(found.statistic), p=float(found.pvalue), method=words, n=n)


def _checked(x: np.ndarray, y: np.ndarray) -> int:
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("a value is NaN; leave such rows out and say how many")
    if len(x) < 3:
        raise ValueError(f"{len(x)} rows: a correlation needs at least 3")
    return len(x)


def _t_test(r: float, *, n: int) -> tuple[float, float]:
    if abs(r) >= 1:
        return float(np.copysign(np.inf, r)), 0.0
    t = r * np.sqrt((n - 2) / (1 - r**2))
    return float(t), 2 * float(scipy.stats.t.sf(abs(t), n - 2))


def _fisher(r: float, *, variance: float, conf: float) -> tuple[float, float]:
    if abs(r) >= 1:
        return r, r
    half = scipy.stats.norm.ppf((1 + conf) / 2) * np.sqrt(variance)
    low, high = np.tanh(np.arctanh(r) + half * np.array([-1.0, 1.0]))
    return float(low), float(high)


def _exact_spearman(rank_x: np.ndarray, rank_y: np.ndarray) -> float:
    n = len(rank_x)
    distance = np.sum((rank_x - rank_y) ** 2)
    if n > _LARGEST_EXACT:
        raise ValueError(f"{n} rows: the exact law is for at most {_LARGEST_EXACT}")
    if len(np.unique(rank_x)) < n or len(np.unique(rank_y)) < n:
        raise ValueError("the exact law of rho holds without ties only")
    orders = np.array(list(itertools.permutations(range(n))))
    law = np.sum((orders - np.arange(n)) ** 2, axis=1)
    expected = n * (n**2 - 1) / 6
    tail = law <= distance if distance < expected else law >= distance
    return min(1.0, 2 * float(tail.mean()))
