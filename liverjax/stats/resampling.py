"""Resampling at the independent unit: subjects, inside folds or sets.

A resample is a row of weights: how often each row of the table was drawn. Statistics
take all resamples at once as a matrix, so 2,000 of them cost a few matrix products.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Shaped

RESAMPLES = 2_000
PERMUTATIONS = 9_999


def subject_weights(
    rng: np.random.Generator,
    *,
    subject: Shaped[np.ndarray, " n"],
    stratum: Shaped[np.ndarray, " n"] | None = None,
    resamples: int = RESAMPLES,
) -> Int[np.ndarray, "b n"]:
    """Returns how often each row is drawn when subjects are drawn with replacement.

    All rows of a subject are drawn together. Inside each stratum as many subjects are
    drawn as it has, so that every resample has the strata's sizes.

    Args:
        rng: Source of randomness.
        subject: Who each row belongs to.
        stratum: Fold or set of each row, one for all rows of a subject; None is one
            stratum for all.
        resamples: Number of resamples ``b``.

    Raises:
        ValueError: If a subject has rows in two strata.
    """
    _, row_subject = np.unique(subject, return_inverse=True)
    code = np.zeros(len(subject), int)
    if stratum is not None:
        _, code = np.unique(stratum, return_inverse=True)
    subject_stratum = np.zeros(row_subject.max(initial=-1) + 1, int)
    subject_stratum[row_subject] = code
    if np.any(subject_stratum[row_subject] != code):
        raise ValueError("a subject has rows in two strata; resampling would split it")
    drawn = np.zeros((resamples, len(subject_stratum)), int)
    for number in np.unique(subject_stratum):
        inside = np.flatnonzero(subject_stratum == number)
        share = np.full(len(inside), 1 / len(inside))
        drawn[:, inside] = rng.multinomial(len(inside), share, size=resamples)
    return drawn[:, row_subject]


def shuffles(
    rng: np.random.Generator, values: Shaped[np.ndarray, " n"], *, number: int
) -> Shaped[np.ndarray, "n p"]:
    """Returns independent random orders of values, one a column."""
    order = np.argsort(rng.random((number, len(values))), axis=1)
    return np.ascontiguousarray(values[order].T)


def percentile_interval(
    draws: Float[np.ndarray, " b"], *, conf: float = 0.95
) -> tuple[float, float]:
    """Returns the central interval of a statistic's resamples.

    Resamples in which the statistic is undefined (a class that was not drawn) are left
    out; the interval is NaN when more than one in ten is.

    Args:
        draws: The statistic in each resample, NaN where undefined.
        conf: Confidence level.
    """
    defined = draws[np.isfinite(draws)]
    if len(defined) < max(2, 0.9 * len(draws)):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - conf) / 2, (1 + conf) / 2])
    return float(low), float(high)


def weighted_mean(
    values: Float[np.ndarray, " n"], *, weight: Int[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Returns the mean of values in each resample; every resample draws some row."""
    return weight @ values / weight.sum(axis=1)
