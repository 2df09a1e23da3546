"""P values corrected for being several."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num

METHODS = ("bonferroni", "holm", "hochberg", "hommel", "bh", "by")


def adjust(
    p: Num[np.ndarray, " n"], *, method: str = "holm"
) -> Float[np.ndarray, " n"]:
    """Returns p values corrected for their number; NaN stays NaN and is not counted.

    Args:
        p: In [0, 1].
        method: Family-wise error: ``bonferroni``, ``holm`` (never worse), ``hochberg``
            and ``hommel`` (for independent or positively dependent tests). False
            discovery rate: ``bh`` and ``by`` (under any dependence).

    Raises:
        ValueError: If the method is unknown or a p is outside [0, 1].

    Reference:
        Holm, Scandinavian Journal of Statistics 6 (1979) 65; Hochberg, Biometrika 75
        (1988) 800; Hommel, Biometrika 75 (1988) 383; Benjamini and Hochberg, JRSS B 57
        (1995) 289; Benjamini and Yekutieli, Annals of Statistics 29 (2001) 1165.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {METHODS}")
    known = ~np.isnan(p)
    values = np.asarray(p, float)[known]
    if np.any((values < 0) | (values > 1)):
        raise ValueError("a p value is not in [0, 1]")
    out = np.full(len(p), np.nan)
    if len(values):
        order = np.argsort(values, kind="stable")
        adjusted = np.empty(len(values))
        adjusted[order] = np.minimum(1.0, _sorted(values[order], method=method))
        out[known] = adjusted
    return out


def _sorted(p: np.ndarray, *, method: str) -> np.ndarray:
    m = len(p)
    rank = np.arange(1, m + 1)
    if method == "bonferroni":
        return p * m
    if method == "holm":
        return np.maximum.accumulate(p * (m - rank + 1))
    if method == "hommel":
        return _hommel(p)
    factor = {
        "hochberg": m - rank + 1.0,
        "bh": m / rank,
        "by": m / rank * np.sum(1 / rank),
    }[method]
    return np.minimum.accumulate((p * factor)[::-1])[::-1]


def _hommel(p: np.ndarray) -> np.ndarray:
    """Wright's algorithm for Hommel's procedure, on increasing p values."""
    m = len(p)
    rank = np.arange(1, m + 1)
    smallest = np.min(m * p / rank)
    bound, adjusted = np.full(m, smallest), np.full(m, smallest)
    for size in range(m - 1, 1, -1):
        lower, upper = np.arange(m - size + 1), np.arange(m - size + 1, m)
        least = np.min(size * p[upper] / np.arange(2, size + 1))
        bound[lower] = np.minimum(size * p[lower], least)
        bound[upper] = bound[m - size]
        adjusted = np.maximum(adjusted, bound)
    return np.maximum(adjusted, p)
