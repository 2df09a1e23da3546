"""The other phases of a real scan, made from one phase by a known motion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from liverjax.phantom.grid import Grid, Points
from liverjax.phantom.motion import PhaseMotion
from liverjax.phantom.render import SLAB_VOXELS
from liverjax.phantom.shapes import Axes, Field

BoolField = Bool[np.ndarray, "..."]

OUTSIDE_HU = -1024.0
BONE_HU = 250.0
BONE_ML = 2.0
COARSE_MM = 3.0
# Beyond this distance from the liver nothing breathes.
REACH_MM = 90.0


def apply_motion(
    volume: Float[np.ndarray, "d h w"],
    *,
    grid: Grid,
    motion: PhaseMotion,
    liver: Bool[np.ndarray, "d h w"] | None = None,
    still: Bool[np.ndarray, "d h w"] | None = None,
    moving_grid: Grid | None = None,
) -> Float[np.ndarray, "k m n"]:
    """The scan after a motion: every point p of the liver is found at `move_liver(p)`.

    What must not breathe (spine, ribs, skin) is found at `move_body(p)`; between the
    two the tissue gives way. Interpolation is linear, outside the scan is -1024 HU.

    Args:
        volume: A scan in HU, the fixed image.
        grid: Its voxels.
        motion: Where body and liver go.
        liver: Mask of the liver; needed if the liver breathes.
        still: Mask of what does not breathe; `find_still` if left out.
        moving_grid: Voxels of the result; those of the scan if left out.

    Raises:
        ValueError: If the liver breathes and its mask is missing, empty or of another
            shape.
    """
    moving_grid = moving_grid or grid
    breathing = None
    if any(motion.liver_shift_mm) or motion.bend_mm != 0:
        if liver is None or liver.shape != volume.shape or not liver.any():
            raise ValueError(
                "motion moves the liver, so a mask of the liver is needed, not empty "
                f"and of the scan's shape {volume.shape}"
            )
        still = find_still(volume, grid=grid) if still is None else still
        breathing = _Breathing(liver, still, grid=grid, motion=motion)
    d, h, w = moving_grid.shape
    back = np.linalg.inv(motion.matrix) @ moving_grid.ijk_to_lps
    moved = np.empty(moving_grid.shape, np.float32)
    step = max(1, SLAB_VOXELS // (h * w))
    for first in range(0, d, step):
        last = min(first + step, d)
        points = Points(matrix=back, shape=(last - first, h, w), start=(first, 0, 0))
        axes = points.axes()
        if breathing is not None:
            axes = breathing.undo(axes)
        moved[first:last] = _linear(volume, axes, grid=grid, outside=OUTSIDE_HU)
    return moved


def imitate_phase(
    rng: np.random.Generator,
    *,
    volume: Float[np.ndarray, "d h w"],
    liver: Bool[np.ndarray, "d h w"],
    phase: str,
    noise_hu: float = 10.0,
) -> Float[np.ndarray, "d h w"]:
    """A venous scan with the contrast of another phase, and noise of its own.

    Native: what contrast has brightened goes back to about 50 HU. Arterial: the liver
        goes
    back likewise, blood and what else is as bright gains up to 120 HU; bone keeps its
    HU.

    Args:
        rng: Source of the noise.
        volume: A venous scan in HU.
        liver: Mask of the liver.
        phase: `native`, `arterial` or `venous` (noise only).
        noise_hu: Standard deviation of the noise.

    Raises:
        ValueError: For another phase.
    """
    if phase not in ("native", "arterial", "venous"):
        raise ValueError(f"phase is {phase!r}, expected native, arterial or venous")
    edge = ndimage.gaussian_filter(liver.astype(np.float32), 1.0)
    # Soft tissue enhanced by contrast lies between 50 HU and bone.
    plain = volume - 0.75 * np.clip(volume - 50.0, 0, 100.0) * _step(
        volume, 400.0, 250.0
    )
    if phase == "native":
        hu = plain
    elif phase == "arterial":
        bright = _step(volume, 90.0, 150.0) * _step(volume, 400.0, 260.0)
        hu = edge * plain + (1 - edge) * (volume + np.float32(120.0) * bright)
    else:
        hu = volume
    noise = ndimage.gaussian_filter(
        rng.standard_normal(volume.shape, dtype=np.float32), (0.0, 0.6, 0.6)
    )
    noisy = hu + np.float32(noise_hu / noise.std()) * noise
    return np.clip(np.rint(noisy), OUTSIDE_HU, 3071.0).astype(np.float32)


def find_still(
    volume: Float[np.ndarray, "d h w"], *, grid: Grid
) -> Bool[np.ndarray, "d h w"]:
    """Mask of what does not breathe in a scan: bones, and the air around the body.

    Args:
        volume: A scan in HU.
        grid: Its voxels.
    """
    voxel_ml = float(np.prod(grid.spacing_mm)) / 1000.0
    labels = _label(volume > BONE_HU)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    bone = (sizes * voxel_ml >= BONE_ML)[labels]
    air = _label(volume < -300.0)
    rim = np.concatenate([air[:, [0, -1]].ravel(), air[:, :, [0, -1]].ravel()])
    outer = np.setdiff1d(np.unique(rim), [0])
    return bone | np.isin(air, outer)


def _label(mask: Bool[np.ndarray, "d h w"]) -> Int[np.ndarray, "d h w"]:
    """Numbers of the connected pieces of a mask, from 1; 0 outside."""
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=labels)
    return labels


class _Breathing:
    """How far the tissue around a breathing liver follows it."""

    def __init__(
        self,
        liver: Bool[np.ndarray, "d h w"],
        still: Bool[np.ndarray, "d h w"],
        *,
        grid: Grid,
        motion: PhaseMotion,
    ) -> None:
        self.liver, self.still, self.grid, self.motion = liver, still, grid, motion
        every = [max(1, round(COARSE_MM / s)) for s in grid.spacing_mm]
        d, h, w = (-(-n // e) for n, e in zip(grid.shape, every, strict=True))
        a, b, c = (s * e for s, e in zip(grid.spacing_mm, every, strict=True))
        self.coarse = Grid((d, h, w), (a, b, c), grid.origin, grid.direction)
        axes = Points(matrix=self.coarse.ijk_to_lps, shape=self.coarse.shape).axes()
        here = _nearest(liver, motion.unmove_liver(axes), grid=grid)
        stays = _nearest(still, axes, grid=grid) & ~here
        to_liver, to_still = (
            np.asarray(ndimage.distance_transform_edt(~mask, sampling=(a, b, c)))
            for mask in (here, stays)
        )
        share = to_still / np.maximum(to_still + to_liver, 1e-6)
        share *= np.clip(1.5 - to_liver / REACH_MM, 0, 1)
        self.share = share.astype(np.float32)

    def undo(self, axes: Axes) -> Axes:
        """Places before breathing of points of which body motion is undone already."""
        from_liver = self.motion.unmove_liver(axes)
        share = _linear(self.share, axes, grid=self.coarse)
        share[_nearest(self.still, axes, grid=self.grid)] = 0.0
        share[_nearest(self.liver, from_liver, grid=self.grid)] = 1.0
        return [a + share * (b - a) for a, b in zip(axes, from_liver, strict=True)]


def _places(axes: Axes, *, grid: Grid) -> Axes:
    """Slice, row and column (not whole numbers) of points."""
    back = np.linalg.inv(grid.ijk_to_lps).astype(np.float32)
    x, y, z = axes
    return [
        back[row, 0] * x + back[row, 1] * y + back[row, 2] * z + back[row, 3]
        for row in (2, 1, 0)
    ]


def _linear(
    volume: Float[np.ndarray, "d h w"], axes: Axes, *, grid: Grid, outside: float = 0.0
) -> Field:
    places = _places(axes, grid=grid)
    # Rounding must not push the outermost voxels outside.
    return ndimage.map_coordinates(
        volume, places, order=1, mode="grid-constant", cval=outside
    )


def _nearest(mask: Bool[np.ndarray, "d h w"], axes: Axes, *, grid: Grid) -> BoolField:
    places = _places(axes, grid=grid)
    return ndimage.map_coordinates(mask.astype(np.uint8), places, order=0) > 0


def _step(
    value: Float[np.ndarray, "d h w"], low: float, high: float
) -> Float[np.ndarray, "d h w"]:
    """0 at `low` and 1 at `high`, straight between; `low` may be the greater."""
    return np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
