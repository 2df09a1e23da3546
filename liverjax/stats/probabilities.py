"""What is a probability, and what is not."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num


def checked_probability(
    probability: Num[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Returns probabilities as float64.

    Raises:
        ValueError: If one is NaN or outside [0, 1], or there is no row.
    """
    p = np.asarray(probability, float)
    if np.isnan(p).any():
        raise ValueError("a probability is NaN; leave such rows out and say how many")
    if len(p) == 0 or p.min() < 0 or p.max() > 1:
        raise ValueError("a probability is not in [0, 1], or there is no row")
    return p


def normalised(probability: Num[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Returns probabilities that sum to 1 in each row.

    Raises:
        ValueError: If one is NaN or negative, or a row sums to 0.
    """
    p = np.asarray(probability, float)
    if np.isnan(p).any():
        raise ValueError("a probability is NaN; leave such rows out and say how many")
    total = p.sum(axis=1, keepdims=True)
    if p.min(initial=0.0) < 0 or np.any(total == 0):
        raise ValueError("a probability is negative, or all of a row are 0")
    return p / total
