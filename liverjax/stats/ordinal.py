"""The AUC of an ordinal truth: Obuchowski's index, a mean over pairs of stages.

Unlike the AUC of a cut (F0-1 against F2-4) it doesn't depend on how the stages of a
cohort are spread, once its weights are fixed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.roc import logit_interval
from liverjax.stats.roc_tests import z_test


def _none() -> np.ndarray:
    return np.zeros(0)


@dataclasses.dataclass(frozen=True)
class ObuchowskiIndex(Estimate):
    """A weighted mean of the areas between pairs of stages.

    Attributes:
        se: Its standard error.
        pairwise: Area of the later stage against the earlier, by pair in the order
            (0, 1), (0, 2), ..., (1, 2), ...
        influence: What each row adds to the index's error; variances and covariances
            of indices of the same rows are sums of their products.
    """

    se: float = np.nan
    pairwise: Float[np.ndarray, " p"] = dataclasses.field(default_factory=_none)
    influence: Float[np.ndarray, " n"] = dataclasses.field(default_factory=_none)


@dataclasses.dataclass(frozen=True)
class ObuchowskiDifference(Estimate):
    """One index minus another of the same rows.

    Attributes:
        z: Difference over its standard error.
        covariance: Of the two indices.
    """

    z: float = np.nan
    covariance: float = np.nan


def linear_penalty(num_stages: int) -> Float[np.ndarray, "k k"]:
    """Returns the penalty for confusing stages i < j: ``(j - i) / (k - 1)``."""
    stage = np.arange(num_stages)
    distance = np.maximum(0, stage[None, :] - stage[:, None])
    return distance / max(1, num_stages - 1)


def obuchowski_index(
    score: Num[np.ndarray, " n"],
    *,
    stage: Int[np.ndarray, " n"],
    penalty: Num[np.ndarray, "k k"],
    stage_shares: Num[np.ndarray, " k"] | None = None,
    conf: float = 0.95,
) -> ObuchowskiIndex:
    """Returns ``1 - sum w_ij L_ij (1 - A_ij)`` over pairs of stages i < j.

    The index is that of the score as given: below 0.5 the score runs the wrong way.

    Args:
        score: Higher means a later stage.
        stage: Truth, 0 to k - 1. Stages that don't occur have no weight.
        penalty: L, of confusing i with j; its entries above the diagonal count.
        stage_shares: Shares of the stages that make the weights ``w_ij``, proportional
            to ``p_i p_j``; None takes those of the rows. Give a population's to compare
            cohorts.
        conf: Confidence level of the Wald interval, which is on the logit scale.

    Raises:
        ValueError: If a score is NaN, a stage is out of range or fewer than two stages
            occur.

    Reference:
        Obuchowski, Academic Radiology 13 (2006) 1078; Lambert et al., Statistics in
        Medicine 27 (2008) 2140 (fibrosis).
    """
    k = len(penalty)
    if np.isnan(score).any():
        raise ValueError("a score is NaN; leave such rows out and say how many")
    if len(stage) and not 0 <= stage.min() <= stage.max() < k:
        raise ValueError(f"a stage is not in 0..{k - 1}")
    size = np.bincount(stage, minlength=k)
    if np.sum(size > 0) < 2:
        raise ValueError("fewer than two stages occur")
    share = size / size.sum() if stage_shares is None else np.asarray(stage_shares)
    share = np.where(size > 0, share, 0.0)
    weight = np.triu(np.outer(share, share), k=1)
    loss = weight / weight.sum() * penalty
    pairwise, influence, index = [], np.zeros(len(score)), 1.0
    for i in range(k):
        for j in range(i + 1, k):
            area = np.nan
            if size[i] and size[j]:
                lower, upper = stage == i, stage == j
                kept, won = _placements(score[lower], score[upper])
                area = float(won.mean())
                index -= loss[i, j] * (1 - area)
                influence[lower] += loss[i, j] * (kept - area) / size[i]
                influence[upper] += loss[i, j] * (won - area) / size[j]
            pairwise.append(area)
    se = np.sqrt(_product(influence, influence, stage=stage, size=size))
    low, high = logit_interval(float(index), se=float(se), conf=conf)
    return ObuchowskiIndex(
        float(index),
        low,
        high,
        method=(
            f"Obuchowski index, {np.sum(size > 0)} stages; {conf:.0%} Wald interval on "
            "the logit scale"
        ),
        n=len(score),
        se=float(se),
        pairwise=np.array(pairwise),
        influence=influence,
    )


def compare_obuchowski(
    first: ObuchowskiIndex,
    *,
    second: ObuchowskiIndex,
    stage: Int[np.ndarray, " n"],
    conf: float = 0.95,
) -> ObuchowskiDifference:
    """Returns the difference of two scores' indices over the same rows.

    Identical scores give z 0 and p 1. A difference without variance (both order every
    pair of stages alike, each in its own way) has no p.
    """
    size = np.bincount(stage)
    covariance = _product(first.influence, second.influence, stage=stage, size=size)
    variance = first.se**2 + second.se**2 - 2 * covariance
    difference = first.estimate - second.estimate
    se = float(np.sqrt(max(0.0, variance)))
    z, p = z_test(difference, variance=variance)
    half = float(scipy.stats.norm.ppf((1 + conf) / 2)) * se
    return ObuchowskiDifference(
        difference,
        difference - half,
        difference + half,
        p,
        "difference of Obuchowski indices of the same rows",
        first.n,
        z=z,
        covariance=float(covariance),
    )


def ordinal_scores(
    probability: Num[np.ndarray, "n k"],
) -> Float[np.ndarray, " n"]:
    """Returns the expected stage of each row, one score for an ordinal truth."""
    total = probability.sum(axis=1)
    return probability @ np.arange(probability.shape[1]) / total


def ranked_probability_score(
    probability: Num[np.ndarray, "n k"], *, stage: Int[np.ndarray, " n"]
) -> Estimate:
    """Returns the mean squared distance of cumulative probabilities, over k - 1.

    Reference:
        Epstein, Journal of Applied Meteorology 8 (1969) 985.
    """
    k = probability.shape[1]
    truth: Bool[np.ndarray, "n k"] = stage[:, None] <= np.arange(k)
    distance = np.cumsum(probability, axis=1) - truth
    per_row = np.sum(distance[:, :-1] ** 2, axis=1) / (k - 1)
    words = "ranked probability score"
    return Estimate(float(per_row.mean()), method=words, n=len(stage))


def _placements(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the share of the other stage that it is rightly ordered against."""
    ranks = scipy.stats.rankdata(np.concatenate([lower, upper]))
    m, k = len(lower), len(upper)
    won = (ranks[m:] - scipy.stats.rankdata(upper)) / m
    kept = 1 - (ranks[:m] - scipy.stats.rankdata(lower)) / k
    return kept, won


def _product(
    one: np.ndarray, two: np.ndarray, *, stage: np.ndarray, size: np.ndarray
) -> float:
    """Sum of products, each stage's with its n - 1 instead of n."""
    correction = np.ones(len(size))
    np.divide(size, size - 1, out=correction, where=size > 1)
    return float(np.sum(one * two * correction[stage]))
