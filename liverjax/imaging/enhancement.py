"""How bright vessels and liver are, from a CT alone: evidence for its phase."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float
from scipy import ndimage

# A grid on which noise is averaged and an aorta is still four voxels wide.
_COARSE_MM = (5.0, 4.0, 4.0)
# Organs, unenhanced or not; ascites and fat lie below, bone above.
_TISSUE_HU = (25.0, 220.0)
# Between neighbouring coarse voxels; the edge of an organ in fat has three times that.
_MAX_SLOPE_HU = 20.0
_MIN_LIVER_RADIUS_MM = 25.0
_BONE_HU = 180.0
# The aorta against the spine's middle: to the front, and from the midline to the left.
_AORTA_FRONT_MM = (40.0, 90.0)
_AORTA_LEFT_MM = (-20.0, 45.0)
_VESSEL_HU = (20.0, 550.0)


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """Brightness in HU; NaN where no place for it was found.

    Attributes:
        vessel_hu: Brightest even disc in front of the spine, median over slices: the
            aorta when it is enhanced.
        liver_hu: Median of the largest ball of even tissue on the right side.
    """

    vessel_hu: float
    liver_hu: float


def measure_enhancement(image: sitk.Image) -> Enhancement:
    """Returns how bright a CT's vessels and liver are, without any mask.

    Good to tell phases apart, not to measure: the ball may lie in another organ when
    the liver is small or outside the scan.

    Args:
        image: HU, in the order of `grids.to_caudal_cranial`.
    """
    steps = [
        max(1, round(wanted / have))
        for wanted, have in zip(_COARSE_MM[::-1], image.GetSpacing(), strict=True)
    ]
    steps = [min(s, n) for s, n in zip(steps, image.GetSize(), strict=True)]
    coarse = sitk.BinShrink(image, steps) if max(steps) > 1 else image
    volume = sitk.GetArrayFromImage(coarse).astype(np.float32)
    width_mm, height_mm, depth_mm = coarse.GetSpacing()
    spacing_mm = (depth_mm, height_mm, width_mm)
    body = _body(volume)
    if not body.any():
        return Enhancement(math.nan, math.nan)
    middle = int(np.median(np.nonzero(body)[2]))
    return Enhancement(
        vessel_hu=_vessel_hu(volume, body=body, middle=middle, spacing_mm=spacing_mm),
        liver_hu=_liver_hu(volume, body=body, middle=middle, spacing_mm=spacing_mm),
    )


def _body(volume: Float[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    """The largest piece denser than fat's lower end, without the table."""
    dense = ndimage.binary_opening(volume > -250, iterations=2)
    pieces, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(volume.shape, bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def _liver_hu(
    volume: Float[np.ndarray, "d h w"],
    *,
    body: Bool[np.ndarray, "d h w"],
    middle: int,
    spacing_mm: tuple[float, float, float],
) -> float:
    low, high = _TISSUE_HU
    smooth = ndimage.uniform_filter(volume, 3)
    slope = ndimage.gaussian_gradient_magnitude(volume, 1.0)
    even = body & (smooth > low) & (smooth < high) & (slope < _MAX_SLOPE_HU)
    even = ndimage.binary_opening(even)
    even[:, :, middle:] = False
    # Outside the scan there is no tissue, so that a ball stays inside it.
    inside = np.pad(even, 1)
    radius = np.asarray(ndimage.distance_transform_edt(inside, sampling=spacing_mm))
    place = np.unravel_index(radius.argmax(), radius.shape)
    largest = float(radius[place])
    if largest < _MIN_LIVER_RADIUS_MM:
        return math.nan
    grids = np.meshgrid(
        *[
            (np.arange(n) - (p - 1)) * step
            for n, p, step in zip(volume.shape, place, spacing_mm, strict=True)
        ],
        indexing="ij",
        sparse=True,
    )
    ball = sum(grid**2 for grid in grids) < (0.8 * largest) ** 2
    return float(np.median(volume[ball]))


def _vessel_hu(
    volume: Float[np.ndarray, "d h w"],
    *,
    body: Bool[np.ndarray, "d h w"],
    middle: int,
    spacing_mm: tuple[float, float, float],
) -> float:
    _, height_mm, width_mm = spacing_mm
    columns = np.arange(volume.shape[2])
    central = np.abs(columns - middle) * width_mm < 45
    rows = np.nonzero(body)[1]
    behind = np.arange(volume.shape[1])[:, None] > (rows.min() + rows.max()) / 2
    mean = ndimage.uniform_filter(volume, 3, axes=(1, 2))
    texture = ndimage.uniform_filter(volume**2, 3, axes=(1, 2)) - mean**2
    even = texture < np.maximum(15.0, 0.1 * mean) ** 2
    # A full aorta is as dense as bone, but even, and would pull the middle forward.
    full = ndimage.binary_dilation(
        even & (mean > _BONE_HU), np.ones((1, 3, 3), bool), iterations=2
    )
    bone = (volume > _BONE_HU) & body & central & behind & ~full
    if bone.sum() < 50:
        return math.nan
    row, column = (float(np.median(axis)) for axis in np.nonzero(bone)[1:])
    front_mm = (row - np.arange(volume.shape[1])[:, None]) * height_mm
    left_mm = (columns - column) * width_mm
    near, far = _AORTA_FRONT_MM
    right, left = _AORTA_LEFT_MM
    window = (front_mm > near) & (front_mm < far) & (left_mm > right) & (left_mm < left)
    low, high = _VESSEL_HU
    vessel = window & even & (mean > low) & (mean < high) & body
    brightest = np.where(vessel, mean, -np.inf).max(axis=(1, 2))
    found = brightest[np.isfinite(brightest)]
    return float(np.median(found)) if len(found) >= 5 else math.nan
