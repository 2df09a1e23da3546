"""Whether predicted probabilities are the shares that occur."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float, Int, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.lowess import lowess
from liverjax.stats.probabilities import checked_probability, normalised
from liverjax.stats.regression import (
    SeparationError,
    log_likelihood,
    logistic_regression,
)

# Probabilities of exactly 0 or 1 have no logit; they are moved this far inside.
CLIP = 1e-8
LARGEST_SE = 100.0  # of an intercept, beyond which nothing was estimated


@dataclasses.dataclass(frozen=True)
class Brier(Estimate):
    """The mean squared error of probabilities.

    Attributes:
        of_prevalence: What the constant prevalence would score.
        scaled: ``1 - estimate / of_prevalence``; 0 is no better than the prevalence.
    """

    of_prevalence: float = np.nan
    scaled: float = np.nan


@dataclasses.dataclass(frozen=True)
class CalibrationFit:
    """Logistic recalibration of probabilities; ideal are slope 1 and intercept 0.

    Attributes:
        slope: Of the true log odds on the predicted ones; below 1 is overconfident.
        intercept: With that slope.
        in_the_large: Intercept with the slope held at 1.
        expected_observed: Sum of probabilities over number of events (E:O).
        clipped: Probabilities of exactly 0 or 1 that were moved inside by `CLIP`.
        n: Rows.
    """

    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate
    slope_se: float
    intercept_se: float
    in_the_large_se: float
    expected_observed: float
    clipped: int
    n: int


@dataclasses.dataclass(frozen=True)
class ValidationIndices:
    """Harrell's indices of probabilities validated as they are.

    Attributes:
        r2_nagelkerke: Of the likelihood, scaled to at most 1.
        discrimination: D, likelihood ratio against the prevalence, less 1, a row.
        unreliability: U, gain of recalibration, less 2, a row.
        unreliability_statistic: Its chi-square(2).
        unreliability_p: Its p.
        quality: Q = D - U.
        spiegelhalter_z: Of the Brier score against its expectation.
        spiegelhalter_p: Two-sided.
        largest_error: Largest distance of the smooth curve from the diagonal.
        ninetieth_error: 90th percentile of that distance over rows.
        mean_error: Its mean.
    """

    r2_nagelkerke: float
    discrimination: float
    unreliability: float
    unreliability_statistic: float
    unreliability_p: float
    quality: float
    spiegelhalter_z: float
    spiegelhalter_p: float
    largest_error: float
    ninetieth_error: float
    mean_error: float


def brier(
    probability: Num[np.ndarray, " n"], *, positive: Bool[np.ndarray, " n"]
) -> Brier:
    """Returns the Brier score and what the prevalence alone would score.

    Raises:
        ValueError: If a probability is NaN or outside [0, 1].

    Reference:
        Brier, Monthly Weather Review 78 (1950) 1.
    """
    p = checked_probability(probability)
    value = float(np.mean((p - positive) ** 2))
    share = float(positive.mean())
    null = share * (1 - share)
    return Brier(
        value,
        method="Brier score",
        n=len(p),
        of_prevalence=null,
        scaled=1 - value / null if null > 0 else np.nan,
    )


def multiclass_brier(
    probability: Num[np.ndarray, "n k"], *, true_class: Int[np.ndarray, " n"]
) -> Estimate:
    """Returns the squared error summed over classes; for two classes twice `brier`.

    Raises:
        ValueError: If a probability is NaN or negative, or a row sums to 0.
    """
    p = normalised(probability)
    truth = true_class[:, None] == np.arange(p.shape[1])
    value = float(np.mean(np.sum((p - truth) ** 2, axis=1)))
    return Estimate(value, method="Brier score summed over classes", n=len(p))


def log_loss(
    probability: Num[np.ndarray, "n k"], *, true_class: Int[np.ndarray, " n"]
) -> Estimate:
    """Returns minus the mean log probability of the true class, cut at 1e-15.

    Raises:
        ValueError: If a probability is NaN or negative, or a row sums to 0.
    """
    p = np.clip(normalised(probability), 1e-15, 1.0)
    value = -float(np.mean(np.log(p[np.arange(len(p)), true_class])))
    return Estimate(value, method="log loss", n=len(p))


def calibration_fit(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    conf: float = 0.95,
) -> CalibrationFit:
    """Returns calibration slope, intercept, calibration in the large and E:O.

    Args:
        probability: Predicted; exactly 0 and 1 are moved inside by `CLIP` and counted.
        positive: Truth.
        conf: Confidence level of the Wald intervals.

    Returns:
        NaN slope and intercept where the probabilities separate the classes perfectly
        or are all alike: no finite slope exists, and none is made up by a penalty.
        Likewise calibration in the large, where they are the truth itself.

    Raises:
        ValueError: If a probability is NaN or outside [0, 1], or a class is absent.

    Reference:
        Cox, Biometrika 45 (1958) 562; Van Calster et al., BMC Medicine 17 (2019) 230.
    """
    p = checked_probability(probability)
    logit = scipy.special.logit(np.clip(p, CLIP, 1 - CLIP))
    n = len(p)
    words = f"logistic recalibration, {conf:.0%} Wald interval"
    in_the_large, large_se = _in_the_large(logit, positive, conf=conf, words=words)
    undefined = Estimate(np.nan, method=f"{words}: no finite slope", n=n)
    slope, intercept, slope_se, intercept_se = undefined, undefined, np.nan, np.nan
    if np.ptp(logit) > 0:
        try:
            fit = logistic_regression(positive, columns={"logit": logit}, conf=conf)
        except SeparationError:
            pass
        else:
            p_slope = 2 * float(
                scipy.stats.norm.sf(abs(fit.coefficient[1] - 1) / fit.se[1])
            )
            slope = Estimate(
                float(fit.coefficient[1]),
                float(fit.low[1]),
                float(fit.high[1]),
                p_slope,
                f"{words}; p against slope 1",
                n,
            )
            intercept = Estimate(
                float(fit.coefficient[0]),
                float(fit.low[0]),
                float(fit.high[0]),
                float(fit.p[0]),
                f"{words}; p against intercept 0",
                n,
            )
            slope_se, intercept_se = float(fit.se[1]), float(fit.se[0])
    return CalibrationFit(
        slope=slope,
        intercept=intercept,
        in_the_large=in_the_large,
        slope_se=slope_se,
        intercept_se=intercept_se,
        in_the_large_se=large_se,
        expected_observed=float(p.sum() / positive.sum()),
        clipped=int(np.sum((p < CLIP) | (p > 1 - CLIP))),
        n=n,
    )


def _in_the_large(
    logit: np.ndarray, positive: np.ndarray, *, conf: float, words: str
) -> tuple[Estimate, float]:
    """The intercept at a slope of 1, and its standard error."""
    words = f"{words}, slope held at 1; p against 0"
    undefined = Estimate(np.nan, method=f"{words}: no finite intercept", n=len(logit))
    try:
        fit = logistic_regression(positive, columns={}, offset=logit, conf=conf)
    except SeparationError:
        return undefined, np.nan
    # Clipped certainties that are all right: only their clipping stops the fit.
    if fit.se[0] > LARGEST_SE:
        return undefined, np.nan
    values = (float(x[0]) for x in (fit.coefficient, fit.low, fit.high, fit.p))
    return Estimate(*values, words, len(logit)), float(fit.se[0])


def recalibrated(
    probability: Num[np.ndarray, " n"], *, fit: CalibrationFit
) -> Float[np.ndarray, " n"]:
    """Returns probabilities after logistic recalibration by a fit on *other* rows."""
    logit = scipy.special.logit(
        np.clip(checked_probability(probability), CLIP, 1 - CLIP)
    )
    return scipy.special.expit(fit.intercept.estimate + fit.slope.estimate * logit)


def validation_indices(
    probability: Num[np.ndarray, " n"], *, positive: Bool[np.ndarray, " n"]
) -> ValidationIndices:
    """Returns R2, D, U, Q, Spiegelhalter's z and the smooth curve's errors.

    The smooth curve is `lowess` over two thirds of the rows. R2 (Nagelkerke's) and D
    are of the probabilities as given, not recalibrated.

    Raises:
        ValueError: If a probability is NaN or outside [0, 1], or a class is absent.

    Reference:
        Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 10.9 (R:
        ``rms::val.prob``); Spiegelhalter, Statistics in Medicine 5 (1986) 421.
    """
    p = np.clip(checked_probability(probability), CLIP, 1 - CLIP)
    n, logit = len(p), scipy.special.logit(p)
    share = positive.mean()
    null = n * float(-scipy.stats.entropy([share, 1 - share]))
    as_given = log_likelihood(positive, logit=logit)
    ratio = 2 * (as_given - null)
    fit = calibration_fit(p, positive=positive)
    best = log_likelihood(
        positive, logit=fit.intercept.estimate + fit.slope.estimate * logit
    )
    gain = 2 * (best - as_given)
    discrimination, unreliability = (ratio - 1) / n, (gain - 2) / n
    spread = np.sum((1 - 2 * p) ** 2 * p * (1 - p))
    z = float(np.sum((positive - p) * (1 - 2 * p)) / np.sqrt(spread))
    levels, smooth = lowess(p, y=positive.astype(float), delta=0.01 * np.ptp(p))
    error = np.abs(smooth - levels)
    return ValidationIndices(
        r2_nagelkerke=float(-np.expm1(-ratio / n) / -np.expm1(2 * null / n)),
        discrimination=discrimination,
        unreliability=unreliability,
        unreliability_statistic=gain,
        unreliability_p=float(scipy.stats.chi2.sf(gain, 2)),
        quality=discrimination - unreliability,
        spiegelhalter_z=z,
        spiegelhalter_p=2 * float(scipy.stats.norm.sf(abs(z))),
        largest_error=float(error.max()),
        ninetieth_error=float(np.quantile(error, 0.9)),
        mean_error=float(error.mean()),
    )


def smooth_calibration(
    probability: Num[np.ndarray, " n"],
    *,
    positive: Bool[np.ndarray, " n"],
    frac: float = 2 / 3,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Returns sorted probabilities and the smoothed share of events at each."""
    p = checked_probability(probability)
    return lowess(p, y=positive.astype(float), frac=frac)
