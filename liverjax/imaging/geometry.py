"""Rigid maps and grids in LPS millimetres: matrices, points, resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float

from liverjax.imaging.intensity import AIR_HU

Matrix = Float[np.ndarray, "4 4"]
Points = Float[np.ndarray, "n 3"]


def euler_matrix(
    angles_rad: Sequence[float],
    *,
    translation_mm: Sequence[float],
    centre_mm: Sequence[float],
    zyx: bool = False,
) -> Matrix:
    """Returns the 4x4 matrix of an ITK Euler transform.

    Args:
        angles_rad: Rotations about x, y and z.
        translation_mm: Added after the rotation about the centre.
        centre_mm: Centre of the rotation.
        zyx: Rotate as Rz Ry Rx; otherwise as Rz Rx Ry, which is ITK's and elastix's
            default.
    """
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in angles_rad)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation = about_z @ (about_y @ about_x if zyx else about_x @ about_y)
    centre = np.asarray(centre_mm, float)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + np.asarray(translation_mm, float) - rotation @ centre
    return matrix


def translation_matrix(shift_mm: Sequence[float] | Float[np.ndarray, " 3"]) -> Matrix:
    """Returns the 4x4 matrix that adds a shift in x, y, z."""
    matrix = np.eye(4)
    matrix[:3, 3] = shift_mm
    return matrix


def map_points(matrix: Matrix, points_mm: Points) -> Points:
    """Returns points moved by a 4x4 matrix."""
    return points_mm @ matrix[:3, :3].T + matrix[:3, 3]


def rotation_deg(matrix: Matrix) -> float:
    """Returns the angle of a rigid matrix's rotation, whatever its axis."""
    cosine = (np.trace(matrix[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def to_transform(matrix: Matrix) -> sitk.AffineTransform:
    """Returns a matrix as SimpleITK wants it: from points of the output grid."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def ijk_to_lps(image: sitk.Image) -> Matrix:
    """Returns the matrix from an image's (column, row, slice, 1) to millimetres."""
    matrix = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = direction * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def index_points(image: sitk.Image, voxels: np.ndarray) -> Points:
    """Returns the millimetre positions of voxels given as (slice, row, column)."""
    return map_points(ijk_to_lps(image), np.asarray(voxels, float)[:, ::-1])


def moved(image: sitk.Image, matrix: Matrix) -> sitk.Image:
    """Returns the same voxels lying elsewhere: at ``inverse(matrix)`` of their places.

    A rigid map from a fixed image to ``moved(image, start)``, followed by ``start``,
    is one to ``image``: that is how a registration is given a start, without any
    interpolation.
    """
    back = np.linalg.inv(matrix)
    placed = sitk.Image(image)
    placed.SetOrigin(map_points(back, np.array([image.GetOrigin()]))[0].tolist())
    direction = back[:3, :3] @ np.array(image.GetDirection()).reshape(3, 3)
    placed.SetDirection(direction.ravel().tolist())
    return placed


def resample(
    image: sitk.Image,
    *,
    grid: Matrix,
    shape: tuple[int, int, int],
    matrix: Matrix | None = None,
    nearest: bool = False,
    outside: float = AIR_HU,
) -> np.ndarray:
    """Returns an image's values on a grid, in one interpolation.

    Args:
        image: What is read.
        grid: From the grid's (column, row, slice, 1) to millimetres; its three columns
            must be at right angles.
        shape: Of the result, ``(d, h, w)``.
        matrix: Rigid map from the grid's millimetres to the image's; None is identity.
        nearest: Take the nearest voxel (labels) instead of a linear mean.
        outside: Value where the image does not reach.

    Returns:
        ``(d, h, w)``, float32, or the image's own type when ``nearest``.
    """
    spacing = np.linalg.norm(grid[:3, :3], axis=0)
    filter = sitk.ResampleImageFilter()
    filter.SetSize([int(n) for n in shape[::-1]])
    filter.SetOutputOrigin(grid[:3, 3].tolist())
    filter.SetOutputSpacing(spacing.tolist())
    filter.SetOutputDirection((grid[:3, :3] / spacing).ravel().tolist())
    filter.SetTransform(to_transform(np.eye(4) if matrix is None else matrix))
    filter.SetDefaultPixelValue(outside)
    if nearest:
        filter.SetInterpolator(sitk.sitkNearestNeighbor)
    else:
        filter.SetInterpolator(sitk.sitkLinear)
        filter.SetOutputPixelType(sitk.sitkFloat32)
    return sitk.GetArrayFromImage(filter.Execute(image))


def coarsen(image: sitk.Image, *, spacing_mm: float | None) -> sitk.Image:
    """Returns block means with voxels as near to a spacing as whole blocks allow.

    Args:
        image: A volume.
        spacing_mm: Not exceeded, except by axes that are coarser already; None changes
            nothing.
    """
    image = sitk.Cast(image, sitk.sitkFloat32)
    if spacing_mm is None:
        return image
    blocks = [
        max(1, min(int(spacing_mm / step + 1e-6), size))
        for step, size in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    return sitk.BinShrink(image, blocks) if max(blocks) > 1 else image
