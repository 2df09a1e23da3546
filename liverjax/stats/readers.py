"""Several readers, several ways of reading, the same cases: MRMC analysis of areas.

A way of reading (modality) is what is compared: without and with a model's help. The
analysis of variance is Obuchowski and Rockette's with Hillis' degrees of freedom, which
Dorfman, Berbaum and Metz's pseudovalues give as well when covariances are jackknifed.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Num, Shaped

from liverjax.stats.estimate import Estimate
from liverjax.stats.roc import areas_covariance, jackknife_covariance

COVARIANCES = ("delong", "jackknife")
# Readers and cases: random ones stand for all others like them, fixed ones for
# themselves.
POPULATIONS = ("readers and cases", "cases", "readers")


@dataclasses.dataclass(frozen=True)
class ReaderStudy:
    """Areas of every reader with every way of reading, and what they say together.

    Attributes:
        area: A row a way of reading, a column a reader.
        mean: Over the readers, with its interval, of each way.
        differences: First less second of each pair of ways, in the order of
            `itertools.combinations`.
        test: Of equal means of all ways; ``estimate`` is its F.
        df: Its degrees of freedom; infinite is a chi-square law.
        mean_square: Of ways, of readers, of their interaction.
        covariance: Var(error), Cov1 (other way, same reader), Cov2 (same way, other
            reader), Cov3 (both other).
        variance: Components of readers and of the interaction; may be below 0.
    """

    area: Float[np.ndarray, "t r"]
    mean: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    test: Estimate
    df: tuple[float, float]
    mean_square: tuple[float, float, float]
    covariance: tuple[float, float, float, float]
    variance: tuple[float, float]


def reader_study(
    score: Num[np.ndarray, "t r n"],
    *,
    positive: Bool[np.ndarray, " n"],
    population: str = "readers and cases",
    covariance: str = "delong",
    subject: Shaped[np.ndarray, " n"] | None = None,
    conf: float = 0.95,
) -> ReaderStudy:
    """Returns the MRMC analysis of areas under the ROC curve of a full design.

    Args:
        score: Of each way of reading, reader and case; higher means positive.
        positive: Truth of the cases.
        population: What the results speak for, one of `POPULATIONS`: what it names is a
            random sample, the rest is fixed.
        covariance: Of the areas, one of `COVARIANCES`.
        subject: Who each case belongs to, where subjects have several; for ``delong``.
        conf: Confidence level.

    Raises:
        ValueError: If a score is NaN, a class is absent, a name is unknown, or there is
            one reader where readers are random.

    Reference:
        Obuchowski and Rockette, Communications in Statistics - Simulation 24 (1995)
        285; Hillis, Statistics in Medicine 26 (2007) 596 and 33 (2014) 330.
    """
    if covariance not in COVARIANCES:
        raise ValueError(f"covariance {covariance!r}: expected one of {COVARIANCES}")
    if covariance == "jackknife" and subject is not None:
        raise ValueError("several cases a subject: covariance='delong' alone has them")
    ways, readers, n = score.shape
    flat = np.asarray(score, float).reshape(-1, n)
    if covariance == "jackknife":
        area, spread = jackknife_covariance(flat, positive=positive)
    else:
        area, spread = areas_covariance(flat, positive=positive, subject=subject)
    return obuchowski_rockette(
        area.reshape(ways, readers),
        covariance=spread,
        n=n,
        population=population,
        conf=conf,
    )


def obuchowski_rockette(
    area: Float[np.ndarray, "t r"],
    *,
    covariance: Float[np.ndarray, "tr tr"],
    n: int,
    population: str = "readers and cases",
    conf: float = 0.95,
) -> ReaderStudy:
    """Returns the analysis of any figure of readers whose covariance is known.

    Args:
        area: A row a way of reading, a column a reader.
        covariance: Of the areas, row after row.
        n: Cases.
        population: As in `reader_study`.
        conf: Confidence level.

    Raises:
        ValueError: If the population is unknown, or there is one reader where readers
            are random.
    """
    if population not in POPULATIONS:
        raise ValueError(f"population {population!r}: expected one of {POPULATIONS}")
    ways, readers = area.shape
    random_readers = "readers" in population
    if random_readers and readers < 2:
        raise ValueError("one reader cannot stand for others: population='cases'")
    squares = _mean_squares(area)
    parts = _covariances(covariance, ways=ways, readers=readers)
    error, cov1, cov2, cov3 = parts
    df1, free = ways - 1.0, (ways - 1.0) * (readers - 1.0)
    if population == "readers":
        denominator, df2 = squares[2], free
    elif population == "cases":
        denominator = error - cov1 + (readers - 1) * max(cov2 - cov3, 0.0)
        df2 = np.inf
    else:
        denominator = squares[2] + readers * max(cov2 - cov3, 0.0)
        df2 = denominator**2 / (squares[2] ** 2 / free) if squares[2] > 0 else np.inf
    words = f"mean of {readers} readers, Obuchowski-Rockette, random {population}"
    return ReaderStudy(
        area=area,
        mean=tuple(
            _mean(area[i], covariance[_own(i, readers)], population, words, n, conf)
            for i in range(ways)
        ),
        differences=tuple(
            _estimate(
                float(area[i].mean() - area[j].mean()),
                variance=2 * denominator / readers,
                df=df2,
                words=f"difference; {words}",
                n=n,
                conf=conf,
            )
            for i, j in itertools.combinations(range(ways), 2)
        ),
        test=_test(squares[0], denominator, df1, df2, words, n),
        df=(df1, df2),
        mean_square=squares,
        covariance=parts,
        variance=(
            (squares[1] - squares[2]) / ways - cov1 + cov3,
            squares[2] - error + cov1 + cov2 - cov3,
        ),
    )


def _mean_squares(area: np.ndarray) -> tuple[float, float, float]:
    """Of ways, of readers, of their interaction; NaN without a degree of freedom."""
    ways, readers = area.shape
    grand = area.mean()
    of_way, of_reader = area.mean(axis=1), area.mean(axis=0)
    rest = area - of_way[:, None] - of_reader + grand
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            float(readers * np.sum((of_way - grand) ** 2) / np.float64(ways - 1)),
            float(ways * np.sum((of_reader - grand) ** 2) / np.float64(readers - 1)),
            float(np.sum(rest**2) / np.float64((ways - 1) * (readers - 1))),
        )


def _covariances(
    covariance: np.ndarray, *, ways: int, readers: int
) -> tuple[float, float, float, float]:
    """Mean variance, and mean covariances by what two areas share; 0 for no pair."""
    way = np.repeat(np.arange(ways), readers)
    reader = np.tile(np.arange(readers), ways)
    same_way = way[:, None] == way
    same_reader = reader[:, None] == reader

    def mean(where: np.ndarray) -> float:
        return float(covariance[where].mean()) if where.any() else 0.0

    return (
        mean(same_way & same_reader),
        mean(~same_way & same_reader),
        mean(same_way & ~same_reader),
        mean(~same_way & ~same_reader),
    )


def _own(way: int, readers: int) -> tuple[slice, slice]:
    block = slice(way * readers, (way + 1) * readers)
    return block, block


def _mean(
    area: np.ndarray,
    covariance: np.ndarray,
    population: str,
    words: str,
    n: int,
    conf: float,
) -> Estimate:
    """One way's mean, from the readings of that way alone."""
    readers = len(area)
    error, _, cov2, _ = _covariances(covariance, ways=1, readers=readers)
    square = float(area.var(ddof=1)) if readers > 1 else 0.0
    if population == "cases":
        variance, df = (error + (readers - 1) * cov2) / readers, np.inf
    else:
        total = square
        if population != "readers":
            total += readers * max(cov2, 0.0)
        variance = total / readers
        df = total**2 / (square**2 / (readers - 1)) if square else np.inf
    return _estimate(
        float(area.mean()), variance=variance, df=df, words=words, n=n, conf=conf
    )


def _estimate(
    value: float, *, variance: float, df: float, words: str, n: int, conf: float
) -> Estimate:
    """With its t interval, and the p of a difference of 0."""
    se = float(np.sqrt(max(variance, 0.0)))
    half = float(scipy.stats.t.ppf((1 + conf) / 2, df)) * se
    p = np.nan
    if words.startswith("difference"):
        p = 2 * float(scipy.stats.t.sf(abs(value) / se, df)) if se else np.nan
    words = f"{words}; {conf:.0%} t interval with {df:.3g} degrees of freedom"
    return Estimate(value, value - half, value + half, p, words, n)


def _test(
    square: float, denominator: float, df1: float, df2: float, words: str, n: int
) -> Estimate:
    if df1 < 1 or not denominator > 0:
        return Estimate(np.nan, method=f"no test of one way; {words}", n=n)
    value = square / denominator
    if np.isfinite(df2):
        p = float(scipy.stats.f.sf(value, df1, df2))
    else:
        p = float(scipy.stats.chi2.sf(df1 * value, df1))
    return Estimate(value, p=p, method=f"F test of equal ways; {words}", n=n)
