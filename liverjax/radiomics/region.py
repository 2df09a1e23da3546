"""From image and mask to the region that features are computed on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from liverjax.errors import InputError
from liverjax.radiomics.settings import INTERPOLATIONS, Number, Settings

Spacing = tuple[Number, Number, Number]
# Just under half a voxel: 0.5 that interpolation returns as 0.49999999 is inside.
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Region:
    """An interpolated image with its two masks.

    Attributes:
        image: Intensities.
        morphology: The shape, before re-segmentation.
        intensity: The voxels whose intensities count.
        spacing_mm: Voxel size.
    """

    image: Float[np.ndarray, "d h w"]
    morphology: Bool[np.ndarray, "d h w"]
    intensity: Bool[np.ndarray, "d h w"]
    spacing_mm: Spacing

    def within(self, box: tuple[slice, slice, slice]) -> Region:
        """Returns the part of it in a box."""
        return Region(
            self.image[box], self.morphology[box], self.intensity[box], self.spacing_mm
        )


def make_region(
    image: Float[np.ndarray, "d h w"],
    *,
    mask: Bool[np.ndarray, "..."],
    spacing_mm: Spacing,
    settings: Settings,
) -> Region:
    """Returns the region: interpolated, rounded, re-segmented.

    Raises:
        InputError: If the mask is empty, also after interpolation or re-segmentation,
            has too few voxels, or the image holds a NaN or infinite value inside it.
    """
    if image.shape != mask.shape:
        raise InputError(
            f"the image has shape {image.shape}, the mask {mask.shape}: both must "
            "be on one grid; resample the mask onto the image"
        )
    if not mask.any():
        raise InputError("the mask is empty: there is nothing to measure")
    if not np.isfinite(image).all():
        count = int((~np.isfinite(image)).sum())
        raise InputError(f"the image holds {count} NaN or infinite values; mend it")
    if min(spacing_mm) <= 0:
        raise InputError(f"spacing {spacing_mm} mm: every entry must be above 0")
    if settings.new_spacing_mm is not None:
        wanted = tuple(
            old if new is None else float(new)
            for old, new in zip(spacing_mm, settings.new_spacing_mm, strict=True)
        )
        if settings.preset == "pyradiomics":
            image, mask, spacing_mm = resample_from_corner(
                image,
                mask=mask,
                old_mm=spacing_mm,
                new_mm=wanted,
                kind=settings.interpolation,
            )
        else:
            image = resample(
                image, old_mm=spacing_mm, new_mm=wanted, kind=settings.interpolation
            )
            part = resample(
                mask.astype(float),
                old_mm=spacing_mm,
                new_mm=wanted,
                kind=settings.mask_interpolation,
            )
            mask, spacing_mm = part >= settings.mask_threshold - ROUNDING, wanted
    if settings.round_intensities:
        image = np.trunc(image) if settings.preset == "pyradiomics" else np.rint(image)
    inside = resegment(image, mask=mask, settings=settings)
    count = int(inside.sum())
    if count < settings.min_voxels or not count:
        raise InputError(
            f"{count} voxels are left of the mask after interpolation and "
            f"re-segmentation; at least {max(settings.min_voxels, 1)} are needed"
        )
    return Region(image, mask, inside, spacing_mm)


def resample(
    image: Float[np.ndarray, "d h w"], *, old_mm: Spacing, new_mm: Spacing, kind: str
) -> Float[np.ndarray, "a b c"]:
    """Returns the image on a new grid that shares the old one's centre.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 2.4: as many voxels
        as cover the old extent, grids aligned at the centre.
    """
    shape = np.array(image.shape)
    ratio = np.array(new_mm) / np.array(old_mm)
    size = np.ceil(np.round(shape / ratio, 6)).astype(int)
    offset = (shape - 1) / 2 - (size - 1) / 2 * ratio
    if (size == shape).all() and np.allclose(ratio, 1):
        return image
    return ndimage.affine_transform(
        image,
        ratio,
        offset=offset,
        output_shape=tuple(int(n) for n in size),
        order=INTERPOLATIONS[kind],
        mode="nearest",
    )


def resample_from_corner(
    image: Float[np.ndarray, "d h w"],
    *,
    mask: Bool[np.ndarray, "d h w"],
    old_mm: Spacing,
    new_mm: Spacing,
    kind: str,
) -> tuple[Float[np.ndarray, "a b c"], Bool[np.ndarray, "a b c"], Spacing]:
    """Returns image, mask and voxel size on PyRadiomics' grid, around the mask alone.

    The grids share the first voxel's outer corner; the mask takes its nearest voxel; an
    axis along which the region is one voxel thick stays as it is.

    Reference:
        van Griethuysen et al., Cancer Research 2017;77:e104-e107, and the package's
        documentation of resampling.
    """
    steps, starts, places, size = [], [], [], []
    spacing = list(new_mm)
    for axis, side in enumerate(crop(mask)):
        length = image.shape[axis]
        if side.stop - side.start == 1:
            spacing[axis] = old_mm[axis]
        step = spacing[axis] / old_mm[axis]
        low = max(math.floor((side.start - 0.5) / step), 0)
        high = min(math.ceil((side.stop - 0.5) / step), math.ceil(length / step) - 1)
        where = (np.arange(low, high + 1) + 0.5) * step - 0.5
        nearest = np.floor(where + 0.5).astype(int)
        # The last voxel's centre may lie beyond the image.
        where, nearest = where[nearest < length], nearest[nearest < length]
        steps.append(step)
        starts.append(float(where[0]))
        places.append(nearest)
        size.append(len(where))
    made = ndimage.affine_transform(
        image,
        np.array(steps),
        offset=starts,
        output_shape=tuple(size),
        order=INTERPOLATIONS[kind],
        mode="mirror",
    )
    return made, mask[np.ix_(*places)], (spacing[0], spacing[1], spacing[2])


def resegment(
    image: Float[np.ndarray, "d h w"],
    *,
    mask: Bool[np.ndarray, "d h w"],
    settings: Settings,
) -> Bool[np.ndarray, "d h w"]:
    """Returns the intensity mask: range first, then outliers of the whole mask."""
    keep = mask.copy()
    if settings.intensity_range is not None:
        low, high = settings.intensity_range
        if low is not None:
            keep &= image >= low
        if high is not None:
            keep &= image <= high
    if settings.outlier_sigma is not None and keep.any():
        values = image[keep]
        reach = settings.outlier_sigma * values.std()
        keep &= np.abs(image - values.mean()) <= reach
    return keep


def discretise(
    region: Region,
    *,
    bin_number: int | None,
    bin_width: Number | None,
    low: Number | None,
) -> Int[np.ndarray, "d h w"]:
    """Returns grey levels from 1 on inside the intensity mask, 0 outside.

    Args:
        region: Of one examination.
        bin_number: Levels over the region's own range.
        bin_width: Width of a level from ``low`` (or the minimum) on.
        low: Where the first level begins.

    Raises:
        InputError: If without bins the intensities are not whole numbers from 1 on.
    """
    values = region.image[region.intensity]
    if bin_number is not None:
        start, end = values.min(), values.max()
        if start == end:
            found = np.ones(values.shape, int)
        else:
            found = np.floor(bin_number * (values - start) / (end - start)) + 1
            found = np.minimum(found, bin_number)
    elif bin_width is not None:
        start = values.min() if low is None else low
        found = np.maximum(np.floor((values - start) / bin_width) + 1, 1)
    else:
        found = np.rint(values)
        if found.min() < 1 or np.abs(found - values).max() > ROUNDING:
            raise InputError(
                "without bin_number or bin_width intensities must be whole grey levels "
                f"from 1 on; found {values.min():g} to {values.max():g}"
            )
    levels = np.zeros(region.image.shape, np.int64)
    levels[region.intensity] = found.astype(np.int64)
    return levels


def crop(
    mask: Bool[np.ndarray, "d h w"], *, margin: tuple[int, int, int] = (0, 0, 0)
) -> tuple[slice, slice, slice]:
    """Returns the mask's bounding box, widened by a margin inside the array."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(mask.any(axis=others))
        low = max(int(where[0]) - margin[axis], 0)
        high = min(int(where[-1]) + 1 + margin[axis], mask.shape[axis])
        box.append(slice(low, high))
    return box[0], box[1], box[2]


def margin_px(reach_mm: float, *, spacing_mm: Spacing) -> tuple[int, int, int]:
    """Returns how many voxels cover a distance along each axis."""
    d, h, w = (math.ceil(reach_mm / size) for size in spacing_mm)
    return d, h, w
