"""Locally weighted straight lines, as R's ``lowess`` without robust iterations."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num


def lowess(
    x: Num[np.ndarray, " n"],
    *,
    y: Num[np.ndarray, " n"],
    frac: float = 2 / 3,
    delta: float = 0.0,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Returns the sorted x and the smoothed y at each.

    Each line is fitted to the ``frac`` nearest rows with tricube weights.

    Args:
        x: Abscissa.
        y: Ordinate.
        frac: Share of the rows in each fit, in (0, 1].
        delta: Points closer than this to the last fitted one are interpolated; R's own
            default is a hundredth of the range.

    Raises:
        ValueError: If a value is NaN, there are fewer than two rows or ``frac`` is not
            in (0, 1].

    Reference:
        Cleveland, Journal of the American Statistical Association 74 (1979) 829.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    n = len(x)
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("a value is NaN; leave such rows out and say how many")
    if n < 2 or not 0 < frac <= 1:
        raise ValueError(f"{n} rows, frac {frac}: at least 2 rows and 0 < frac <= 1")
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    width = min(n, max(2, int(frac * n + 1e-7)))
    fitted = _anchors(x, delta=delta)
    left = _windows(x, fitted, width=width)
    smoothed = np.array(
        [
            _line(x, y, at=float(x[i]), start=int(s), width=width)
            for i, s in zip(fitted, left, strict=True)
        ]
    )
    # Ties and skipped points lie on the lines between the fitted ones.
    return x, np.interp(x, x[fitted], smoothed)


def _anchors(x: np.ndarray, *, delta: float) -> np.ndarray:
    """Indices that are fitted: the first, the last that is within delta of it, ..."""
    n, chosen = len(x), [0]
    last = 0
    while last < n - 1:
        cut = x[last] + delta
        after = last + 1
        while after < n and x[after] <= cut:
            if x[after] == x[last]:
                last = after
            after += 1
        following = max(last + 1, after - 1)
        if following >= n:
            break
        chosen.append(following)
        last = following
    unique = np.array(chosen)
    return unique[np.append(True, np.diff(x[unique]) > 0)]


def _windows(x: np.ndarray, fitted: np.ndarray, *, width: int) -> np.ndarray:
    """First row of the nearest ``width`` rows to each fitted point."""
    starts, left, n = [], 0, len(x)
    for i in fitted:
        while left + width < n and x[i] - x[left] > x[left + width] - x[i]:
            left += 1
        starts.append(left)
    return np.array(starts)


def _line(x: np.ndarray, y: np.ndarray, *, at: float, start: int, width: int) -> float:
    reach = max(at - x[start], x[start + width - 1] - at)
    distance = np.abs(x - at)
    weight = np.zeros(len(x))
    inside = distance <= 0.999 * reach
    if reach > 0:
        weight[inside] = (1 - (distance[inside] / reach) ** 3) ** 3
    weight[distance <= 0.001 * reach] = 1.0
    weight /= weight.sum()
    centre = weight @ x
    spread = weight @ (x - centre) ** 2
    if np.sqrt(spread) > 0.001 * (x[-1] - x[0]):
        weight = weight * (1 + (at - centre) * (x - centre) / spread)
    return float(weight @ y)
