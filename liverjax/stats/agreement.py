"""Agreement of two or more raters on classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Int, Num

from liverjax.stats.classification import kappa
from liverjax.stats.estimate import Estimate
from liverjax.stats.paired import ChiSquareTest

WEIGHTS = ("none", "linear", "quadratic")


@dataclasses.dataclass(frozen=True)
class Kappa(Estimate):
    """Agreement beyond chance.

    Attributes:
        se: Asymptotic standard error.
        z: Kappa over its standard error under chance agreement, which ``p`` tests.
        observed: Observed (weighted) agreement.
        weights: ``none``, ``linear`` or ``quadratic``.
    """

    se: float = np.nan
    z: float = np.nan
    observed: float = np.nan
    weights: str = "none"


def cohen_kappa(
    confusion: Int[np.ndarray, "k k"], *, weights: str = "none", conf: float = 0.95
) -> Kappa:
    """Returns Cohen's kappa of two raters with its interval and test.

    Args:
        confusion: Counts over *all* levels, whether they occur or not.
        weights: ``none``, ``linear`` or ``quadratic`` in the class index.
        conf: Confidence level.

    Returns:
        NaN when both raters use one and the same level.

    Raises:
        ValueError: If the weights are unknown.

    Reference:
        Cohen, Psychological Bulletin 70 (1968) 213; Fleiss, Cohen and Everitt,
        Psychological Bulletin 72 (1969) 323 (standard errors).
    """
    value = float(kappa(confusion, weights=weights))
    n, k = int(confusion.sum()), len(confusion)
    words = f"Cohen's kappa, weights: {weights}"
    if np.isnan(value):
        return Kappa(value, method=f"{words}; undefined", n=n, weights=weights)
    share = confusion / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    agreement = {
        "none": (distance == 0).astype(float),
        "linear": 1 - distance / max(1, k - 1),
        "quadratic": 1 - (distance / max(1, k - 1)) ** 2,
    }[weights]
    observed, chance = np.sum(agreement * share), rows @ agreement @ columns
    level = np.add.outer(agreement @ columns, rows @ agreement)
    spread = np.sum(share * (agreement - level * (1 - value)) ** 2)
    spread -= (value - chance * (1 - value)) ** 2
    spread_0 = np.sum(np.outer(rows, columns) * (agreement - level) ** 2) - chance**2
    se = float(np.sqrt(max(0.0, spread) / n) / (1 - chance))
    se_0 = float(np.sqrt(max(0.0, spread_0) / n) / (1 - chance))
    z = value / se_0 if se_0 > 0 else np.nan
    half = float(scipy.stats.norm.ppf((1 + conf) / 2)) * se
    return Kappa(
        value,
        value - half,
        value + half,
        2 * float(scipy.stats.norm.sf(abs(z))),
        f"{words}; {conf:.0%} Wald interval, asymptotic test",
        n,
        se=se,
        z=z,
        observed=float(observed),
        weights=weights,
    )


def fleiss_kappa(ratings: Int[np.ndarray, "n r"]) -> Kappa:
    """Returns Fleiss' kappa of several raters, with the test of chance agreement.

    Args:
        ratings: The class that each rater (column) gave each row.

    Returns:
        NaN when all ratings are one class.

    Raises:
        ValueError: If there are fewer than two raters.

    Reference:
        Fleiss, Psychological Bulletin 76 (1971) 378; Fleiss et al., Psychological
        Bulletin 86 (1979) 974 (variance).
    """
    n, raters = ratings.shape
    if raters < 2:
        raise ValueError(f"{raters} rater: agreement needs two")
    levels = np.unique(ratings)
    counts = np.stack([(ratings == level).sum(axis=1) for level in levels], axis=1)
    share = counts.mean(axis=0) / raters
    observed = np.mean((np.sum(counts**2, axis=1) - raters) / (raters * (raters - 1)))
    chance = share @ share
    words = f"Fleiss' kappa of {raters} raters"
    if chance == 1:
        return Kappa(np.nan, method=f"{words}; undefined", n=n)
    value = (observed - chance) / (1 - chance)
    spread = share @ (1 - share)
    variance = spread**2 - np.sum(share * (1 - share) * (1 - 2 * share))
    variance *= 2 / (spread**2 * n * raters * (raters - 1))
    z = value / np.sqrt(variance)
    return Kappa(
        float(value),
        p=2 * float(scipy.stats.norm.sf(abs(z))),
        method=f"{words}; asymptotic test",
        n=n,
        z=float(z),
        se=float(np.sqrt(variance)),
        observed=float(observed),
    )


def kendall_w(ratings: Num[np.ndarray, "n r"]) -> ChiSquareTest:
    """Returns Kendall's coefficient of concordance with its test, corrected for ties.

    Args:
        ratings: The value that each rater (column) gave each row.

    Returns:
        ``estimate`` is W, ``p`` that of ``r (n - 1) W`` as chi-square(n - 1).

    Raises:
        ValueError: If a value is NaN or there are fewer than two rows.

    Reference:
        Kendall and Babington Smith, Annals of Mathematical Statistics 10 (1939) 275.
    """
    n, raters = ratings.shape
    if np.isnan(ratings).any() or n < 2:
        raise ValueError("a rating is NaN, or there are fewer than two rows")
    ranks = scipy.stats.rankdata(ratings, axis=0)
    total = ranks.sum(axis=1)
    ties = 0.0
    for column in ratings.T:
        t = np.unique(column, return_counts=True)[1].astype(float)
        ties += np.sum(t**3 - t)
    spread = raters**2 * (n**3 - n) - raters * ties
    words = f"Kendall's W of {raters} raters, corrected for ties"
    if spread == 0:
        return ChiSquareTest(np.nan, method=words, n=n, df=n - 1)
    w = float(12 * np.sum((total - total.mean()) ** 2) / spread)
    p = float(scipy.stats.chi2.sf(raters * (n - 1) * w, n - 1))
    return ChiSquareTest(w, p=p, method=words, n=n, df=n - 1)
