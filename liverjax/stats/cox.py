"""Cox regression with Efron's handling of ties."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Num

from liverjax.stats.regression import wald_tests
from liverjax.stats.survival import checked_times, harrell_c

_STEPS = 50


@dataclasses.dataclass(frozen=True)
class CoxFit:
    """A proportional-hazards model.

    Attributes:
        names: Of the columns.
        coefficient: Log hazard ratio a unit.
        se: Standard errors.
        z: Coefficient over standard error.
        p: Two-sided.
        low: Lower ends of the coefficients' Wald intervals.
        high: Upper ends.
        log_likelihood: Partial, at the maximum.
        concordance: Harrell's C of the linear predictor on the same rows.
        n: Subjects.
        events: Events.
        method: In words.
    """

    names: tuple[str, ...]
    coefficient: Float[np.ndarray, " k"]
    se: Float[np.ndarray, " k"]
    z: Float[np.ndarray, " k"]
    p: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    log_likelihood: float
    concordance: float
    n: int
    events: int
    method: str

    @property
    def hazard_ratio(self) -> Float[np.ndarray, " k"]:
        """Exponential of the coefficients."""
        return np.exp(self.coefficient)


def cox(
    time: Num[np.ndarray, " n"],
    *,
    event: Bool[np.ndarray, " n"],
    columns: Mapping[str, Num[np.ndarray, " n"]],
    conf: float = 0.95,
) -> CoxFit:
    """Returns a Cox regression with Efron's handling of ties.

    Raises:
        ValueError: If a value is NaN, there is no event, columns are constant or
            collinear, or a column separates early from late events perfectly.

    Reference:
        Cox, Journal of the Royal Statistical Society B 34 (1972) 187; Efron, Journal of
        the American Statistical Association 72 (1977) 557.
    """
    t = checked_times(time)
    x = np.column_stack([np.asarray(column, float) for column in columns.values()])
    if np.isnan(x).any():
        raise ValueError("a predictor is NaN; leave such rows out and say how many")
    if not event.any():
        raise ValueError("no event was seen")
    scale = x.std(axis=0)
    if np.any(scale == 0) or np.linalg.matrix_rank(x - x.mean(axis=0)) < x.shape[1]:
        raise ValueError(f"columns {tuple(columns)} are collinear or constant")
    z = (x - x.mean(axis=0)) / scale
    order = np.lexsort((~event, t))
    z, t_sorted, seen = z[order], t[order], event[order]
    beta = np.zeros(z.shape[1])
    value, gradient, information = _efron(beta, z, t_sorted, seen)
    for _ in range(_STEPS):
        step = np.linalg.solve(information, gradient)
        for _ in range(30):
            trial = _efron(beta + step, z, t_sorted, seen)
            if trial[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2
        beta = beta + step
        value, gradient, information = trial
        # On the way to infinity nothing is left to learn, long before the bound.
        if np.abs(beta).max() > 50 or np.linalg.eigvalsh(information)[0] < 1e-9:
            break
        if np.abs(step).max() <= 1e-10 * max(1.0, np.abs(beta).max()):
            return _cox_fit(
                beta / scale,
                information,
                scale,
                value,
                x,
                t,
                event,
                tuple(columns),
                conf,
            )
    raise ValueError("no finite coefficient fits best: a column separates the events")


def _efron(
    beta: np.ndarray, x: np.ndarray, time: np.ndarray, event: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Partial log likelihood, its gradient and information; rows sorted by time."""
    risk = np.exp(x @ beta)
    # Sums over everyone still at risk: from the last row backwards.
    s0 = np.cumsum(risk[::-1])[::-1]
    s1 = np.cumsum((risk[:, None] * x)[::-1], axis=0)[::-1]
    s2 = np.cumsum((risk[:, None, None] * x[:, :, None] * x[:, None, :])[::-1], axis=0)
    s2 = s2[::-1]
    value, gradient = 0.0, np.zeros(x.shape[1])
    information = np.zeros((x.shape[1],) * 2)
    for level in np.unique(time[event]):
        first = int(np.searchsorted(time, level))
        tied = np.flatnonzero(event & (time == level))
        xt, rt = x[tied], risk[tied]
        d0, d1 = rt.sum(), rt @ xt
        d2 = (rt[:, None] * xt).T @ xt
        value += float(np.sum(xt @ beta))
        gradient += xt.sum(axis=0)
        for share in np.arange(len(tied)) / len(tied):
            total = s0[first] - share * d0
            mean = (s1[first] - share * d1) / total
            value -= float(np.log(total))
            gradient -= mean
            information += (s2[first] - share * d2) / total - np.outer(mean, mean)
    return value, gradient, information


def _cox_fit(
    coefficient: np.ndarray,
    information: np.ndarray,
    scale: np.ndarray,
    value: float,
    x: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    names: tuple[str, ...],
    conf: float,
) -> CoxFit:
    se = np.sqrt(np.diag(np.linalg.inv(information))) / scale
    return CoxFit(
        names=names,
        coefficient=coefficient,
        se=se,
        **wald_tests(coefficient, se=se, conf=conf),
        log_likelihood=value,
        concordance=harrell_c(x @ coefficient, time=time, event=event).estimate,
        n=len(time),
        events=int(event.sum()),
        method=f"Cox regression, Efron ties, {conf:.0%} Wald intervals",
    )
