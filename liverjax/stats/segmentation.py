"""How well a mask covers another: overlap, volumes, distances of surfaces in mm.

Packages do not agree on the 95th percentile of the Hausdorff distance: `hd95_mm` is the
larger of the two directed percentiles (MONAI), `hd95_pooled_mm` the percentile of both
directions' distances together (MedPy). Name the one that is reported.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Shares and volumes of two masks.

    NaN where both masks are empty; where one is, overlaps are 0.

    Attributes:
        dice: 2 TP / (2 TP + FP + FN).
        jaccard: TP / (TP + FP + FN).
        volume_ml: Of the predicted mask.
        true_volume_ml: Of the true mask.
        volume_difference_ml: Predicted minus true.
        relative_volume_difference: That over the true volume; infinite or NaN where it
            is empty.
        volumetric_similarity: 1 - |difference| / sum.
    """

    dice: float
    jaccard: float
    volume_ml: float
    true_volume_ml: float
    volume_difference_ml: float
    relative_volume_difference: float
    volumetric_similarity: float


@dataclasses.dataclass(frozen=True)
class SurfaceDistances:
    """Distances between the surfaces of two masks, in millimetres.

    All are NaN where both masks are empty and infinite where one is (shares: 0).

    Attributes:
        hd_mm: Hausdorff distance, the largest of all.
        hd_to_truth_mm: The largest from the predicted to the true surface.
        hd_from_truth_mm: The largest the other way.
        hd95_mm: Larger of the two directed 95th percentiles (MONAI).
        hd95_pooled_mm: 95th percentile of both directions together (MedPy).
        asd_to_truth_mm: Mean from the predicted to the true surface.
        asd_from_truth_mm: Mean the other way.
        assd_mm: Mean of both directions' distances together.
        assd_of_means_mm: Mean of the two directed means.
        surface_dice: Share of both surfaces within the tolerance of the other.
        tolerance_mm: That tolerance.
    """

    hd_mm: float
    hd_to_truth_mm: float
    hd_from_truth_mm: float
    hd95_mm: float
    hd95_pooled_mm: float
    asd_to_truth_mm: float
    asd_from_truth_mm: float
    assd_mm: float
    assd_of_means_mm: float
    surface_dice: float
    tolerance_mm: float


def overlap(
    predicted: Bool[np.ndarray, "*shape"],
    *,
    truth: Bool[np.ndarray, "..."],
    spacing_mm: Sequence[float | int],
) -> Overlap:
    """Returns Dice, Jaccard and volumes; a 2-D mask is one slice of 1 mm.

    Raises:
        ValueError: If the spacing does not fit the masks or is not positive.

    Reference:
        Dice, Ecology 26 (1945) 297; Taha and Hanbury, BMC Medical Imaging 15 (2015) 29.
    """
    _check(predicted, truth, spacing_mm)
    voxel_ml = math.prod(spacing_mm) / 1000
    both = int(np.count_nonzero(predicted & truth))
    one, two = int(np.count_nonzero(predicted)), int(np.count_nonzero(truth))
    union = one + two - both
    volume, true_volume = one * voxel_ml, two * voxel_ml
    gap = volume - true_volume
    relative = math.nan if one == 0 else math.inf
    return Overlap(
        dice=2 * both / (one + two) if union else math.nan,
        jaccard=both / union if union else math.nan,
        volume_ml=volume,
        true_volume_ml=true_volume,
        volume_difference_ml=gap,
        relative_volume_difference=gap / true_volume if two else relative,
        volumetric_similarity=1 - abs(one - two) / (one + two) if union else math.nan,
    )


def surface_distances(
    predicted: Bool[np.ndarray, "*shape"],
    *,
    truth: Bool[np.ndarray, "..."],
    spacing_mm: Sequence[float | int],
    tolerance_mm: float = 1.0,
) -> SurfaceDistances:
    """Returns the distances between two masks' surfaces.

    A surface is the voxels of a mask with a face on the outside (or on the border of
    the image); distances are between voxels' centres. In a one-slice volume every voxel
    is surface: give such a slice as a 2-D mask.

    Args:
        predicted: The judged mask.
        truth: The reference.
        spacing_mm: Of each axis.
        tolerance_mm: For the surface Dice; a distance equal to it counts.

    Raises:
        ValueError: If the spacing does not fit the masks or is not positive.

    Reference:
        Nikolov et al., Journal of Medical Internet Research 23 (2021) e26151 (surface
        Dice); Maier-Hein et al., Nature Methods 21 (2024) 195.
    """
    _check(predicted, truth, spacing_mm)
    one, two = bool(predicted.any()), bool(truth.any())
    if not (one and two):
        empty = math.inf if one or two else math.nan
        share = 0.0 if one or two else math.nan
        return SurfaceDistances(
            *(empty, empty, empty, empty, empty, empty, empty, empty, empty),
            surface_dice=share,
            tolerance_mm=tolerance_mm,
        )
    points = surface_points_mm(predicted, spacing_mm=spacing_mm)
    true_points = surface_points_mm(truth, spacing_mm=spacing_mm)
    there = KDTree(true_points).query(points)[0]
    back = KDTree(points).query(true_points)[0]
    both = np.concatenate([there, back])
    # Rounding of the distances must not push one over the tolerance that it equals.
    near = np.count_nonzero(both <= tolerance_mm * (1 + 1e-12))
    directed = np.percentile(there, 95), np.percentile(back, 95)
    return SurfaceDistances(
        hd_mm=float(both.max()),
        hd_to_truth_mm=float(there.max()),
        hd_from_truth_mm=float(back.max()),
        hd95_mm=float(max(directed)),
        hd95_pooled_mm=float(np.percentile(both, 95)),
        asd_to_truth_mm=float(there.mean()),
        asd_from_truth_mm=float(back.mean()),
        assd_mm=float(both.mean()),
        assd_of_means_mm=float((there.mean() + back.mean()) / 2),
        surface_dice=near / len(both),
        tolerance_mm=tolerance_mm,
    )


def surface_points_mm(
    mask: Bool[np.ndarray, "*shape"], *, spacing_mm: Sequence[float | int]
) -> Float[np.ndarray, "p axes"]:
    """Returns the centres of a mask's surface voxels, relative to the first voxel's."""
    start, box = _box(mask)
    inside = box.copy()
    for axis in range(box.ndim):
        # Both neighbours along the axis; beyond the box is outside.
        along, whole = np.moveaxis(inside, axis, 0), np.moveaxis(box, axis, 0)
        along[1:] &= whole[:-1]
        along[:-1] &= whole[1:]
        along[[0, -1]] = False
    found = np.argwhere(box & ~inside) + start
    return found * np.asarray(spacing_mm, float)


def _box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box around a mask: its first index and what it holds."""
    start, cut = [], []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        start.append(filled[0])
        cut.append(slice(filled[0], filled[-1] + 1))
    return np.array(start), mask[tuple(cut)]


def _check(
    predicted: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float | int]
) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of {predicted.shape} and {truth.shape} voxels")
    if len(spacing_mm) != predicted.ndim or min(spacing_mm) <= 0:
        raise ValueError(
            f"spacing {tuple(spacing_mm)} mm: a positive one for each of "
            f"{predicted.ndim} axes"
        )
