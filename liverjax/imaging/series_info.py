"""One volume of a DICOM series, described by its headers alone."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np
import pydicom

from liverjax.imaging import dicom_files, dicom_geometry, dicom_headers, dicom_kinds
from liverjax.imaging.dicom_geometry import sort_slices
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import FAILED, Finding


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


def volumes_of(
    group: Sequence[tuple[pathlib.Path, pydicom.Dataset]],
) -> list[SeriesInfo]:
    """Returns the volumes that the files of one SeriesInstanceUID hold.

    Args:
        group: Each file and its header.
    """
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
    # A localizer filed with a scan must not spoil it.
    by_kind: dict[str, list[Frame]] = collections.defaultdict(list)
    for frame in frames:
        left_out = dicom_kinds.kind_left_out(frame.image_type)
        by_kind[left_out[0] if left_out else ""].append(frame)
    return [
        _series_info(header, part=part or kind, frames=volume, notes=notes)
        for kind, same in by_kind.items()
        for part, volume in dicom_geometry.split_volumes(same)
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
    dataset = dicom_files.read_dataset(path)
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
    spacing = (float("nan"), float("nan"), float("nan"))
    if not any(finding.code == "secondary-capture" for finding in findings):
        findings += dicom_geometry.check_slices(frames, modality=modality)
    plane = frames[0].plane
    if plane is not None and all(frame.plane for frame in frames):
        frames = sort_slices(frames)
        heights = dicom_geometry.heights_mm(frames)
        if np.ptp(heights) > dicom_geometry.SAME_POSITION_MM:
            between, _ = dicom_geometry.regular_spacing_mm(heights)
            spacing = (between, *plane.spacing_mm)

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
