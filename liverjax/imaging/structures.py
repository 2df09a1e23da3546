"""RTSTRUCT: closed contours of one structure, filled on the slices they name."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pydicom
import SimpleITK as sitk
from jaxtyping import Bool, Float

from liverjax.imaging import dicom_files, dicom_headers, grids
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import FAILED, ExaminationError, Finding

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
# A contour belongs to the slice nearest to it, at most this share of a slice away.
MAX_OFF_SLICE = 0.25


def read(
    path: pathlib.Path,
    *,
    image: sitk.Image,
    segment: str,
    organ: str,
    source: Mapping[str, Frame],
) -> tuple[Bool[np.ndarray, "d h w"], list[Finding]]:
    """Returns a structure's voxels on the image's grid, and findings.

    A voxel belongs to the structure when its centre lies inside an odd number of the
    slice's contours, so that an inner contour is a hole. Slices between contours stay
    as they are: nothing is interpolated.

    Args:
        path: An RTSTRUCT object.
        image: The volume it was drawn on.
        segment: Name or number of the structure; empty takes the only one, or the one
            named like the organ.
        organ: ``liver`` or ``spleen``.
        source: The image's slices by SOPInstanceUID; empty if it was no DICOM.

    Raises:
        ExaminationError: ``segment``, ``contour-position`` or ``mask-grid``.
    """
    dataset = dicom_files.read_dataset(path)
    roi = _choose(dataset, segment=segment, organ=organ)
    findings = _check_frame_of_reference(dataset, source=source)
    depth, height, width = image.GetSize()[::-1]
    to_index = grids.physical_to_index(image)
    by_slice: dict[int, list[np.ndarray]] = {}
    skipped = 0
    for contour in roi.get("ContourSequence") or ():
        if dicom_headers.text(contour, "ContourGeometricType") != "CLOSED_PLANAR":
            skipped += 1
            continue
        points_mm = _points_mm(contour)
        points = (points_mm - image.GetOrigin()) @ to_index.T
        number = int(np.rint(np.median(points[:, 2])))
        if np.abs(points[:, 2] - number).max() > MAX_OFF_SLICE:
            raise ExaminationError(
                "contour-position",
                f"a contour at {points_mm[0, 2]:.2f} mm lies between the image's "
                "slices; export the structures on this image",
            )
        _check_source(contour, points_mm=points_mm, source=source)
        if not 0 <= number < depth:
            raise ExaminationError(
                "mask-outside-image",
                f"a contour at {points_mm[0, 2]:.2f} mm lies outside the image",
            )
        by_slice.setdefault(number, []).append(points[:, :2])
    volume = np.zeros((depth, height, width), bool)
    for number, polygons in by_slice.items():
        volume[number] = fill_polygons(polygons, shape=(height, width))
    if skipped:
        text = f"{skipped} contours are points or open lines and enclose nothing"
        findings.append(Finding("open-contours", text))
    if by_slice and (gaps := max(by_slice) - min(by_slice) + 1 - len(by_slice)):
        findings.append(
            Finding(
                "contour-gaps",
                f"{gaps} slices between the first and the last contour have none and "
                "stay empty; interpolate them where they were drawn",
                FAILED,
            )
        )
    return volume, findings


def fill_polygons(
    polygons: Sequence[Float[np.ndarray, "n 2"]], *, shape: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """Returns the pixels whose centres lie inside an odd number of polygons.

    Each edge is crossed with the centre lines of the rows; the number of crossings to
    the left of a pixel decides.

    Args:
        polygons: Corners (column, row) in pixels, the first pixel's centre at (0, 0);
            each is closed by itself.
        shape: Rows, columns.
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        low = np.ceil(np.minimum(start[:, 1], end[:, 1]))
        high = np.ceil(np.maximum(start[:, 1], end[:, 1]))
        # Rows low <= row < high: a corner on a row counts for one of its two edges.
        low = np.clip(low, 0, rows).astype(int)
        high = np.clip(high, 0, rows).astype(int)
        count = high - low
        edge = np.repeat(np.arange(len(polygon)), count)
        first = np.repeat(np.cumsum(count) - count, count)
        row = low[edge] + np.arange(len(edge)) - first
        rise = (end - start)[edge]
        share = (row - start[edge, 1]) / rise[:, 1]
        column = np.ceil(start[edge, 0] + share * rise[:, 0])
        np.add.at(crossings, (row, np.clip(column, 0, columns).astype(int)), 1)
    return np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1


def _points_mm(contour: pydicom.Dataset) -> Float[np.ndarray, "n 3"]:
    try:
        numbers = np.array(contour.get("ContourData") or (), float).ravel()
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.size < 9 or numbers.size % 3 or not np.isfinite(numbers).all():
        raise ExaminationError(
            "contour-position",
            "the corners of a contour are not x, y, z of 3 points or more; export the "
            "structures again",
        )
    return numbers.reshape(-1, 3)


def _choose(dataset: pydicom.Dataset, *, segment: str, organ: str) -> pydicom.Dataset:
    number = dicom_headers.number
    contours = {
        number(item, "ReferencedROINumber"): item
        for item in dataset.get("ROIContourSequence") or ()
        if item.get("ContourSequence")
    }
    names = {
        int(roi): dicom_headers.text(item, "ROIName")
        for item in dataset.get("StructureSetROISequence") or ()
        if (roi := number(item, "ROINumber")) is not None and roi in contours
    }
    if not segment and len(names) == 1:
        matching = list(names)
    else:
        wanted = (segment or organ).casefold()
        matching = [n for n, name in names.items() if name.casefold() == wanted]
        matching = matching or [n for n in names if str(n) == segment]
    if len(matching) != 1:
        known = ", ".join(f"{number} ({name})" for number, name in names.items())
        raise ExaminationError(
            "segment",
            f"{len(matching)} structures with contours answer to "
            f"{segment or organ!r}; the file has {known or 'none'}: name one",
        )
    return contours[matching[0]]


def _check_frame_of_reference(
    dataset: pydicom.Dataset, *, source: Mapping[str, Frame]
) -> list[Finding]:
    named = {
        dicom_headers.text(item, "FrameOfReferenceUID")
        for item in dataset.get("ReferencedFrameOfReferenceSequence") or ()
    } - {""}
    uids = {item.frame_of_reference for item in source.values()} - {""}
    if not uids or not named or named & uids:
        return []
    text = "structures and image refer to different frames of reference"
    return [Finding("mixed-frame-of-reference", text, FAILED)]


def _check_source(
    contour: pydicom.Dataset, *, points_mm: np.ndarray, source: Mapping[str, Frame]
) -> None:
    """Refuses a contour that is not on the slice it names."""
    for item in contour.get("ContourImageSequence") or ():
        frame = source.get(dicom_headers.text(item, "ReferencedSOPInstanceUID"))
        if frame is None or frame.plane is None:
            continue
        off_mm = points_mm - np.array(frame.plane.position_mm)
        off_mm = np.abs(off_mm @ frame.plane.normal).max()
        if off_mm > 0.5:
            raise ExaminationError(
                "contour-position",
                f"a contour at {points_mm[0, 2]:.2f} mm lies {off_mm:.2f} mm from the "
                "slice it names; export the structures again",
            )
