"""The figures of a yes/no test from its four counts, each with an interval."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Bool, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.proportions import proportion


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """A yes/no test against a truth.

    Predictive values hold for the share of diseased in these rows; for another one see
    `predictive_values_at`.

    Attributes:
        sensitivity: TP / diseased.
        specificity: TN / others.
        accuracy: Right answers.
        ppv: TP / called positive.
        npv: TN / called negative.
        lr_pos: Sensitivity / (1 - specificity).
        lr_neg: (1 - sensitivity) / specificity.
        diagnostic_odds_ratio: lr_pos / lr_neg.
        youden: Sensitivity + specificity - 1; its interval adds both' ends.
        apparent_prevalence: Share that is called positive.
        true_prevalence: Share that is diseased.
        n: Rows.
    """

    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    ppv: Estimate
    npv: Estimate
    lr_pos: Estimate
    lr_neg: Estimate
    diagnostic_odds_ratio: Estimate
    youden: Estimate
    apparent_prevalence: Estimate
    true_prevalence: Estimate
    n: int


def diagnostic(
    tp: int,
    *,
    fp: int,
    fn: int,
    tn: int,
    method: str = "clopper_pearson",
    conf: float = 0.95,
) -> Diagnostic:
    """Returns the figures of a 2 x 2 table; 0/0 is NaN.

    Likelihood and odds ratios have log-Wald intervals, NaN where the ratio is 0,
    infinite or undefined.

    Args:
        tp: Diseased, called positive.
        fp: Others, called positive.
        fn: Diseased, called negative.
        tn: Others, called negative.
        method: Of the proportions' intervals (`proportions.proportion`).
        conf: Confidence level.

    Raises:
        ValueError: If a count is negative or the method is unknown.

    Reference:
        Simel et al., Journal of Clinical Epidemiology 44 (1991) 763 (ratios).
    """
    if min(tp, fp, fn, tn) < 0:
        raise ValueError(f"counts {tp}, {fp}, {fn}, {tn}: one is negative")
    diseased, healthy, n = tp + fn, fp + tn, tp + fp + fn + tn

    def share(count: int, total: int) -> Estimate:
        return proportion(count, n=total, method=method, conf=conf)

    def ratio(top: float, bottom: float, variance: float, words: str) -> Estimate:
        value = top / bottom if bottom else (np.inf if top else np.nan)
        low = high = np.nan
        if 0 < value < np.inf:
            half = scipy.stats.norm.ppf((1 + conf) / 2) * np.sqrt(variance)
            low, high = np.exp(np.log(value) + half * np.array([-1.0, 1.0]))
        words = f"{words}, {conf:.0%} log-Wald interval"
        return Estimate(value, float(low), float(high), method=words, n=n)

    def inverse(count: int) -> float:
        return 1 / count if count else np.inf

    sensitivity, specificity = share(tp, diseased), share(tn, healthy)
    se, sp = sensitivity.estimate, specificity.estimate
    with np.errstate(invalid="ignore"):
        of_positive = inverse(tp) - inverse(diseased) + inverse(fp) - inverse(healthy)
        of_negative = inverse(fn) - inverse(diseased) + inverse(tn) - inverse(healthy)
        of_odds = inverse(tp) + inverse(fp) + inverse(fn) + inverse(tn)
    return Diagnostic(
        sensitivity=sensitivity,
        specificity=specificity,
        accuracy=share(tp + tn, n),
        ppv=share(tp, tp + fp),
        npv=share(tn, fn + tn),
        lr_pos=ratio(se, fp / healthy if healthy else np.nan, of_positive, "ratio"),
        lr_neg=ratio(fn / diseased if diseased else np.nan, sp, of_negative, "ratio"),
        diagnostic_odds_ratio=ratio(
            float(tp * tn), float(fp * fn), of_odds, "odds ratio"
        ),
        youden=Estimate(
            se + sp - 1,
            sensitivity.low + specificity.low - 1,
            sensitivity.high + specificity.high - 1,
            method="Youden index, ends of both intervals",
            n=n,
        ),
        apparent_prevalence=share(tp + fp, n),
        true_prevalence=share(diseased, n),
        n=n,
    )


def at_cutoff(
    score: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    threshold: float,
    method: str = "clopper_pearson",
    conf: float = 0.95,
) -> Diagnostic:
    """Returns the figures of ``score >= threshold``, a cut-off chosen on other rows.

    Raises:
        ValueError: If a score is NaN.
    """
    if np.isnan(score).any():
        raise ValueError("a score is NaN; leave such rows out and say how many")
    called = score >= threshold
    return diagnostic(
        int(np.sum(called & positive)),
        fp=int(np.sum(called & ~positive)),
        fn=int(np.sum(~called & positive)),
        tn=int(np.sum(~called & ~positive)),
        method=method,
        conf=conf,
    )


def predictive_values_at(
    prevalence: float, *, sensitivity: float, specificity: float
) -> tuple[float, float]:
    """Returns the positive and negative predictive value at another prevalence."""
    hit, alarm = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    clear, miss = (1 - prevalence) * specificity, prevalence * (1 - sensitivity)
    positive = hit / (hit + alarm) if hit + alarm else np.nan
    negative = clear / (clear + miss) if clear + miss else np.nan
    return positive, negative
