"""How well two images agree whatever their contrast: information and edges."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

BINS = 32
# Soft tissue is resolved, air and bone share the two end bins.
_LOWEST_HU, _HIGHEST_HU = -160.0, 240.0


def quantise(hu: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Returns the histogram bin, 0 to 31, of Hounsfield units from -160 to 240."""
    step = (_HIGHEST_HU - _LOWEST_HU) / BINS
    return np.clip((hu - _LOWEST_HU) / step, 0, BINS - 1).astype(np.uint8)


def joint_histograms(
    first: UInt8[np.ndarray, "n"],
    second: UInt8[np.ndarray, "n"],
    *,
    part: np.ndarray,
    parts: int,
) -> np.ndarray:
    """Returns a joint histogram for each part of the voxels, ``(parts, bins, bins)``.

    Args:
        first: Bins of one image.
        second: Bins of the other at the same places.
        part: Number of the part of each voxel, ``(n,)`` integers in ``[0, parts)``.
        parts: How many there are.
    """
    code = (part.astype(np.int64) * BINS + first) * BINS + second
    counts = np.bincount(code, minlength=parts * BINS * BINS)
    return counts.reshape(parts, BINS, BINS)


def information(joint: np.ndarray) -> np.ndarray:
    """Returns the mutual information as a share of the mean entropy, 0 to 1.

    Args:
        joint: Joint histograms, ``(..., bins, bins)``.

    Returns:
        ``(...)``; 0 where either image is constant or nothing was counted.

    Reference:
        The symmetric uncertainty 2 I(X; Y) / (H(X) + H(Y)); Press et al., Numerical
        Recipes, section on entropy.
    """
    total = np.maximum(joint.sum((-2, -1), keepdims=True), 1)
    p = joint / total
    both = _entropy(p.reshape(*p.shape[:-2], -1))
    marginal = _entropy(p.sum(-1)) + _entropy(p.sum(-2))
    shared = 2 * (marginal - both)
    return np.divide(shared, marginal, out=np.zeros_like(both), where=marginal > 1e-12)


def symmetric_information(
    first: UInt8[np.ndarray, "n"], second: UInt8[np.ndarray, "n"]
) -> float:
    """Returns `information` of two images' bins at the same places."""
    part = np.zeros(len(first), np.int64)
    return float(information(joint_histograms(first, second, part=part, parts=1))[0])


def edge_agreement(
    first: Float[np.ndarray, "d h w"],
    second: Float[np.ndarray, "d h w"],
    *,
    where: np.ndarray,
    edge_hu_per_voxel: float = 10.0,
) -> float:
    """Returns how alike the directions of edges are: 0 unrelated, 1 the same.

    The squared cosine between the gradients of two images, weighted by the strength of
    the first one's edges; edges weaker than the noise count little.

    Args:
        first: Hounsfield units on a grid of equal spacing.
        second: The other image on the same grid.
        where: The voxels that count, boolean.
        edge_hu_per_voxel: Gradient from which an edge is one.

    Reference:
        Normalised gradient fields: Haber and Modersitzki, MICCAI 2006.
    """
    one, two = (
        np.stack([slope[where] for slope in np.gradient(np.clip(hu, -200, 300))], -1)
        for hu in (first, second)
    )
    noise = edge_hu_per_voxel**2
    length_one, length_two = (one**2).sum(-1), (two**2).sum(-1)
    cosine = (one * two).sum(-1) ** 2 / ((length_one + noise) * (length_two + noise))
    weight = length_one / (length_one + noise)
    return float((weight * cosine).sum() / max(weight.sum(), 1e-12))


def _entropy(p: np.ndarray) -> np.ndarray:
    return np.asarray(-np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1))
