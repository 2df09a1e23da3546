"""Which slices are kept, where the squares around the liver lie, and cutting them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float

from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.geometry import Matrix, ijk_to_lps, map_points, resample
from liverjax.imaging.intensity import AIR_HU

_TINY = 1e-9


@dataclasses.dataclass(frozen=True)
class Patch:
    """One stored square of one slice.

    Attributes:
        slice_number: In the reference image, 0 is the most caudal.
        grid: From the square's (column, row, 0, 1) to millimetres; its third column is
            the step to the next slice of the scan.
        corner: Row and column of the scan where the square begins, if its pixels are
            the scan's own; None if they are resampled.
        position_mm: Of the slice along the stack's normal.
        liver_fraction: 0 at the caudal end of the liver, 1 at the cranial end.
        liver_area_mm2: Area of the liver (largest piece) in the slice.
        liver_px: The same in pixels of the scan.
        liver_coverage: Share of them inside the used part of the square; 1 if there are
            none.
        padded_share: Share of the used part that lies outside the scan.
    """

    slice_number: int
    grid: Matrix
    corner: tuple[int, int] | None
    position_mm: float
    liver_fraction: float
    liver_area_mm2: float
    liver_px: int
    liver_coverage: float
    padded_share: float


def choose_slices(
    first: int,
    last: int,
    *,
    slice_mm: float,
    slice_range: tuple[float, float],
    spacing_mm: float | None,
) -> list[int]:
    """Returns slice numbers in part of the liver's extent, from caudal to cranial.

    Places ``spacing_mm`` apart are laid out from the first slice in the range; each
    takes the nearest slice there is (at a tie the caudal one). Nothing is interpolated,
    and a scan that is coarser keeps every slice.

    Args:
        first: The liver's most caudal slice.
        last: Its most cranial slice.
        slice_mm: Distance of neighbouring slices.
        slice_range: Part of the extent from ``first`` (0) to ``last`` (1).
        spacing_mm: Distance of kept slices; None keeps all.
    """
    extent = max(last - first, 1)
    low, high = (first + fraction * extent for fraction in slice_range)
    inside = [
        number
        for number in range(first, last + 1)
        if low - _TINY <= number <= high + _TINY
    ]
    if spacing_mm is None or spacing_mm <= slice_mm or not inside:
        return inside
    step = spacing_mm / slice_mm
    count = int((inside[-1] - inside[0]) / step + _TINY) + 1
    places = [inside[0] + i * step for i in range(count)]
    nearest = {
        min(inside, key=lambda number: (round(abs(number - place), 6), number))
        for place in places
    }
    return sorted(nearest)


def plan_patches(
    liver: sitk.Image,
    *,
    slice_range: tuple[float, float],
    slice_spacing_mm: float | None,
    inplane_spacing_mm: float | None,
    store_px: int,
    patch_px: int,
    center: str,
) -> tuple[Patch, ...]:
    """Returns the squares to be cut from an examination, from caudal to cranial.

    Args:
        liver: Largest piece of the liver on the reference's grid, 0 and 1.
        slice_range: Part of the liver's craniocaudal extent.
        slice_spacing_mm: Distance of kept slices; None keeps all.
        inplane_spacing_mm: Pixel size; None keeps the scan's own, whose pixels are then
            taken as they are: the square's corner is the nearest whole pixel.
        store_px: Side of the square.
        patch_px: Side of its middle part that a network will see.
        center: ``liver_centroid`` (of all voxels), ``slice_centroid`` (each slice by
            itself) or ``liver_box`` (middle of the bounding box).

    Raises:
        ExaminationError: ``no-liver-slices`` if none is left in the range.
    """
    inside = sitk.GetArrayFromImage(liver) > 0
    planes = np.flatnonzero(inside.any((1, 2)))
    if not len(planes):
        raise ExaminationError("mask-empty", "the liver mask is empty")
    first, last = int(planes[0]), int(planes[-1])
    numbers = choose_slices(
        first,
        last,
        slice_mm=liver.GetSpacing()[2],
        slice_range=slice_range,
        spacing_mm=slice_spacing_mm,
    )
    if not numbers:
        raise ExaminationError(
            "no-liver-slices",
            f"the liver spans {len(planes)} slices, none of them between "
            f"{slice_range[0]:.0%} and {slice_range[1]:.0%} of its extent; expected a "
            "scan with thinner slices, or set prepare.slice_range",
        )
    patches = []
    for number in numbers:
        middle = _centre(inside, number, center=center)
        corner, grid = _square(
            liver, number, middle=middle, pixel_mm=inplane_spacing_mm, side=store_px
        )
        patches.append(
            _describe(
                liver,
                inside[number],
                number=number,
                grid=grid,
                corner=corner,
                fraction=(number - first) / (last - first) if last > first else 0.5,
                margin=(store_px - patch_px) // 2,
                side=patch_px,
            )
        )
    return tuple(patches)


def cut(
    image: sitk.Image,
    patches: Sequence[Patch],
    *,
    side: int,
    matrix: Matrix | None = None,
    nearest: bool = False,
    outside: float = AIR_HU,
) -> np.ndarray:
    """Returns an image's squares, ``(n, side, side)``, each voxel interpolated once.

    Args:
        image: The reference, or a phase with its map.
        patches: From `plan_patches`.
        side: Of the squares, pixels.
        matrix: Map from the reference to the image; None if it is on the reference's
            own grid, where whole pixels are copied without interpolation.
        nearest: For labels.
        outside: Value beyond the scan.
    """
    squares = []
    values = sitk.GetArrayViewFromImage(image)
    for patch in patches:
        if matrix is None and patch.corner is not None:
            plane = values[patch.slice_number]
            squares.append(_crop(plane, patch.corner, side=side, outside=outside))
        else:
            squares.append(
                resample(
                    image,
                    grid=patch.grid,
                    shape=(1, side, side),
                    matrix=matrix,
                    nearest=nearest,
                    outside=outside,
                )[0]
            )
    return np.stack(squares)


def smooth_in_plane(image: sitk.Image, *, pixel_mm: float | None) -> sitk.Image:
    """Returns an image blurred as much as coarser pixels would blur it.

    Without it, a linear interpolation at every third pixel would skip the other two and
    keep their noise. Nothing changes where the pixels are not coarser.

    Args:
        image: HU.
        pixel_mm: The pixel size it will be resampled to; None changes nothing.

    Reference:
        Cardoso et al., MICCAI 2015, "Scale factor point spread function matching": the
        blur's variance is the difference of the two pixels' variances.
    """
    if pixel_mm is None:
        return image
    for axis, spacing in enumerate(image.GetSpacing()[:2]):
        if pixel_mm > spacing * 1.01:
            full_width = 2 * math.sqrt(2 * math.log(2))
            sigma = math.sqrt(pixel_mm**2 - spacing**2) / full_width
            image = sitk.RecursiveGaussian(
                sitk.Cast(image, sitk.sitkFloat32), sigma=sigma, direction=axis
            )
    return image


def _centre(
    inside: Bool[np.ndarray, "d h w"], number: int, *, center: str
) -> Float[np.ndarray, "2"]:
    """Row and column of the square's middle."""
    plane = inside[number]
    if center == "slice_centroid" and plane.any():
        return np.argwhere(plane).mean(0)
    if center == "liver_box":
        shadow = np.argwhere(inside.any(0))
        return (shadow.min(0) + shadow.max(0)) / 2
    rows, columns = inside.sum((0, 2)), inside.sum((0, 1))
    return np.array([np.average(np.arange(len(n)), weights=n) for n in (rows, columns)])


