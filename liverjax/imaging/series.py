"""DICOM series: found in a tree, cut into volumes, checked, read."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Collection, Sequence

import numpy as np
import pydicom
import SimpleITK as sitk

from liverjax.errors import InputError
from liverjax.imaging import (
    dicom_geometry,
    dicom_headers,
    dicom_kinds,
    dicom_pixels,
    grids,
)
from liverjax.imaging.dicom_geometry import sort_slices
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle

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
class SeriesInfo:
    """One volume of a DICOM series: what its headers say.

    Texts that may name a patient (``description``, ``protocol``, ``patient_id``,
    ``accession``, paths) are for the importing command only; no finding quotes them.

    Attributes:
        uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        part: Which volume of the series, empty if it holds one.
        modality: ``CT`` or ``MR``.
        frames: Its slices by position along their normal.
        findings: What the headers show; failed ones stop reading unless allowed.
        shape: Slices, rows, columns.
        spacing_mm: Between slices, rows, columns; NaN where unknown.
        number: SeriesNumber, empty if absent (like all texts below).
        description: SeriesDescription.
        protocol: ProtocolName.
        image_type: ImageType, values joined by a backslash.
        contrast_agent: ContrastBolusAgent.
        kernel: ConvolutionKernel.
        kvp: Tube voltage in kV, None if absent (like all numbers below).
        thickness_mm: SliceThickness.
        echo_time_ms: EchoTime.
        b_value: DiffusionBValue in s/mm2.
        field_strength_t: MagneticFieldStrength.
        manufacturer: Of the scanner.
        model: Of the scanner.
        patient_id: PatientID.
        accession: AccessionNumber.
        study_date: ``YYYYMMDD``, empty if absent.
        study_time: ``HHMMSS.f``, as all times.
        series_time: SeriesTime.
        acquisition_time: Earliest of the slices (may be a date and time).
        content_time: Earliest of the slices.
    """

    uid: str
    study_uid: str
    part: str
    modality: str
    frames: tuple[Frame, ...]
    findings: tuple[Finding, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    number: str
    description: str
    protocol: str
    image_type: str
    contrast_agent: str
    kernel: str
    kvp: float | None
    thickness_mm: float | None
    echo_time_ms: float | None
    b_value: float | None
    field_strength_t: float | None
    manufacturer: str
    model: str
    patient_id: str
    accession: str
    study_date: str
    study_time: str
    series_time: str
    acquisition_time: str
    content_time: str

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """Its files, in the order of the slices, each once."""
        return tuple(dict.fromkeys(frame.path for frame in self.frames))

    @property
    def usable(self) -> bool:
        """Whether it can be read without allowing anything."""
        return all(finding.level != FAILED for finding in self.findings)

    @property
    def name(self) -> str:
        """A name for messages that holds no text from the header's free fields."""
        parts = [f"series {self.number or '?'}", self.part]
        depth, rows, columns = self.shape
        size = f"{self.modality}, {depth} slices of {rows} x {columns}"
        return f"{' '.join(filter(None, parts))} ({size})"


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
        if header is None:
            other += 1
            continue
        uid = pydicom.uid.UID(dicom_headers.text(header, "SOPClassUID"))
        if uid in dicom_kinds.IMAGE_CLASSES or uid.startswith(
            dicom_kinds.SECONDARY_CAPTURES
        ):
            series = dicom_headers.text(header, "SeriesInstanceUID")
            headers[series].append((path, header))
        else:
            objects.append((path, uid.name))
    series = []
    for group in headers.values():
        series += _volumes(group)
    order = sorted(series, key=lambda info: (info.study_uid, _number(info), info.part))
    return Tree(tuple(order), tuple(objects), tuple(findings), other)


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
    first_of_position = np.concatenate([[True], np.diff(heights) >= 1e-3])
    frames = [f for f, keep in zip(frames, first_of_position, strict=True) if keep]
    heights = heights[first_of_position]
    array = dicom_pixels.read_stack(frames, modality=info.modality)
    spacing, _ = dicom_geometry.regular_spacing_mm(heights)
    codes = {finding.code for finding in findings}
    if codes & {"missing-slices", "uneven-spacing"}:
        array = dicom_pixels.interpolate_slices(
            array, heights=heights, spacing_mm=spacing
        )
    first = frames[0]
    across = dicom_geometry.normal(first.orientation)
    axes = np.column_stack([first.orientation[:3], first.orientation[3:], across])
    image = grids.make_volume(
        array,
        origin_mm=first.position_mm,
        spacing_mm=(spacing, *first.spacing_mm),
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


def _volumes(group: list[tuple[pathlib.Path, pydicom.Dataset]]) -> list[SeriesInfo]:
    header = group[0][1]
    frames: list[Frame] = []
    notes: list[Finding] = []
    for path, dataset in group:
        frames += dicom_headers.read_frames(dataset, path=path)
    frames, copies = _without_copies(frames)
    if copies:
        notes.append(
            Finding(
                "duplicate-files",
                f"{copies} slices lie there twice with the same pixels; one is kept",
            )
        )
    return [
        _series_info(header, part=part, frames=volume, notes=notes)
        for part, volume in dicom_geometry.split_volumes(frames)
    ]


def _without_copies(frames: list[Frame]) -> tuple[list[Frame], int]:
    """Drops slices whose SOPInstanceUID and pixels came before."""
    kept: dict[tuple[str, int], Frame] = {}
    result, copies = [], 0
    for frame in frames:
        key = (frame.sop_uid, frame.index)
        first = kept.setdefault(key, frame)
        if first is frame:
            result.append(frame)
        elif _pixel_hash(first.path) == _pixel_hash(frame.path):
            copies += 1
        else:
            result.append(frame)
    return result, copies


def _pixel_hash(path: pathlib.Path) -> str:
    dataset = pydicom.dcmread(path, specific_tags=["PixelData"], force=True)
    return hashlib.sha256(dataset.get("PixelData", b"")).hexdigest()


def _series_info(
    header: pydicom.Dataset,
    *,
    part: str,
    frames: list[Frame],
    notes: Sequence[Finding],
) -> SeriesInfo:
    text, number = dicom_headers.text, dicom_headers.number
    sop_class = text(header, "SOPClassUID")
    modality = dicom_kinds.IMAGE_CLASSES.get(sop_class, text(header, "Modality"))
    findings = [*dicom_kinds.check_kind(header, frames=frames), *notes]
    located = all(f.position_mm and f.orientation and f.spacing_mm for f in frames)
    spacing = (float("nan"),) * 3
    if not any(finding.code == "secondary-capture" for finding in findings):
        findings += dicom_geometry.check_slices(frames, modality=modality)
    if located:
        frames = sort_slices(frames)
        heights = dicom_geometry.heights_mm(frames)
        if np.ptp(heights) > 1e-3:
            between, _ = dicom_geometry.regular_spacing_mm(heights)
            spacing = (between, *frames[0].spacing_mm)

    def earliest(keyword: str) -> str:
        index = dicom_headers.SPLITTERS.index(keyword)
        return min(filter(None, (f.splitters[index] for f in frames)), default="")

    def shared(keyword: str) -> float | None:
        value = frames[0].splitters[dicom_headers.SPLITTERS.index(keyword)]
        try:
            return float(value)
        except ValueError:
            return None

    return SeriesInfo(
        uid=text(header, "SeriesInstanceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        part=part,
        modality=modality,
        frames=tuple(frames),
        findings=tuple(findings),
        shape=(len(frames), *frames[0].shape),
        spacing_mm=spacing,
        number=text(header, "SeriesNumber"),
        description=text(header, "SeriesDescription"),
        protocol=text(header, "ProtocolName"),
        image_type="\\".join(frames[0].image_type),
        contrast_agent=text(header, "ContrastBolusAgent"),
        kernel=text(header, "ConvolutionKernel"),
        kvp=number(header, "KVP"),
        thickness_mm=frames[0].thickness_mm,
        echo_time_ms=shared("EchoTime"),
        b_value=shared("DiffusionBValue"),
        field_strength_t=number(header, "MagneticFieldStrength"),
        manufacturer=text(header, "Manufacturer"),
        model=text(header, "ManufacturerModelName"),
        patient_id=text(header, "PatientID"),
        accession=text(header, "AccessionNumber"),
        study_date=text(header, "StudyDate"),
        study_time=text(header, "StudyTime"),
        series_time=text(header, "SeriesTime"),
        acquisition_time=earliest("AcquisitionTime"),
        content_time=earliest("ContentTime"),
    )
