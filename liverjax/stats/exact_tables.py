"""Fisher's exact test of a table of counts, and the conditional odds ratio.

Beyond 2 x 2 all tables of the same margins are summed, a column at a time. Partial
tables with the same rows left to fill and the same probability so far are one state,
and a state is settled at once when all its completions are likelier, or all less
likely, than the observed table (Mehta and Patel's network).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Int

from liverjax.stats.estimate import Estimate

# Tables within this factor of the observed one's probability count as equally likely.
_SLACK = 1e-7
# Beyond this many states the exact sum would take minutes.
_STATES = 300_000


@dataclasses.dataclass(frozen=True)
class ConditionalOddsRatio(Estimate):
    """The conditional maximum-likelihood odds ratio of a 2 x 2 table.

    Attributes:
        p_greater: One-sided exact p of a ratio above 1.
        p_less: Of a ratio below 1.
    """

    p_greater: float = np.nan
    p_less: float = np.nan


def conditional_odds_ratio(
    table: Int[np.ndarray, "2 2"], *, conf: float = 0.95
) -> ConditionalOddsRatio:
    """Returns the odds ratio with its exact interval, and Fisher's p against 1.

    Reference:
        Fisher, Journal of the Royal Statistical Society 98 (1935) 39.
    """
    found = scipy.stats.contingency.odds_ratio(table, kind="conditional")
    ends = found.confidence_interval(conf)
    p = {
        side: float(scipy.stats.fisher_exact(table, alternative=side).pvalue)
        for side in ("two-sided", "greater", "less")
    }
    return ConditionalOddsRatio(
        float(found.statistic),
        float(ends.low),
        float(ends.high),
        p["two-sided"],
        f"conditional odds ratio, {conf:.0%} exact interval, Fisher's exact test",
        int(table.sum()),
        p_greater=p["greater"],
        p_less=p["less"],
    )


def exact_table_p(
    table: Int[np.ndarray, "r c"], *, most_steps: int | None = None
) -> float:
    """Returns Fisher's two-sided p: the share of tables not likelier than this one.

    Args:
        table: Counts.
        most_steps: Give up after as many partial tables.

    Returns:
        NaN where the exact sum would take minutes, or more steps: use the chi-square
        test there.

    Reference:
        Freeman and Halton, Biometrika 38 (1951) 141; Mehta and Patel, Journal of the
        American Statistical Association 78 (1983) 427.
    """
    if table.shape == (2, 2):
        return float(scipy.stats.fisher_exact(table).pvalue)
    # Few rows make few states; each column is one step.
    counts = np.asarray(table if table.shape[0] <= table.shape[1] else table.T)
    columns = tuple(sorted((int(c) for c in counts.sum(axis=0)), reverse=True))
    observed = -float(scipy.special.gammaln(counts + 1.0).sum()) + _SLACK
    start = tuple(sorted(int(r) for r in counts.sum(axis=1)))
    total = _log_total(start, columns)
    settled, steps = [], 0
    states: dict[tuple[int, ...], dict[float, float]] = {start: {0.0: 0.0}}
    for step, size in enumerate(columns):
        left = columns[step + 1 :]
        following: dict[tuple[int, ...], dict[float, list[float]]] = (
            collections.defaultdict(lambda: collections.defaultdict(list))
        )
        for rows, pasts in states.items():
            steps += len(pasts) * math.prod(min(r, size) + 1 for r in rows[:-1])
            if most_steps is not None and steps > most_steps:
                return np.nan
            for rest, gain, ways in _fillings(rows, size):
                least, most = _bounds(rest, left)
                for past, weight in pasts.items():
                    # `past` is the table's own factor, `weight` the log of how many
                    # paths share it.
                    here = past + gain
                    count = weight + ways
                    if here + most <= observed:
                        settled.append(count + here + _log_total(rest, left))
                    elif here + least <= observed:
                        following[rest][round(here, 9)].append(count)
        states = {
            rows: {past: float(np.logaddexp.reduce(w)) for past, w in pasts.items()}
            for rows, pasts in following.items()
        }
        if sum(map(len, states.values())) > _STATES:
            return np.nan
    p = np.exp(np.logaddexp.reduce(settled) - total) if settled else 0.0
    return min(1.0, float(p))


@functools.lru_cache(maxsize=200_000)
def _fillings(
    rows: tuple[int, ...], size: int
) -> tuple[tuple[tuple[int, ...], float, float], ...]:
    """Ways to fill a column: rows left, log of 1 / prod x!, log of how many."""
    found: dict[tuple[tuple[int, ...], float], int] = collections.Counter()
    for cells in itertools.product(*(range(min(r, size) + 1) for r in rows[:-1])):
        last = size - sum(cells)
        if not 0 <= last <= rows[-1]:
            continue
        cells = (*cells, last)
        rest = tuple(sorted(r - x for r, x in zip(rows, cells, strict=True)))
        gain = -sum(_log_factorial(x) for x in cells)
        found[rest, round(gain, 11)] += 1
    return tuple(
        (rest, gain, float(np.log(number))) for (rest, gain), number in found.items()
    )


@functools.lru_cache(maxsize=200_000)
def _bounds(rows: tuple[int, ...], columns: tuple[int, ...]) -> tuple[float, float]:
    """Bounds of the log of 1 / prod x! over all ways to fill the remaining columns."""
    if not columns:
        return 0.0, 0.0
    if len(columns) == 1:
        value = -sum(_log_factorial(r) for r in rows)
        return value, value
    n = sum(rows)
    # Flat cells are likeliest: gamma is log-convex, so means bound the sum from above.
    mean = n / (len(rows) * len(columns))
    flat = len(rows) * len(columns) * float(scipy.special.gammaln(mean + 1))
    by_column = sum(
        len(rows) * float(scipy.special.gammaln(c / len(rows) + 1)) for c in columns
    )
    by_row = sum(
        len(columns) * float(scipy.special.gammaln(r / len(columns) + 1)) for r in rows
    )
    most = -max(flat, by_column, by_row)
    # A row or a column in a single cell is the least likely.
    least = -min(
        sum(_log_factorial(r) for r in rows), sum(_log_factorial(c) for c in columns)
    )
    return least, most


@functools.lru_cache(maxsize=200_000)
def _log_total(rows: tuple[int, ...], columns: tuple[int, ...]) -> float:
    """Log of the sum of 1 / prod x! over all ways to fill: a multinomial identity."""
    value = _log_factorial(sum(rows))
    value -= sum(_log_factorial(r) for r in rows)
    return value - sum(_log_factorial(c) for c in columns)


@functools.cache
def _log_factorial(x: int) -> float:
    return float(scipy.special.gammaln(x + 1.0))
