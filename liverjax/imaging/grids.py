"""Grids of volumes: canonical axis order, comparison, and sane limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float

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
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
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


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
