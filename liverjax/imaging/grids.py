"""Grids of volumes: canonical axis order, comparison, and sane limits."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float, Shaped

from liverjax.imaging.findings import FAILED, ExaminationError, Finding

# A 1024 x 1024 x 1024 scan: 4 GiB as float32. Larger headers are errors or attacks.
MAX_VOXELS = 2**30
MAX_SPACING_MM = 20.0
MAX_ANISOTROPY = 0.01
OBLIQUE_DEG = 1.0
MAX_OBLIQUE_DEG = 30.0
# Two grids are one when no corner lies further apart than this share of a voxel.
GRID_TOLERANCE_VOXEL = 0.1


def to_caudal_cranial(image: sitk.Image) -> sitk.Image:
    """Returns the same voxels stacked from caudal to cranial, rows and columns as LPS.

    Axes are permuted and flipped, never interpolated; origin and direction follow. The
    numpy view of the result has axis 0 from caudal to cranial, axis 1 from anterior to
    posterior, axis 2 from the patient's right to the left. An oblique volume keeps its
    small angles in the direction.
    """
    return sitk.DICOMOrient(image, "LPS")


def check_size(shape: tuple[int, ...]) -> None:
    """Does nothing for a volume that can be held; called before pixels are decoded.

    Args:
        shape: Voxels along each axis, from the header.

    Raises:
        ExaminationError: ``empty-volume`` or ``too-large``.
    """
    voxels = math.prod(shape)
    if voxels <= 0:
        raise ExaminationError("empty-volume", f"size {shape} holds no voxels")
    if voxels > MAX_VOXELS:
        raise ExaminationError(
            "too-large",
            f"the header announces {' x '.join(map(str, shape))} voxels, at most "
            f"{MAX_VOXELS} are read; crop the scan or check the header",
        )


def check_grid(image: sitk.Image) -> list[Finding]:
    """Returns what is odd about a volume's spacing and direction.

    Codes: ``impossible-spacing`` and ``oblique`` beyond 30 degrees (failed),
    ``oblique`` beyond 1 degree and ``anisotropic-pixels`` (warnings).

    Args:
        image: A volume in the order of `to_caudal_cranial`.
    """
    findings = []
    width, height, depth = image.GetSpacing()
    millimetres = f"{depth:g} x {height:g} x {width:g} mm (d, h, w)"
    if not all(0 < value <= MAX_SPACING_MM for value in (width, height, depth)):
        findings.append(
            Finding(
                "impossible-spacing",
                f"voxels of {millimetres}; expected above 0 and at most "
                f"{MAX_SPACING_MM:g} mm: mend the header",
                FAILED,
            )
        )
    elif abs(width / height - 1) > MAX_ANISOTROPY:
        findings.append(
            Finding(
                "anisotropic-pixels",
                f"pixels are not square: {height:g} x {width:g} mm (h, w); set an "
                "in-plane spacing so that they are resampled",
            )
        )
    angle = oblique_angle_deg(image)
    if angle > OBLIQUE_DEG:
        findings.append(
            Finding(
                "oblique",
                f"slices are tilted by {angle:.1f} degrees against the patient's axes; "
                f"up to {MAX_OBLIQUE_DEG:g} are taken as axial",
                FAILED if angle > MAX_OBLIQUE_DEG else "warning",
            )
        )
    return findings


def oblique_angle_deg(image: sitk.Image) -> float:
    """Largest angle between an axis of the volume and the patient axis nearest to it.

    Args:
        image: A volume in the order of `to_caudal_cranial`.
    """
    cosines = np.diag(np.reshape(image.GetDirection(), (3, 3)))
    return math.degrees(math.acos(min(1.0, max(-1.0, float(cosines.min())))))


def corners_mm(image: sitk.Image) -> Float[np.ndarray, "8 3"]:
    """Centres of the eight corner voxels in LPS millimetres, (x, y, z)."""
    ends = [(0, size - 1) for size in image.GetSize()]
    return np.array(
        [image.TransformIndexToPhysicalPoint(c) for c in itertools.product(*ends)]
    )


def grid_differences(image: sitk.Image, *, other: sitk.Image) -> list[str]:
    """Header fields in which two grids differ, in words; empty for one and the same.

    Equal within a tenth of a voxel at every corner: what rounding in a header may do.

    Args:
        image: The grid that was expected.
        other: The grid that was found.
    """
    if image.GetSize() == other.GetSize():
        apart_mm = np.abs(corners_mm(image) - corners_mm(other)).max()
        if apart_mm <= GRID_TOLERANCE_VOXEL * min(image.GetSpacing()):
            return []
    fields = {
        "size (d, h, w)": (image.GetSize(), other.GetSize(), 0.0),
        "spacing mm (d, h, w)": (image.GetSpacing(), other.GetSpacing(), 1e-3),
    }
    differences = [
        f"{name} {_numbers(found[::-1])} instead of {_numbers(expected[::-1])}"
        for name, (expected, found, tolerance) in fields.items()
        if not np.allclose(expected, found, rtol=tolerance, atol=0)
    ]
    if not np.allclose(image.GetDirection(), other.GetDirection(), atol=1e-3):
        differences.append(
            f"direction {_numbers(other.GetDirection())} instead of "
            f"{_numbers(image.GetDirection())}"
        )
    limit = GRID_TOLERANCE_VOXEL * min(image.GetSpacing())
    if not np.allclose(image.GetOrigin(), other.GetOrigin(), rtol=0, atol=limit):
        differences.append(
            f"origin mm (x, y, z) {_numbers(other.GetOrigin())} instead of "
            f"{_numbers(image.GetOrigin())}"
        )
    return differences or ["far corners of the volume (spacing and direction add up)"]


def make_volume(
    array: np.ndarray,
    *,
    origin_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
) -> sitk.Image:
    """Returns a volume of an array (d, h, w).

    Args:
        array: Voxels.
        origin_mm: Centre of the first voxel, LPS (x, y, z).
        spacing_mm: Along (d, h, w).
        direction: Nine cosines in SimpleITK's order.
    """
    image = sitk.GetImageFromArray(array)
    image.SetOrigin([float(value) for value in origin_mm])
    image.SetSpacing([float(value) for value in spacing_mm[::-1]])
    image.SetDirection([float(value) for value in direction])
    return image


def _numbers(values: tuple[float | int, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


@dataclasses.dataclass(frozen=True)
class Plane:
    """A slice's pixels in the patient, as DICOM says it.

    Attributes:
        position_mm: Centre of the first pixel, LPS (x, y, z).
        orientation: Cosines along a row, then along a column.
        spacing_mm: Between rows, between columns.
    """

    position_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    spacing_mm: tuple[float, float]

    @property
    def normal(self) -> Float[np.ndarray, " 3"]:
        """Unit vector across the slice: row cosines x column cosines."""
        cross = np.cross(self.orientation[:3], self.orientation[3:])
        return cross / np.linalg.norm(cross)


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the pixels of a plane lie in a volume, both on one lattice.

    Attributes:
        start: Index (d, h, w) of the plane's first pixel.
        row_step: Index step (d, h, w) from one row to the next.
        column_step: Index step (d, h, w) from one column to the next.
    """

    start: tuple[int, int, int]
    row_step: tuple[int, int, int]
    column_step: tuple[int, int, int]

    def write(self, volume: Shaped[np.ndarray, "d h w"], plane: np.ndarray) -> int:
        """Copies a plane's pixels that are not zero; returns how many fall outside.

        Args:
            volume: Changed in place.
            plane: Pixels (rows, columns).
        """
        rows, columns = np.nonzero(plane)
        index = (
            np.array(self.start)
            + rows[:, None] * np.array(self.row_step)
            + columns[:, None] * np.array(self.column_step)
        )
        inside = ((index >= 0) & (index < volume.shape)).all(axis=1)
        volume[tuple(index[inside].T)] = plane[rows[inside], columns[inside]]
        return int(np.count_nonzero(~inside))


