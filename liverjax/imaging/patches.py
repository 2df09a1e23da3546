"""Axial squares around the liver: which slices, where, and what they show of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float, Int, UInt8

from liverjax.imaging.geometry import Matrix, ijk_to_lps, map_points, resample

# From this many native pixels a record's pixel is read from means of whole blocks.
_BLOCK_FROM = 2.0


@dataclasses.dataclass(frozen=True)
class Patch:
    """One square of one slice.

    Attributes:
        slice: Its number in the reference image, 0 at the caudal end.
        fraction: Its place in the liver's extent, 0 caudal, 1 cranial.
        grid: From the stored square's (column, row, 0, 1) to LPS millimetres.
        liver_area_mm2: Of the whole slice.
        liver_coverage: Share of that area inside the used square.
        padded_share: Share of the used square outside the scan.
    """

    slice: int
    fraction: float
    grid: Matrix
    liver_area_mm2: float
    liver_coverage: float
    padded_share: float


def choose_slices(
    liver: Bool[np.ndarray, "d h w"],
    *,
    slice_range: tuple[float, float],
    spacing_mm: float,
    step_mm: float | None,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Returns the kept slices and their fractions of the liver's extent.

    The existing slice nearest to each step is taken, once; nothing is interpolated, and
    a coarser scan keeps every slice.

    Args:
        liver: One piece; its first axis runs from caudal to cranial.
        slice_range: Kept part of the extent, from caudal.
        spacing_mm: Distance of the scan's slices.
        step_mm: Wanted distance; None keeps every slice.
    """
    occupied = np.flatnonzero(liver.any(axis=(1, 2)))
    lowest, extent = int(occupied[0]), max(int(occupied[-1] - occupied[0]), 1)
    first, last = (lowest + share * extent for share in slice_range)
    if step_mm is None or step_mm <= spacing_mm:
        wanted = np.arange(np.ceil(first - 1e-9), np.floor(last + 1e-9) + 1)
    else:
        wanted = np.arange(first, last + 1e-9, step_mm / spacing_mm)
    chosen = np.unique(np.floor(wanted + 0.5).astype(int))
    if not len(chosen):
        chosen = np.array([int(np.floor((first + last) / 2 + 0.5))])
    return chosen, (chosen - lowest) / extent


def place_patches(
    image: sitk.Image,
    liver: sitk.Image,
    *,
    slice_range: tuple[float, float],
    step_mm: float | None,
    pixel_mm: float | None,
    patch_px: int,
    store_px: int,
    center: str,
) -> tuple[Patch, ...]:
    """Returns the squares to cut, from caudal to cranial.

    Args:
        image: The reference phase, in the order of `grids.to_caudal_cranial`.
        liver: Its mask, one piece.
        slice_range: Kept part of the liver's extent.
        step_mm: Wanted distance of slices; None keeps every slice.
        pixel_mm: Pixel of the records; None keeps the scan's pixels where they are.
        patch_px: Side of the used square.
        store_px: Side of the stored square around it.
        center: ``liver_centroid`` (of the whole liver), ``slice_centroid`` or
            ``liver_box`` (middle of the bounding box).
    """
    inside = sitk.GetArrayViewFromImage(liver) > 0
    native = np.array(image.GetSpacing()[:2])
    chosen, fractions = choose_slices(
        inside,
        slice_range=slice_range,
        spacing_mm=image.GetSpacing()[2],
        step_mm=step_mm,
    )
    base = ijk_to_lps(image)
    step = np.ones(2) if pixel_mm is None else pixel_mm / native  # in native pixels
    margin = (store_px - patch_px) // 2
    patches = []
    for number, fraction in zip(chosen, fractions, strict=True):
        corner = _centre(inside, int(number), how=center) - step * (store_px - 1) / 2
        if pixel_mm is None:
            corner = np.floor(corner + 0.5)
        grid = base.copy()
        grid[:3, :2] *= step
        grid[:3, 3] = map_points(base, np.array([[*corner, float(number)]]))[0]
        low = corner + step * margin
        high = low + step * (patch_px - 1)
        area = np.count_nonzero(inside[number])
        patches.append(
            Patch(
                slice=int(number),
                fraction=float(fraction),
                grid=grid,
                liver_area_mm2=float(area * native.prod()),
                liver_coverage=_covered(
                    inside[number], low - step / 2, high + step / 2
                ),
                padded_share=_padded(image, corner, step, margin, patch_px),
            )
        )
    return tuple(patches)


def cut(
    image: sitk.Image,
    patches: tuple[Patch, ...],
    *,
    side_px: int,
    matrix: Matrix | None,
    outside: float,
    nearest: bool = False,
) -> np.ndarray:
    """Returns the squares of one image, ``(n, side, side)``, in one interpolation.

    Where a record's pixel spans two or more of the image's, means of whole blocks of
    pixels are read, so that fine structure is averaged and not aliased.

    Args:
        image: HU, or labels with ``nearest``.
        patches: Where to read, in the reference's frame.
        side_px: Side of the stored square.
        matrix: Rigid map from the reference to this image; None for the reference.
        outside: Value where the image does not reach.
        nearest: Take the nearest voxel (labels).
    """
    if not nearest:
        pixel = np.linalg.norm(patches[0].grid[:3, :2], axis=0)
        blocks = pixel / np.array(image.GetSpacing()[:2]) + 1e-6
        if (blocks >= _BLOCK_FROM).all():
            image = sitk.BinShrink(image, [int(blocks[0]), int(blocks[1]), 1])
    return np.concatenate(
        [
            resample(
                image,
                grid=patch.grid,
                shape=(1, side_px, side_px),
                matrix=matrix,
                nearest=nearest,
                outside=outside,
            )
            for patch in patches
        ]
    )


def used_part(
    images: UInt8[np.ndarray, "n side side *c"], *, patch_px: int
) -> UInt8[np.ndarray, "n px px *c"]:
    """Returns the middle of stored squares: what a network sees when nothing warps."""
    margin = (images.shape[1] - patch_px) // 2
    return images[:, margin : margin + patch_px, margin : margin + patch_px]


def _centre(inside: np.ndarray, number: int, *, how: str) -> Float[np.ndarray, "2"]:
    """Centre of the square as (column, row), in native pixels."""
    plane = inside.any(axis=0)
    if how == "slice_centroid" and inside[number].any():
        rows, columns = np.nonzero(inside[number])
    elif how == "liver_box":
        occupied = [np.flatnonzero(plane.any(axis=axis)) for axis in (0, 1)]
        return np.array([(found[0] + found[-1]) / 2 for found in occupied])
    else:
        weight = inside.sum(axis=0)
        total = weight.sum()
        rows = (weight.sum(axis=1) * np.arange(weight.shape[0])).sum() / total
        columns = (weight.sum(axis=0) * np.arange(weight.shape[1])).sum() / total
    return np.array([np.mean(columns), np.mean(rows)])


def _covered(liver: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of a slice's liver whose pixel centres lie between two corners."""
    rows, columns = np.nonzero(liver)
    if not len(rows):
        return 1.0
    within = (columns >= low[0]) & (columns <= high[0])
    within &= (rows >= low[1]) & (rows <= high[1])
    return float(within.mean())


def _padded(
    image: sitk.Image, corner: np.ndarray, step: np.ndarray, margin: int, px: int
) -> float:
    shares = []
    for axis in range(2):
        places = corner[axis] + step[axis] * (margin + np.arange(px))
        scanned = (places >= -0.5) & (places <= image.GetSize()[axis] - 0.5)
        shares.append(scanned.mean())
    return float(1 - shares[0] * shares[1])
