"""Calibration in groups of rows: the plot's points, ECE, Hosmer-Lemeshow."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.paired import ChiSquareTest
from liverjax.stats.probabilities import checked_probability


@dataclasses.dataclass(frozen=True)
class CalibrationBins:
    """Observed against predicted in groups of rows; empty groups are left out.

    Attributes:
        observed: Share of events.
        predicted: Mean probability.
        low: Lower ends of the shares' Wilson intervals.
        high: Upper ends.
        count: Rows.
        strategy: ``uniform`` or ``quantile``.
    """

    observed: Float[np.ndarray, " g"]
    predicted: Float[np.ndarray, " g"]
    low: Float[np.ndarray, " g"]
    high: Float[np.ndarray, " g"]
    count: Int[np.ndarray, " g"]
    strategy: str


@dataclasses.dataclass(frozen=True)
class CalibrationError(Estimate):
    """Distance of observed shares from mean probabilities over equal bins.

    ``estimate`` is the mean absolute distance weighted by rows (ECE).

    Attributes:
        root_mean_square: The weighted root mean square instead.
        largest: The largest distance of a bin.
        bins: Number of equal bins on [0, 1].
    """

    root_mean_square: float = np.nan
    largest: float = np.nan
    bins: int = 0


@dataclasses.dataclass(frozen=True)
class HosmerLemeshow(ChiSquareTest):
    """The test and the groups that it compares.

    Attributes:
        observed: Events of each group.
        expected: Sum of probabilities of each.
        size: Rows of each.
    """

    observed: Float[np.ndarray, " g"] | None = None
    expected: Float[np.ndarray, " g"] | None = None
    size: Int[np.ndarray, " g"] | None = None


def calibration_bins(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    bins: int = 10,
    strategy: str = "quantile",
    conf: float = 0.95,
) -> CalibrationBins:
    """Returns observed against predicted in groups, for the calibration plot.

    Args:
        probability: Predicted.
        positive: Truth.
        bins: Number of groups.
        strategy: ``uniform`` (equal widths on [0, 1]) or ``quantile``; a probability on
            an inner edge goes to the lower group, as in scikit-learn.
        conf: Confidence level of the groups' Wilson intervals.

    Raises:
        ValueError: If the strategy is unknown, or a probability NaN or outside [0, 1].
    """
    if strategy not in ("uniform", "quantile"):
        raise ValueError(f"strategy {strategy!r}: uniform or quantile")
    p = checked_probability(probability)
    edges = np.linspace(0, 1, bins + 1)
    if strategy == "quantile":
        edges = np.quantile(p, edges)
    index = np.searchsorted(edges[1:-1], p)
    count = np.bincount(index, minlength=bins)
    events = np.bincount(index, weights=positive, minlength=bins)
    total = np.bincount(index, weights=p, minlength=bins)
    filled = count > 0
    count, share = count[filled], events[filled] / count[filled]
    z2 = scipy.stats.norm.ppf((1 + conf) / 2) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(share * (1 - share) * z2 / count + (z2 / count) ** 2 / 4)
    half = half / (1 + z2 / count)
    return CalibrationBins(
        observed=share,
        predicted=total[filled] / count,
        low=np.maximum(0.0, middle - half),
        high=np.minimum(1.0, middle + half),
        count=count,
        strategy=strategy,
    )


def expected_calibration_error(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    bins: int = 10,
) -> CalibrationError:
    """Returns ECE, its root mean square and its maximum over equal bins of p.

    This is the error of the *positive class's* probability; the error of the top label
    is another number. A bin holds its lower edge; p = 1 has a bin of its own.

    Reference:
        Naeini et al., AAAI 2015, 2901.
    """
    p = checked_probability(probability)
    edges = np.linspace(0, 1, bins + 1)
    index = np.searchsorted(edges, p, side="right") - 1
    count = np.bincount(index, minlength=bins + 1)
    filled = count > 0
    events = np.bincount(index, weights=positive, minlength=bins + 1)[filled]
    total = np.bincount(index, weights=p, minlength=bins + 1)[filled]
    gap = np.abs(events - total) / count[filled]
    share = count[filled] / len(p)
    return CalibrationError(
        float(share @ gap),
        method=f"expected calibration error, {bins} equal bins",
        n=len(p),
        root_mean_square=float(np.sqrt(share @ gap**2)),
        largest=float(gap.max()),
        bins=bins,
    )


def hosmer_lemeshow(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    groups: int = 10,
    external: bool = False,
) -> HosmerLemeshow:
    """Returns the Hosmer-Lemeshow test over quantile groups; report, don't conclude.

    Args:
        probability: Predicted.
        positive: Truth.
        groups: Quantile groups; ties merge groups, and the degrees of freedom follow.
        external: The model was not fitted on these rows: groups, not groups - 2,
            degrees of freedom.

    Raises:
        ValueError: If a probability is NaN or outside [0, 1], or fewer than 3 groups
            remain.

    Reference:
        Hosmer and Lemeshow, Communications in Statistics A 9 (1980) 1043.
    """
    p = checked_probability(probability)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, groups + 1)))
    index = np.maximum(np.searchsorted(edges, p, side="left") - 1, 0)
    # An edge between two values may leave a group empty.
    index = np.unique(index, return_inverse=True)[1]
    size = np.bincount(index)
    number = len(size)
    if number < 3:
        raise ValueError(f"{number} groups of different probability: at least 3 needed")
    observed = np.bincount(index, weights=positive)
    expected = np.bincount(index, weights=p)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(
            np.sum((observed - expected) ** 2 / expected)
            + np.sum((observed - expected) ** 2 / (size - expected))
        )
    df = number if external else number - 2
    return HosmerLemeshow(
        value,
        p=float(scipy.stats.chi2.sf(value, df)),
        method=f"Hosmer-Lemeshow test, {number} groups",
        n=len(p),
        df=df,
        observed=observed,
        expected=expected,
        size=size,
    )
