"""What headers tell of an image before a voxel is read: its grid, and what is odd."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import dicom_geometry, series, volume_files
from liverjax.imaging.findings import FAILED, ExaminationError, Finding
from liverjax.imaging.grids import GRID_TOLERANCE_VOXEL, MAX_SPACING_MM


@dataclasses.dataclass(frozen=True)
class Grid:
    """A volume's grid with its axes in the order of `grids.to_caudal_cranial`.

    Attributes:
        shape: Slices, rows, columns.
        spacing_mm: Between slices, rows, columns.
        to_lps: ``(d, h, w, 1)`` of a voxel to LPS millimetres ``(x, y, z)``.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    to_lps: Float[np.ndarray, "3 4"]

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the scanned box along slices, rows, columns."""
        d, h, w = np.multiply(self.shape, self.spacing_mm)
        return float(d), float(h), float(w)

    @property
    def height_range_mm(self) -> tuple[float, float]:
        """Lowest and highest position of its corners along the patient's z."""
        z = self.corners_mm()[:, 2]
        return float(z.min()), float(z.max())

    def corners_mm(self) -> Float[np.ndarray, "8 3"]:
        """Centres of the corner voxels in LPS millimetres."""
        ends = np.array([*itertools.product(*[(0, n - 1) for n in self.shape])])
        return np.column_stack([ends, np.ones(8)]) @ self.to_lps.T


@dataclasses.dataclass(frozen=True)
class Header:
    """What is known of an image or a mask without its voxels.

    Attributes:
        grid: None where it cannot be known from headers (SEG, RTSTRUCT, PNG) or at all.
        findings: What is odd; a failed one will stop the examination.
    """

    grid: Grid | None
    findings: tuple[Finding, ...] = ()


def read_header(path: pathlib.Path) -> Header:
    """Returns what headers tell of a volume file or of a DICOM series folder."""
    try:
        if path.is_dir() or not volume_files.is_volume_file(path):
            info = series.find_one(path)
            grid, found = _series_grid(info), list(info.findings)
        else:
            reader, found = volume_files.read_header(path)
            grid = _file_grid(reader)
    except ExaminationError as error:
        return Header(None, (error.finding,))
    if grid and not all(0 < mm <= MAX_SPACING_MM for mm in grid.spacing_mm):
        text = f"voxels of {grid.spacing_mm} mm (d, h, w): mend the header"
        found.append(Finding("impossible-spacing", text, FAILED))
    return Header(grid, tuple(found))


def read_mask_header(source: MaskSource, *, image: Grid | None, organ: str) -> Header:
    """Returns what headers tell of a mask, compared with its image's grid.

    DICOM SEG, RTSTRUCT and PNG stacks carry no grid to compare (of PNGs, their number
    is); they are placed when voxels are read.

    Args:
        source: Where the mask lies.
        image: Grid of its image, None if unknown.
        organ: ``liver`` or ``spleen``; picks the file of a TotalSegmentator folder.
    """
    path = source.path
    if path.is_dir() and (path / f"{organ}.nii.gz").exists():
        path = path / f"{organ}.nii.gz"
    if path.is_dir():
        count = sum(entry.suffix.lower() == ".png" for entry in path.iterdir())
        if image and count and count != image.shape[0]:
            text = f"{count} PNGs for {image.shape[0]} slices; expected one a slice"
            return Header(None, (Finding("mask-grid", text, FAILED),))
        return Header(None)
    if not volume_files.is_volume_file(path):
        return Header(None)
    header = read_header(path)
    if image is None or header.grid is None:
        return header
    differences = grid_differences(image, other=header.grid)
    if not differences:
        return header
    text = (
        f"the mask lies on another grid than the image: {'; '.join(differences)}. "
        "Masks are never resampled: export it on the image's grid"
    )
    return Header(header.grid, (*header.findings, Finding("mask-grid", text, FAILED)))


def grid_differences(grid: Grid, *, other: Grid) -> list[str]:
    """Returns in words how another grid differs, nothing if corners meet.

    Args:
        grid: What was expected.
        other: What was found; equal within a tenth of a voxel.
    """
    limit_mm = GRID_TOLERANCE_VOXEL * min(grid.spacing_mm)
    if grid.shape == other.shape:
        if np.abs(grid.corners_mm() - other.corners_mm()).max() <= limit_mm:
            return []
    elif grid.voxels == other.voxels:
        return [f"size {other.shape} instead of {grid.shape}: axes are exchanged"]
    else:
        return [f"size (d, h, w) {other.shape} instead of {grid.shape}"]
    if not np.allclose(grid.spacing_mm, other.spacing_mm, rtol=1e-3):
        one, two = (tuple(round(v, 4) for v in g.spacing_mm) for g in (other, grid))
        return [f"spacing mm (d, h, w) {one} instead of {two}"]
    apart = np.linalg.norm(grid.corners_mm() - other.corners_mm(), axis=1).max()
    return [f"its corners lie up to {apart:.1f} mm away (origin or direction differ)"]


def spacing_spread(spacings_mm: list[float]) -> float:
    """Returns how much the largest spacing exceeds the smallest, as a fraction."""
    return max(spacings_mm) / min(spacings_mm) - 1 if spacings_mm else 0.0


def _file_grid(reader: sitk.ImageFileReader) -> Grid:
    dimension = reader.GetDimension()
    axes = np.reshape(reader.GetDirection(), (dimension, dimension))
    return _canonical(
        size=np.array(reader.GetSize()[:3]),
        steps=axes[:3, :3] * reader.GetSpacing()[:3],
        origin=np.array(reader.GetOrigin()[:3]),
    )


def _series_grid(info: series.SeriesInfo) -> Grid | None:
    if not np.isfinite(info.spacing_mm).all():
        return None
    plane = dicom_geometry.plane_of(info.frames[0])
    axes = np.column_stack([plane.orientation[:3], plane.orientation[3:], plane.normal])
    return _canonical(
        size=np.array(info.shape[::-1]),
        steps=axes * np.array(info.spacing_mm)[::-1],
        origin=np.array(plane.position_mm),
    )


def _canonical(*, size: np.ndarray, steps: np.ndarray, origin: np.ndarray) -> Grid:
    """Axes permuted and turned to run along z, y, x of the patient.

    Args:
        size: Voxels along each stored axis.
        steps: A column a stored axis: from a voxel to the next, mm.
        origin: Centre of the first voxel.
    """
    lengths = np.linalg.norm(steps, axis=0)
    cosines = np.abs(steps / np.where(lengths > 0, lengths, 1))
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(cosines[i, axis] for i, axis in enumerate(order)),
    )
    columns, corner = [], origin.astype(float)
    for patient_axis, axis in enumerate(best):
        step = steps[:, axis]
        if step[patient_axis] < 0:
            corner = corner + (size[axis] - 1) * step
            step = -step
        columns.append(step)
    w, h, d = best
    return Grid(
        shape=(int(size[d]), int(size[h]), int(size[w])),
        spacing_mm=(float(lengths[d]), float(lengths[h]), float(lengths[w])),
        to_lps=np.column_stack([*columns[::-1], corner]),
    )
