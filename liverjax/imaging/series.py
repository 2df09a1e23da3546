"""DICOM series: found in a tree, cut into volumes, checked, read."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Collection

import numpy as np
import pydicom
import SimpleITK as sitk

from liverjax.errors import InputError
from liverjax.imaging import (
    dicom_files,
    dicom_geometry,
    dicom_headers,
    dicom_kinds,
    dicom_pixels,
    grids,
    series_info,
)
from liverjax.imaging.dicom_geometry import sort_slices
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle
from liverjax.imaging.series_info import SeriesInfo

__all__ = [
    "SeriesInfo",
    "Tree",
    "find_one",
    "find_series",
    "read_series",
    "scan",
    "sort_slices",
]


@dataclasses.dataclass(frozen=True)
class Tree:
    """What lies in a folder tree.

    Attributes:
        series: Image volumes, those left out among them with a failed finding.
        objects: Other DICOM objects (SEG, RTSTRUCT, SR): path and name of the kind.
        findings: Files that could not be read.
        other_files: Number of files that are no DICOM.
    """

    series: tuple[SeriesInfo, ...]
    objects: tuple[tuple[pathlib.Path, str], ...]
    findings: tuple[Finding, ...]
    other_files: int


def find_series(root: pathlib.Path) -> list[SeriesInfo]:
    """Returns every image volume under a folder (or in one file), from headers alone.

    Localizers, projections, reformations, subtractions and screenshots are in the list
    with a failed finding that names them. `scan` also tells of other objects.

    Raises:
        InputError: If the folder is not there.
    """
    return list(scan(root).series)


def find_one(root: pathlib.Path) -> SeriesInfo:
    """Returns the one usable series of a folder or file.

    A folder whose only series is not usable returns that one, so that reading it tells
    why, or reads it with what is allowed.

    Raises:
        ExaminationError: ``several-series``, ``no-usable-series``, ``not-an-image``, or
            the code of a file that cannot be read.
        InputError: If the folder is not there.
    """
    tree = scan(root)
    if tree.findings:
        raise ExaminationError(tree.findings[0].code, tree.findings[0].text)
    if not tree.series:
        kinds = sorted({kind for _, kind in tree.objects})
        others = [f"{tree.other_files} other files", *kinds]
        raise ExaminationError(
            "not-an-image",
            f"no DICOM image was found ({', '.join(others)}); expected a NIfTI, NRRD "
            "or MHA file or the folder of one DICOM series",
        )
    usable = [info for info in tree.series if info.usable]
    if len(tree.series) == 1:
        return tree.series[0]
    if len(usable) != 1:
        raise ExaminationError(
            "several-series" if usable else "no-usable-series",
            f"{len(usable)} usable series, expected exactly one: "
            f"{'; '.join(_described(info) for info in tree.series)}. Give a folder "
            "that holds one, or convert with python -m data_prep.dicom",
        )
    return usable[0]


def scan(root: pathlib.Path) -> Tree:
    """Returns everything in a folder tree, or of one file, from headers alone.

    Every file is opened by itself; DICOMDIR and its references are not followed, nor
    are links to folders.

    Args:
        root: Folder or DICOM file.

    Raises:
        InputError: If it is not there.
    """
    headers: dict[str, list[tuple[pathlib.Path, pydicom.Dataset]]]
    headers = collections.defaultdict(list)
    objects, findings, other = [], [], 0
    for path in _files(root):
        try:
            header = dicom_headers.read_header(path)
        except ExaminationError as error:
            findings.append(error.finding)
            continue
        except OSError as error:
            text = f"{path.name}: cannot be opened ({error.strerror})"
            findings.append(Finding("unreadable", text, FAILED))
            continue
        if header is None:
            other += 1
            continue
        uid = dicom_headers.text(header, "SOPClassUID")
        if dicom_kinds.is_image(uid):
            series = dicom_headers.text(header, "SeriesInstanceUID")
            headers[series].append((path, header))
        else:
            objects.append((path, dicom_files.class_name(uid)))
    series = []
    for group in headers.values():
        series += series_info.volumes_of(group)
    series.sort(key=lambda info: (info.study_uid, _number(info)))
    return Tree(tuple(series), tuple(objects), tuple(findings), other)


def read_series(
    info: SeriesInfo, *, allow: Collection[str] = ()
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Returns a series as a float32 volume (HU or scanner units) and its findings.

    The grid comes from ImagePositionPatient; every slice is rescaled by its own slope
    and intercept. Axes are those of `grids.to_caudal_cranial`. Intensities are not
    judged here; `volumes.read_volume` does that.

    Args:
        info: From `find_series`.
        allow: Codes of failed findings that the user takes responsibility for. Slices
            that repeat a position are then left out, missing or uneven ones
            interpolated. Codes of `dicom_geometry.FINAL` cannot be allowed.

    Raises:
        ExaminationError: For a failed finding that is not allowed, pixels that cannot
            be decoded, or an impossible size.
    """
    allowed = set(allow) - set(dicom_geometry.FINAL)
    findings = settle(info.findings, allow=allowed, where=info.name)
    grids.check_size(info.shape)
    frames = list(info.frames)
    heights = dicom_geometry.heights_mm(frames)
    first_of_position = np.concatenate(
        [[True], np.diff(heights) >= dicom_geometry.SAME_POSITION_MM]
    )
    frames = [f for f, keep in zip(frames, first_of_position, strict=True) if keep]
    heights = heights[first_of_position]
    array = dicom_pixels.read_stack(frames, modality=info.modality)
    spacing, _ = dicom_geometry.regular_spacing_mm(heights)
    codes = {finding.code for finding in findings}
    if codes & {"missing-slices", "uneven-spacing"}:
        array = dicom_pixels.interpolate_slices(
            array, heights=heights, spacing_mm=spacing
        )
    plane = dicom_geometry.plane_of(frames[0])
    axes = np.column_stack([plane.orientation[:3], plane.orientation[3:], plane.normal])
    image = grids.make_volume(
        array,
        origin_mm=plane.position_mm,
        spacing_mm=(spacing, *plane.spacing_mm),
        direction=tuple(axes.ravel()),
    )
    return grids.to_caudal_cranial(image), findings


def _described(info: SeriesInfo) -> str:
    reasons = [item.text for item in info.findings if item.level == FAILED]
    return f"{info.name}: {', '.join(reasons)}" if reasons else info.name


def _files(root: pathlib.Path) -> list[pathlib.Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    return sorted(
        pathlib.Path(folder, name)
        for folder, _, names in os.walk(root, followlinks=False)
        for name in names
        if pathlib.Path(folder, name).is_file()
    )


def _number(info: SeriesInfo) -> float:
    return float(info.number) if info.number.isdigit() else float("inf")
