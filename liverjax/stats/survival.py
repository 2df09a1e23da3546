"""Times to an event: Kaplan-Meier, log-rank, Harrell's C.

`event` is true where the event was seen and false where the subject was last seen
without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int, Num, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.paired import ChiSquareTest

# Pairs that are compared at once.
_BLOCK = 1_000_000


@dataclasses.dataclass(frozen=True)
class KaplanMeier:
    """A survival curve; arrays have a value at each event time.

    Attributes:
        time: Distinct event times, increasing.
        survival: Just after each.
        se: Greenwood's standard error; NaN where survival is 0.
        low: Lower ends on the log(-log) scale.
        high: Upper ends.
        low_plain: Lower ends of ``survival -+ z se``, cut at 0 and 1.
        high_plain: Upper ends.
        at_risk: Subjects just before each time.
        events: At each time.
        median: First time at which survival is at most one half; infinite if never.
        observed: All times, for `at_risk_at`.
        n: Subjects.
    """

    time: Float[np.ndarray, " t"]
    survival: Float[np.ndarray, " t"]
    se: Float[np.ndarray, " t"]
    low: Float[np.ndarray, " t"]
    high: Float[np.ndarray, " t"]
    low_plain: Float[np.ndarray, " t"]
    high_plain: Float[np.ndarray, " t"]
    at_risk: Int[np.ndarray, " t"]
    events: Int[np.ndarray, " t"]
    median: float
    observed: Float[np.ndarray, " n"]
    n: int

    def index_at(self, times: Num[np.ndarray, " q"]) -> Int[np.ndarray, " q"]:
        """Returns the index of the last event at or before each time; -1 before all."""
        return np.searchsorted(self.time, times, side="right") - 1

    def survival_at(self, times: Num[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
        """Returns survival at each time."""
        return np.append(self.survival, 1.0)[self.index_at(times)]

    def at_risk_at(self, times: Num[np.ndarray, " q"]) -> Int[np.ndarray, " q"]:
        """Returns how many subjects are at risk just before each time."""
        later = np.searchsorted(np.sort(self.observed), times, side="left")
        return self.n - later


@dataclasses.dataclass(frozen=True)
class LogRank(ChiSquareTest):
    """The log-rank test; ``estimate`` is its chi-square.

    Attributes:
        groups: Names, sorted.
        observed: Events of each group.
        expected: Expected events of each.
    """

    groups: tuple[object, ...] = ()
    observed: Float[np.ndarray, " g"] | None = None
    expected: Float[np.ndarray, " g"] | None = None


@dataclasses.dataclass(frozen=True)
class HarrellC(Estimate):
    """Share of usable pairs in which the subject with the earlier event has more risk.

    Attributes:
        concordant: Pairs in that order.
        discordant: Pairs in the other.
        tied_risk: Usable pairs of equal risk, counted one half.
        tied_time: Pairs of events at the same time, unequal risk: not usable.
        tied_both: Pairs of events at the same time and risk.
    """

    concordant: int = 0
    discordant: int = 0
    tied_risk: int = 0
    tied_time: int = 0
    tied_both: int = 0


def kaplan_meier(
    time: Num[np.ndarray, " n"],
    *,
    event: Bool[np.ndarray, " n"],
    conf: float = 0.95,
) -> KaplanMeier:
    """Returns the Kaplan-Meier curve with Greenwood's standard errors.

    Raises:
        ValueError: If a time is NaN or negative, or there is no subject.

    Reference:
        Kaplan and Meier, Journal of the American Statistical Association 53 (1958) 457.
    """
    t = checked_times(time)
    levels = np.unique(t[event])
    events = np.bincount(np.searchsorted(levels, t[event]), minlength=len(levels))
    at_risk = len(t) - np.searchsorted(np.sort(t), levels, side="left")
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(
            np.cumsum(events / (at_risk * (at_risk - events.astype(float))))
        )
        se = np.where(survival > 0, survival * spread, np.nan)
        z = scipy.stats.norm.ppf((1 + conf) / 2)
        factor = np.exp(z * spread / np.abs(np.log(survival)))
        low, high = survival**factor, survival ** (1 / factor)
    low, high = (np.where(survival > 0, ends, np.nan) for ends in (low, high))
    below = np.flatnonzero(survival <= 0.5 + 1e-12)
    return KaplanMeier(
        time=levels,
        survival=survival,
        se=se,
        low=low,
        high=high,
        low_plain=np.clip(survival - z * se, 0, 1),
        high_plain=np.clip(survival + z * se, 0, 1),
        at_risk=at_risk,
        events=events,
        median=float(levels[below[0]]) if len(below) else np.inf,
        observed=t,
        n=len(t),
    )


def log_rank(
    time: Num[np.ndarray, " n"],
    *,
    event: Bool[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
) -> LogRank:
    """Returns the log-rank test of equal survival in two or more groups.

    Returns:
        NaN where there is no event.

    Raises:
        ValueError: If a time is NaN or negative, or there is one group.

    Reference:
        Mantel, Cancer Chemotherapy Reports 50 (1966) 163.
    """
    t = checked_times(time)
    names, code = np.unique(group, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"one group, {names}: a comparison needs two")
    levels = np.unique(t[event])
    risk = np.stack(
        [np.sum(code == g) - np.searchsorted(np.sort(t[code == g]), levels, side="left")
         for g in range(len(names))], axis=1,
    ).astype(float)  # fmt: skip
    events = np.zeros_like(risk)
    np.add.at(events, (np.searchsorted(levels, t[event]), code[event]), 1)
    total, died = risk.sum(axis=1), events.sum(axis=1)
    share = risk / total[:, None]
    expected = died[:, None] * share
    factor = np.zeros(len(levels))
    np.divide(died * (total - died), total - 1, out=factor, where=total > 1)
    covariance = np.diag(factor @ share) - share.T @ (share * factor[:, None])
    gap = (events - expected).sum(axis=0)
    df = len(names) - 1
    value = p = np.nan
    if len(levels) and np.linalg.matrix_rank(covariance) >= df:
        value = float(gap[:-1] @ np.linalg.solve(covariance[:-1, :-1], gap[:-1]))
        p = float(scipy.stats.chi2.sf(value, df))
    return LogRank(
        value,
        p=p,
        method="log-rank test",
        n=len(t),
        df=df,
        groups=tuple(names.tolist()),
        observed=events.sum(axis=0),
        expected=expected.sum(axis=0),
    )


def harrell_c(
    risk: Num[np.ndarray, " n"],
    *,
    time: Num[np.ndarray, " n"],
    event: Bool[np.ndarray, " n"],
) -> HarrellC:
    """Returns Harrell's C: higher risk should mean an earlier event.

    A pair is usable when the earlier time is an event; at equal times, when one is an
    event and the other is not, which then lived longer.

    Returns:
        NaN where no pair is usable.

    Raises:
        ValueError: If a risk is NaN, or a time NaN or negative.

    Reference:
        Harrell et al., Statistics in Medicine 15 (1996) 361.
    """
    t = checked_times(time)
    if np.isnan(risk).any():
        raise ValueError("a risk is NaN; leave such rows out and say how many")
    concordant = discordant = tied_risk = together = tied_both = 0
    for rows in _event_blocks(event):
        longer = _longer(t, event, rows)
        below, alike = risk < risk[rows, None], risk == risk[rows, None]
        concordant += int(np.sum(longer & below))
        tied_risk += int(np.sum(longer & alike))
        discordant += int(np.sum(longer & ~below & ~alike))
        same = event & (t == t[rows, None])
        # Each pair twice, and each row with itself.
        together += int(same.sum()) - len(rows)
        tied_both += int(np.sum(same & alike)) - len(rows)
    tied_both //= 2
    tied_time = together // 2 - tied_both
    pairs = concordant + discordant + tied_risk
    value = (concordant + tied_risk / 2) / pairs if pairs else np.nan
    return HarrellC(
        value,
        method="Harrell's C",
        n=len(t),
        concordant=concordant,
        discordant=discordant,
        tied_risk=tied_risk,
        tied_time=tied_time,
        tied_both=tied_both,
    )


def resampled_harrell_c(
    risk: Num[np.ndarray, " n"],
    *,
    time: Num[np.ndarray, " n"],
    event: Bool[np.ndarray, " n"],
    weight: Num[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Returns `harrell_c` in each resample; NaN where no pair is usable.

    Raises:
        ValueError: If a risk is NaN, or a time NaN or negative.
    """
    t = checked_times(time)
    if np.isnan(risk).any():
        raise ValueError("a risk is NaN; leave such rows out and say how many")
    drawn = np.asarray(weight, float)
    won, pairs = np.zeros(len(drawn)), np.zeros(len(drawn))
    for rows in _event_blocks(event):
        longer = _longer(t, event, rows)
        share = (risk < risk[rows, None]) + 0.5 * (risk == risk[rows, None])
        own = drawn[:, rows]
        won += np.einsum("br,br->b", own, drawn @ (longer * share).T)
        pairs += np.einsum("br,br->b", own, drawn @ longer.T.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return won / pairs


def _event_blocks(event: np.ndarray) -> Iterator[np.ndarray]:
    """Rows with an event, so many at once that their pairs fit into memory."""
    rows = np.flatnonzero(event)
    step = max(1, _BLOCK // len(event))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _longer(t: np.ndarray, event: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether each subject (column) outlived each event's (row)."""
    return (t > t[rows, None]) | ((t == t[rows, None]) & ~event)


def checked_times(time: Num[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns times as float64.

    Raises:
        ValueError: If one is NaN or negative, or there is none.
    """
    t = np.asarray(time, float)
    if len(t) == 0 or np.isnan(t).any() or t.min() < 0:
        raise ValueError("a time is NaN or negative, or there is no subject")
    return t