def place_plane(
    image: sitk.Image, *, plane: Plane, shape: tuple[int, int]
) -> Placement | None:
    """Returns where a plane's pixels lie in a volume, or None if not on its lattice.

    A plane is on the lattice when its axes run along the volume's (in any order and
    direction) and no pixel is off by more than a quarter of a voxel.

    Args:
        image: The volume.
        plane: Where the pixels lie in the patient.
        shape: Rows, columns.
    """
    to_index = physical_to_index(image)
    start = to_index @ np.subtract(plane.position_mm, image.GetOrigin())
    row_step = to_index @ (np.array(plane.orientation[3:]) * plane.spacing_mm[0])
    column_step = to_index @ (np.array(plane.orientation[:3]) * plane.spacing_mm[1])
    corners = np.array([(0, 0), (shape[0] - 1, 0), (0, shape[1] - 1)])
    exact = start + corners @ np.array([row_step, column_step])
    start, row_step, column_step = map(np.rint, (start, row_step, column_step))
    whole = start + corners @ np.array([row_step, column_step])
    steps = np.abs([row_step, column_step])
    if np.abs(exact - whole).max() > 0.25 or (steps.sum(axis=1) != 1).any():
        return None
    return Placement(*(_index(vector) for vector in (start, row_step, column_step)))


def physical_to_index(image: sitk.Image) -> Float[np.ndarray, "3 3"]:
    """Matrix from millimetres (from the origin, LPS) to voxel steps, both (x, y, z)."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    return np.linalg.inv(direction * np.array(image.GetSpacing()))


def _index(xyz: np.ndarray) -> tuple[int, int, int]:
    return int(xyz[2]), int(xyz[1]), int(xyz[0])