def _square(
    image: sitk.Image,
    number: int,
    *,
    middle: Float[np.ndarray, "2"],
    pixel_mm: float | None,
    side: int,
) -> tuple[tuple[int, int] | None, Matrix]:
    scan = ijk_to_lps(image)
    grid = scan.copy()
    if pixel_mm is None:
        row, column = (int(n) for n in np.floor(middle - (side - 1) / 2 + 0.5))
        grid[:3, 3] = (scan @ [column, row, number, 1])[:3]
        return (row, column), grid
    grid[:3, :2] *= pixel_mm / np.array(image.GetSpacing()[:2])
    place = scan @ [middle[1], middle[0], number, 1]
    grid[:3, 3] = place[:3] - grid[:3, :2].sum(1) * (side - 1) / 2
    return None, grid


def _describe(
    image: sitk.Image,
    plane: Bool[np.ndarray, "h w"],
    *,
    number: int,
    grid: Matrix,
    corner: tuple[int, int] | None,
    fraction: float,
    margin: int,
    side: int,
) -> Patch:
    scan = ijk_to_lps(image)
    rows, columns = np.nonzero(plane)
    voxels = np.stack([columns, rows, np.full(len(rows), number)], -1).astype(float)
    places = map_points(np.linalg.inv(grid) @ scan, voxels)[:, :2] - margin
    seen = ((places > -0.5) & (places <= side - 0.5)).all(1)

    used = np.arange(side) + margin
    pixels = np.stack(np.meshgrid(used, used, [0], indexing="ij"), -1).reshape(-1, 3)
    back = map_points(np.linalg.inv(scan) @ grid, pixels.astype(float))[:, :2]
    last = np.array(image.GetSize()[:2])
    scanned = ((back > -0.5 - _TINY) & (back < last - 0.5 + _TINY)).all(1)

    normal = scan[:3, 2] / np.linalg.norm(scan[:3, 2])
    return Patch(
        slice_number=number,
        grid=grid,
        corner=corner,
        position_mm=float(normal @ (scan @ [0, 0, number, 1])[:3]),
        liver_fraction=float(fraction),
        liver_area_mm2=float(len(rows) * np.prod(image.GetSpacing()[:2])),
        liver_px=len(rows),
        liver_coverage=float(np.mean(seen)) if len(rows) else 1.0,
        padded_share=float(1 - scanned.mean()),
    )


def _crop(
    plane: np.ndarray, corner: tuple[int, int], *, side: int, outside: float
) -> np.ndarray:
    square = np.full((side, side), outside, plane.dtype)
    inner, outer = [], []
    for start, size in zip(corner, plane.shape, strict=True):
        low, high = max(start, 0), min(start + side, size)
        outer.append(slice(low, max(high, low)))
        inner.append(slice(low - start, max(high, low) - start))
    square[tuple(inner)] = plane[tuple(outer)]
    return square
