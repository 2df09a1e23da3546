"""Logistic regression without penalty, and the collinearity of its predictors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Num

_STEPS = 50
# Fitted log odds beyond this are 0 or 1 for every purpose: the sign of separation.
_LARGEST_LOGIT = 30.0


class SeparationError(ValueError):
    """The predictors separate the classes perfectly: no finite coefficients exist."""


@dataclasses.dataclass(frozen=True)
class LogisticFit:
    """Maximum-likelihood coefficients on the log-odds scale, with Wald tests.

    Attributes:
        names: ``(Intercept)``, then the columns.
        coefficient: Log odds ratio a unit.
        se: Standard errors.
        z: Coefficient over standard error.
        p: Two-sided.
        low: Lower ends of the coefficients' intervals.
        high: Upper ends.
        covariance: Of the coefficients.
        log_likelihood: At the maximum.
        n: Rows.
        events: Positive rows.
        method: In words.
    """

    names: tuple[str, ...]
    coefficient: Float[np.ndarray, " k"]
    se: Float[np.ndarray, " k"]
    z: Float[np.ndarray, " k"]
    p: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    log_likelihood: float
    n: int
    events: int
    method: str

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood."""
        return -2 * self.log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return self.deviance + 2 * len(self.coefficient)


def logistic_regression(
    positive: Bool[np.ndarray, " n"],
    *,
    columns: Mapping[str, Num[np.ndarray, " n"]],
    offset: Num[np.ndarray, " n"] | None = None,
    conf: float = 0.95,
) -> LogisticFit:
    """Returns the unpenalised fit of log odds on an intercept and columns.

    Coefficients depend on the units of their columns; to rank predictors by them,
    standardise the columns first.

    Args:
        positive: Outcome.
        columns: Predictors by name; none fits the intercept alone.
        offset: Log odds that are added with coefficient 1.
        conf: Confidence level of the Wald intervals.

    Raises:
        SeparationError: If no finite maximum exists.
        ValueError: If a value is NaN, the outcome has one class or columns are
            collinear.
    """
    n = len(positive)
    names = ("(Intercept)", *columns)
    design = np.column_stack([np.ones(n), *(np.asarray(c) for c in columns.values())])
    shift = np.zeros(n) if offset is None else np.asarray(offset, float)
    if np.isnan(design).any() or np.isnan(shift).any():
        raise ValueError("a predictor is NaN; leave such rows out and say how many")
    if positive.all() or not positive.any():
        raise ValueError("the outcome has one class; a regression needs both")
    # Columns of unlike size (age, albumin) make the normal equations ill-conditioned.
    centre = np.append(0.0, design[:, 1:].mean(axis=0))
    scale = np.append(1.0, design[:, 1:].std(axis=0))
    scale[scale == 0] = 1.0
    scaled = (design - centre) / scale
    if np.linalg.matrix_rank(scaled) < scaled.shape[1]:
        raise ValueError(f"columns {names[1:]} are collinear or constant")
    coefficient, covariance = _maximise(scaled, positive.astype(float), shift)
    # Back to the columns' own units.
    back = np.diag(1 / scale)
    back[0, 1:] = -centre[1:] / scale[1:]
    coefficient, covariance = back @ coefficient, back @ covariance @ back.T
    logit = design @ coefficient + shift
    se = np.sqrt(np.diag(covariance))
    return LogisticFit(
        names=names,
        coefficient=coefficient,
        se=se,
        **wald_tests(coefficient, se=se, conf=conf),
        covariance=covariance,
        log_likelihood=log_likelihood(positive, logit=logit),
        n=n,
        events=int(positive.sum()),
        method=f"logistic regression, {conf:.0%} Wald intervals",
    )


def wald_tests(
    coefficient: Float[np.ndarray, " k"], *, se: Float[np.ndarray, " k"], conf: float
) -> dict[str, Float[np.ndarray, " k"]]:
    """Returns ``z``, two-sided ``p``, ``low`` and ``high`` of coefficients."""
    z = coefficient / se
    half = scipy.stats.norm.ppf((1 + conf) / 2) * se
    return {
        "z": z,
        "p": 2 * scipy.stats.norm.sf(np.abs(z)),
        "low": coefficient - half,
        "high": coefficient + half,
    }


def log_likelihood(
    positive: Bool[np.ndarray, " n"], *, logit: Num[np.ndarray, " n"]
) -> float:
    """Returns the Bernoulli log likelihood of log odds."""
    signed = np.where(positive, logit, -logit)
    return -float(np.sum(np.logaddexp(0.0, -signed)))


def variance_inflation(
    columns: Mapping[str, Num[np.ndarray, " n"]],
) -> dict[str, float]:
    """Returns ``1 / (1 - R^2)`` of each column regressed on the others.

    The regressions have an intercept. A column that the others determine has an
    infinite factor; above 5 is what study 001 calls collinear.

    Raises:
        ValueError: If a value is NaN or a column is constant.
    """
    design = np.column_stack([np.asarray(c, float) for c in columns.values()])
    if np.isnan(design).any():
        raise ValueError("a predictor is NaN; leave such rows out and say how many")
    centred = design - design.mean(axis=0)
    size = np.linalg.norm(centred, axis=0)
    constant = [
        name
        for name, s, c in zip(columns, size, design.T, strict=True)
        if s <= 1e-12 * max(1.0, np.abs(c).max())
    ]
    if constant:
        raise ValueError(f"columns {constant} are constant")
    unit = centred / size
    factors = {}
    for i, name in enumerate(columns):
        others = np.delete(unit, i, axis=1)
        fit = others @ np.linalg.lstsq(others, unit[:, i], rcond=None)[0]
        left = float(np.sum((unit[:, i] - fit) ** 2))
        factors[name] = 1 / left if left > 1e-14 else np.inf
    return factors


def _maximise(
    design: np.ndarray, outcome: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method with halved steps; the coefficients and their covariance."""

    def objective(coefficient: np.ndarray) -> float:
        return log_likelihood(outcome > 0, logit=design @ coefficient + offset)

    coefficient = np.zeros(design.shape[1])
    current = objective(coefficient)
    for _ in range(_STEPS):
        p = scipy.special.expit(design @ coefficient + offset)
        information = design.T @ (design * (p * (1 - p))[:, None])
        gradient = design.T @ (outcome - p)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            raise _separated() from None
        for _ in range(30):
            value = objective(coefficient + step)
            if value >= current - 1e-12 * abs(current):
                break
            step = step / 2
        coefficient, current = coefficient + step, value
        fitted = design @ coefficient
        if np.abs(fitted).max() > _LARGEST_LOGIT and current > -1e-3:
            raise _separated()
        if np.abs(step).max() <= 1e-10 * max(1.0, np.abs(coefficient).max()):
            p = scipy.special.expit(fitted + offset)
            information = design.T @ (design * (p * (1 - p))[:, None])
            return coefficient, np.linalg.inv(information)
    raise _separated()


def _separated() -> SeparationError:
    return SeparationError(
        "the predictors separate the classes perfectly, so that no finite coefficient "
        "fits best; use fewer predictors"
    )
