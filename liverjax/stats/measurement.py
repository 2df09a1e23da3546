"""Agreement of measurements: limits, concordance, intraclass correlation."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.stats
from jaxtyping import Float, Num

from liverjax.stats.estimate import Estimate


@dataclasses.dataclass(frozen=True)
class BlandAltman:
    """Differences of two measurements of the same rows.

    Attributes:
        bias: Mean of first minus second.
        lower: Lower limit of agreement.
        upper: Upper limit.
        sd: Standard deviation of the differences.
        mean: Mean of the two measurements in each row.
        difference: First minus second in each row.
        slope: Of the differences on the means; a p below 0.05 says that the bias grows
            or shrinks with size.
    """

    bias: Estimate
    lower: Estimate
    upper: Estimate
    sd: float
    mean: Float[np.ndarray, " n"]
    difference: Float[np.ndarray, " n"]
    slope: Estimate


@dataclasses.dataclass(frozen=True)
class Concordance(Estimate):
    """Lin's concordance correlation.

    Attributes:
        pearson: Precision.
        bias_correction: Accuracy, estimate over Pearson's r.
        location_shift: (mean of second - mean of first) / sqrt(sd sd).
        scale_shift: Standard deviation of second over that of first.
    """

    pearson: float = np.nan
    bias_correction: float = np.nan
    location_shift: float = np.nan
    scale_shift: float = np.nan


@dataclasses.dataclass(frozen=True)
class IntraclassCorrelation(Estimate):
    """One of Shrout and Fleiss' six; ``p`` is that of its F test against 0.

    Attributes:
        name: ``icc1_1``, ``icc2_1``, ``icc3_1``, ``icc1_k``, ``icc2_k`` or ``icc3_k``.
        f: Ratio of mean squares.
        df1: Degrees of freedom of its numerator.
        df2: Of its denominator.
    """

    name: str = ""
    f: float = np.nan
    df1: int = 0
    df2: int = 0


def bland_altman(
    first: Num[np.ndarray, " n"],
    *,
    second: Num[np.ndarray, " n"],
    multiplier: float = 1.96,
    conf: float = 0.95,
) -> BlandAltman:
    """Returns bias and limits of agreement, each with its t interval.

    Args:
        first: One measurement of each row.
        second: The other, in the same unit.
        multiplier: Of the standard deviation, for the limits.
        conf: Confidence level.

    Raises:
        ValueError: If a value is NaN or there are fewer than three rows.

    Reference:
        Bland and Altman, Lancet 327 (1986) 307.
    """
    x, y = _pair(first, second, least=3)
    d, m, n = x - y, (x + y) / 2, len(x)
    bias, sd = float(d.mean()), float(d.std(ddof=1))
    t = float(scipy.stats.t.ppf((1 + conf) / 2, n - 1))

    def ends(value: float, se: float, words: str) -> Estimate:
        return Estimate(value, value - t * se, value + t * se, method=words, n=n)

    limit_se = float(np.sqrt(3 * sd**2 / n))
    words = f"limit of agreement, {multiplier:g} sd; {conf:.0%} t interval"
    slope = Estimate(np.nan, method="differences on means", n=n)
    if np.ptp(m) > 0:
        line = scipy.stats.linregress(m, d)
        half = scipy.stats.t.ppf((1 + conf) / 2, n - 2) * line.stderr
        slope = Estimate(
            float(line.slope),
            float(line.slope - half),
            float(line.slope + half),
            float(line.pvalue),
            "slope of differences on means",
            n,
        )
    return BlandAltman(
        bias=ends(bias, sd / np.sqrt(n), f"mean difference; {conf:.0%} t interval"),
        lower=ends(bias - multiplier * sd, limit_se, f"lower {words}"),
        upper=ends(bias + multiplier * sd, limit_se, f"upper {words}"),
        sd=sd,
        mean=m,
        difference=d,
        slope=slope,
    )


def lin_concordance(
    first: Num[np.ndarray, " n"],
    *,
    second: Num[np.ndarray, " n"],
    conf: float = 0.95,
) -> Concordance:
    """Returns Lin's concordance correlation, its interval on Fisher's z scale.

    Moments have divisor n, as in Lin's paper.

    Returns:
        NaN where both measurements are constant; no interval where one is.

    Raises:
        ValueError: If a value is NaN or there are fewer than three rows.

    Reference:
        Lin, Biometrics 45 (1989) 255, and its correction, Biometrics 56 (2000) 324.
    """
    x, y = _pair(first, second, least=3)
    n, words = len(x), f"Lin's concordance correlation; {conf:.0%} interval on z scale"
    var_x, var_y = x.var(), y.var()
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    spread = var_x + var_y + (x.mean() - y.mean()) ** 2
    if spread == 0:
        return Concordance(np.nan, method=words, n=n)
    value = float(2 * covariance / spread)
    if var_x == 0 or var_y == 0:
        return Concordance(value, method=words, n=n)
    geometric = np.sqrt(np.sqrt(var_x) * np.sqrt(var_y))
    location = float((y.mean() - x.mean()) / geometric)
    r = float(covariance / np.sqrt(var_x * var_y))
    low = high = value
    if abs(value) < 1 and r != 0:
        variance = (1 - r**2) * value**2 * (1 - value**2) / r**2
        variance += 2 * value**3 * (1 - value) * location**2 / r
        variance -= value**4 * location**4 / (2 * r**2)
        variance /= n - 2
        half = scipy.stats.norm.ppf((1 + conf) / 2)
        half *= np.sqrt(max(0.0, variance)) / (1 - value**2)
        low, high = np.tanh(np.arctanh(value) + half * np.array([-1.0, 1.0]))
    return Concordance(
        value,
        float(low),
        float(high),
        method=words,
        n=n,
        pearson=r,
        bias_correction=value / r if r != 0 else np.nan,
        location_shift=location,
        scale_shift=float(np.sqrt(var_y / var_x)),
    )


def intraclass_correlations(
    ratings: Num[np.ndarray, "n k"], *, conf: float = 0.95
) -> dict[str, IntraclassCorrelation]:
    """Returns Shrout and Fleiss' six intraclass correlations by name.

    ``icc1`` has other raters for each row, ``icc2`` a random sample of raters (absolute
    agreement), ``icc3`` these raters alone (consistency); ``_1`` is of one rating,
    ``_k`` of the mean of all raters.

    Args:
        ratings: A column a rater.
        conf: Confidence level.

    Raises:
        ValueError: If a value is NaN, or rows or raters are fewer than two.

    Reference:
        Shrout and Fleiss, Psychological Bulletin 86 (1979) 420.
    """
    x = np.asarray(ratings, float)
    n, k = x.shape
    if np.isnan(x).any():
        raise ValueError("a rating is NaN; leave such rows out and say how many")
    if n < 2 or k < 2:
        raise ValueError(f"{n} rows of {k} raters: at least two of each")
    by_row, by_rater, mean = x.mean(axis=1), x.mean(axis=0), x.mean()
    rows = k * np.sum((by_row - mean) ** 2) / (n - 1)
    raters = n * np.sum((by_rater - mean) ** 2) / (k - 1)
    inside = np.sum((x - by_row[:, None]) ** 2) / (n * (k - 1))
    rest = np.sum((x - by_row[:, None] - by_rater + mean) ** 2) / ((n - 1) * (k - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        one_way, two_way = rows / inside, rows / rest
        single = {
            "icc1_1": (rows - inside) / (rows + (k - 1) * inside),
            "icc2_1": (rows - rest) / (rows + (k - 1) * rest + k * (raters - rest) / n),
            "icc3_1": (rows - rest) / (rows + (k - 1) * rest),
            "icc1_k": (rows - inside) / rows,
            "icc2_k": (rows - rest) / (rows + (raters - rest) / n),
            "icc3_k": (rows - rest) / rows,
        }
        limits = _icc_limits(
            one_way,
            two_way,
            rater_ratio=raters / rest,
            agreement=single["icc2_1"],
            n=n,
            k=k,
            conf=conf,
        )
    out = {}
    for name, value in single.items():
        one = name.startswith("icc1")
        f, df1, df2 = (
            (one_way, n - 1, n * (k - 1))
            if one
            else (two_way, n - 1, (n - 1) * (k - 1))
        )
        out[name] = IntraclassCorrelation(
            float(value),
            *limits[name],
            float(scipy.stats.f.sf(f, df1, df2)),
            f"intraclass correlation {name.upper()}; {conf:.0%} F interval",
            n,
            name=name,
            f=float(f),
            df1=df1,
            df2=df2,
        )
    return out


def _icc_limits(
    one_way: float,
    two_way: float,
    *,
    rater_ratio: float,
    agreement: float,
    n: int,
    k: int,
    conf: float,
) -> dict[str, tuple[float, float]]:
    quantile = scipy.stats.f.ppf
    top = (1 + conf) / 2
    df1, df_inside, df_rest = n - 1, n * (k - 1), (n - 1) * (k - 1)
    limits = {}
    for name, f, df2 in (("icc1", one_way, df_inside), ("icc3", two_way, df_rest)):
        low = f / quantile(top, df1, df2)
        high = f * quantile(top, df2, df1)
        limits[f"{name}_1"] = ((low - 1) / (low + k - 1), (high - 1) / (high + k - 1))
        limits[f"{name}_k"] = (1 - 1 / low, 1 - 1 / high)
    # Satterthwaite's degrees of freedom for absolute agreement.
    part = k * agreement * rater_ratio
    rest = n * (1 + (k - 1) * agreement) - k * agreement
    df = df_rest * (part + rest) ** 2 / ((n - 1) * part**2 + rest**2)
    upper, lower = quantile(top, n - 1, df), quantile(top, df, n - 1)
    mixed = k * rater_ratio + (k * n - k - n)
    low = n * (two_way - upper) / (upper * mixed + n * two_way)
    high = n * (lower * two_way - 1) / (mixed + n * lower * two_way)
    limits["icc2_1"] = (low, high)
    limits["icc2_k"] = tuple(k * end / (1 + end * (k - 1)) for end in (low, high))
    return {name: (float(a), float(b)) for name, (a, b) in limits.items()}


def _pair(
    first: np.ndarray, second: np.ndarray, *, least: int
) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(first, float), np.asarray(second, float)
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("a measurement is NaN; leave such rows out and say how many")
    if len(x) < least:
        raise ValueError(f"{len(x)} rows: at least {least} needed")
    return x, y
