"""Net benefit of acting on a probability, against acting on all or on none."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Num

from liverjax.stats.resampling import percentile_interval


@dataclasses.dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at each threshold probability; 1 is the value of one true positive.

    Attributes:
        threshold: Probability from which a subject is treated.
        net_benefit: TP/n - FP/n t/(1 - t); NaN where t = 1.
        low: Lower ends of its intervals; NaN where no resamples were given.
        high: Upper ends.
        treat_all: Of treating everyone.
        treat_none: Zero.
        true_positive: Share of all subjects.
        false_positive: Share of all subjects.
        avoided_per_100: Treatments avoided a hundred subjects, at no loss of true
            positives, against treating all; NaN where t = 0.
        prevalence: The share of events that was used.
        n: Rows.
    """

    threshold: Float[np.ndarray, " t"]
    net_benefit: Float[np.ndarray, " t"]
    low: Float[np.ndarray, " t"]
    high: Float[np.ndarray, " t"]
    treat_all: Float[np.ndarray, " t"]
    treat_none: Float[np.ndarray, " t"]
    true_positive: Float[np.ndarray, " t"]
    false_positive: Float[np.ndarray, " t"]
    avoided_per_100: Float[np.ndarray, " t"]
    prevalence: float
    n: int


def decision_curve(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    threshold: Num[np.ndarray, " t"],
    prevalence: float | None = None,
    weight: Num[np.ndarray, "b n"] | None = None,
    conf: float = 0.95,
) -> DecisionCurve:
    """Returns net benefit by threshold; a row is treated at ``p >= threshold``.

    A score that is no probability (FIB-4, APRI) must be made one first, by a fit on
    training rows.

    Args:
        probability: Predicted.
        positive: Truth.
        threshold: Probabilities in [0, 1], from a range stated beforehand.
        prevalence: Of the population, for case-control rows; None is that of the rows.
        weight: Resamples of the rows (`resampling.subject_weights`), for intervals.
        conf: Confidence level.

    Raises:
        ValueError: If a probability is NaN or a threshold outside [0, 1], or a class is
            absent while a prevalence is given.

    Reference:
        Vickers and Elkin, Medical Decision Making 26 (2006) 565.
    """
    t = np.asarray(threshold, float)
    if np.isnan(probability).any():
        raise ValueError("a probability is NaN; leave such rows out and say how many")
    if np.any((t < 0) | (t > 1)):
        raise ValueError("a threshold is not in [0, 1]")
    n, events = len(positive), int(positive.sum())
    if prevalence is not None and not 0 < events < n:
        raise ValueError("a prevalence was given, but one class is absent")
    share = events / n if prevalence is None else prevalence
    hits = _at_least(probability[positive], t)
    alarms = _at_least(probability[~positive], t)
    tp = share * hits / events if events else np.zeros(len(t))
    fp = (1 - share) * alarms / (n - events) if events < n else np.zeros(len(t))
    odds = np.full(len(t), np.nan)
    np.divide(t, 1 - t, out=odds, where=t < 1)
    benefit, everyone = tp - fp * odds, share - (1 - share) * odds
    avoided = np.full(len(t), np.nan)
    np.divide(100 * (benefit - everyone), odds, out=avoided, where=odds > 0)
    low, high = np.full((2, len(t)), np.nan)
    if weight is not None:
        for i, cut in enumerate(t):
            called = probability >= cut
            draws = _resampled(called, positive, weight=weight, prevalence=prevalence)
            low[i], high[i] = percentile_interval(
                draws[0] - draws[1] * odds[i], conf=conf
            )
    return DecisionCurve(
        threshold=t,
        net_benefit=benefit,
        low=low,
        high=high,
        treat_all=everyone,
        treat_none=np.zeros(len(t)),
        true_positive=tp,
        false_positive=fp,
        avoided_per_100=avoided,
        prevalence=share,
        n=n,
    )


def _at_least(values: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Number of values at or above each threshold."""
    return len(values) - np.searchsorted(np.sort(values), threshold, side="left")


def _resampled(
    called: np.ndarray,
    positive: np.ndarray,
    *,
    weight: np.ndarray,
    prevalence: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives of each resample, as shares of all subjects."""
    tp = weight[:, called & positive].sum(axis=1)
    fp = weight[:, called & ~positive].sum(axis=1)
    events, total = weight[:, positive].sum(axis=1), weight.sum(axis=1)
    if prevalence is None:
        return tp / total, fp / total
    with np.errstate(invalid="ignore", divide="ignore"):
        return prevalence * tp / events, (1 - prevalence) * fp / (total - events)
