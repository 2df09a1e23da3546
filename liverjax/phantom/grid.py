"""The voxel grid of one scan, and the points at its voxels' centres."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

Box = tuple[slice, slice, slice]


@dataclasses.dataclass(frozen=True)
class Grid:
    """A scan's voxels in patient space (LPS millimetres).

    `origin` is the centre of voxel (0, 0, 0); the columns of `direction` point along
    rows' x, columns' y and slices' z (as SimpleITK has them), while `shape` and
    `spacing_mm` are (d, h, w).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: Float[np.ndarray, "3 3"] = dataclasses.field(
        default_factory=lambda: np.eye(3)
    )

    @property
    def ijk_to_lps(self) -> Float[np.ndarray, "4 4"]:
        """Matrix from (column, row, slice) indices to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction * np.array(self.spacing_mm[::-1])
        matrix[:3, 3] = self.origin
        return matrix


@dataclasses.dataclass(frozen=True)
class Points:
    """Points at the voxels of a block, an affine function of their indices.

    `matrix` maps (column, row, slice) to x, y, z in millimetres; `start` is the block's
    first slice, row and column.
    """

    matrix: Float[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    start: tuple[int, int, int] = (0, 0, 0)

    def axes(self, box: Box | None = None) -> list[Float[np.ndarray, "d h w"]]:
        """The x, y and z of the voxels in a box of the block, millimetres.

        Args:
            box: Slices of the block in (d, h, w); all of it if left out.
        """
        parts = box or [slice(0, n) for n in self.shape]
        k, j, i = (
            np.arange(part.start, part.stop, dtype=np.float32) + np.float32(first)
            for part, first in zip(parts, self.start, strict=True)
        )
        m = self.matrix.astype(np.float32)
        return [
            m[axis, 2] * k[:, None, None]
            + m[axis, 1] * j[:, None]
            + (m[axis, 0] * i + m[axis, 3])
            for axis in range(3)
        ]

    def box_around(
        self, *centers_mm: tuple[float, float, float], radius_mm: float
    ) -> Box | None:
        """The smallest box that holds balls and all between, or None if it is empty.

        Args:
            *centers_mm: The balls' centres, x, y, z.
            radius_mm: Their radius.
        """
        inverse = np.linalg.inv(self.matrix)
        places = np.array(centers_mm) @ inverse[:3, :3].T + inverse[:3, 3]
        places = places[:, ::-1] - np.array(self.start)
        reach = radius_mm * np.linalg.norm(inverse[:3, :3], axis=1)[::-1]
        low = np.clip(np.floor(places.min(0) - reach), 0, self.shape).astype(int)
        high = np.clip(np.ceil(places.max(0) + reach) + 1, 0, self.shape).astype(int)
        if (high <= low).any():
            return None
        d, h, w = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return d, h, w
