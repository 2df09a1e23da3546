"""Headers of DICOM images: an allow-list of tags, a frozen record a frame.

Only the tags named here are read; free text stays out of findings and logs.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pydicom

from liverjax.imaging import dicom_files
from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.grids import Plane

TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "SeriesTime",
    "AcquisitionTime",
    "ContentTime",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "MagneticFieldStrength",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "ImageType",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
    "GantryDetectorTilt",
    "AcquisitionNumber",
    "InstanceNumber",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "EchoTime",
    "DiffusionBValue",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


# Functional groups of enhanced objects: keyword -> (sequence, keyword there).
GROUPS = {
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "AcquisitionTime": ("FrameContentSequence", "FrameAcquisitionDateTime"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
}
FRAME_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence")

# What tells the volumes inside one series apart, most telling first.
SPLITTERS = (
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "EchoTime",
    "ImageType",
    "AcquisitionNumber",
    "TriggerTime",
    "AcquisitionTime",
    "ContentTime",
)


@dataclasses.dataclass(frozen=True)
class Frame:
    """One slice of pixels: where it lies in a file and in the patient.

    Attributes:
        path: Its file.
        index: Frame number in the file, 0 for a file of one slice.
        sop_uid: SOPInstanceUID of the file.
        patient_id: PatientID, empty if absent.
        instance: InstanceNumber, or the frame's number in an enhanced object.
        plane: Where its pixels lie in the patient; None if the header does not say.
        shape: Rows, columns.
        slope: RescaleSlope; None if absent.
        intercept: RescaleIntercept; None if absent.
        padding: Lowest and highest stored value that mean "outside the scan"; None if
            absent.
        thickness_mm: SliceThickness; None if absent.
        frame_of_reference: FrameOfReferenceUID, empty if absent.
        image_type: ImageType, upper case.
        splitters: Values of `SPLITTERS` as text, empty where absent.
    """

    path: pathlib.Path
    index: int
    sop_uid: str
    patient_id: str
    instance: int | None
    plane: Plane | None
    shape: tuple[int, int]
    slope: float | None
    intercept: float | None
    padding: tuple[int, int] | None
    thickness_mm: float | None
    frame_of_reference: str
    image_type: tuple[str, ...]
    splitters: tuple[str, ...]


def read_header(path: pathlib.Path) -> pydicom.Dataset | None:
    """Returns the allowed tags of a DICOM file, or None if the file is another kind.

    Pixels are not read.

    Raises:
        ExaminationError: ``truncated`` if the header ends in its middle, ``too-large``
            if a deflated file unfolds beyond 4 GiB.
        OSError: If the file cannot be opened.
    """
    if not dicom_files.is_dicom(path):
        return None
    dataset = dicom_files.read_dataset(path, tags=TAGS)
    if text(dataset, "SOPClassUID"):
        return dataset
    if dicom_files.is_directory(path):
        return None
    raise ExaminationError(
        "truncated", f"{path.name}: the DICOM header is not whole; copy the file again"
    )


def read_frames(dataset: pydicom.Dataset, *, path: pathlib.Path) -> list[Frame]:
    """Returns the slices that a file holds: one, or those of an enhanced object.

    Args:
        dataset: Its header, from `read_header`.
        path: Its file.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [_frame(dataset, groups=(), path=path, index=0)]
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
    return [
        _frame(dataset, groups=(group, *shared), path=path, index=index)
        for index, group in enumerate(per_frame)
    ]


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """Returns a tag's value as stripped text, several values joined by a backslash."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    try:
        return "\\".join(str(item).strip() for item in value)
    except TypeError:
        return str(value).strip()


def number(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """Returns a tag's value as a number, None if absent or no number."""
    return _numbers(dataset.get(keyword), count=1, first=True)


def _frame(
    dataset: pydicom.Dataset,
    *,
    groups: tuple[Any, ...],
    path: pathlib.Path,
    index: int,
) -> Frame:
    def value(keyword: str) -> Any:
        sequence, inner = GROUPS.get(keyword, ("", ""))
        for group in groups:
            items = group.get(sequence) if sequence else None
            if items and items[0].get(inner) is not None:
                return items[0].get(inner)
        return dataset.get(keyword)

    image_type = dataset.get("ImageType")
    for group in groups:
        for sequence in FRAME_TYPES:
            if group.get(sequence) and group.get(sequence)[0].get("FrameType"):
                image_type = group.get(sequence)[0].get("FrameType")
    kinds = tuple(str(item).strip().upper() for item in _items(image_type))

    def splitter(keyword: str) -> str:
        if keyword == "ImageType":
            return "\\".join(kinds)
        # The content time of an enhanced object is that of the whole file.
        if groups and keyword in ("ContentTime", "TriggerTime"):
            return ""
        return "\\".join(str(item).strip() for item in _items(value(keyword)))

    located = (
        _numbers(value("ImagePositionPatient"), count=3),
        _numbers(value("ImageOrientationPatient"), count=6),
        _numbers(value("PixelSpacing"), count=2),
    )
    instance = _numbers(dataset.get("InstanceNumber"), count=1, first=True)
    return Frame(
        path=path,
        index=index,
        sop_uid=text(dataset, "SOPInstanceUID"),
        patient_id=text(dataset, "PatientID"),
        instance=index + 1 if groups else None if instance is None else int(instance),
        plane=None if None in located else Plane(*located),
        shape=(int(number(dataset, "Rows") or 0), int(number(dataset, "Columns") or 0)),
        slope=_numbers(value("RescaleSlope"), count=1, first=True),
        intercept=_numbers(value("RescaleIntercept"), count=1, first=True),
        padding=_padding(dataset),
        thickness_mm=_numbers(value("SliceThickness"), count=1, first=True),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        image_type=kinds,
        splitters=tuple(splitter(keyword) for keyword in SPLITTERS),
    )


def _padding(dataset: pydicom.Dataset) -> tuple[int, int] | None:
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = number(dataset, "PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit is None else limit)]
    if number(dataset, "PixelRepresentation") == 1:
        # Written as unsigned, though pixels are signed.
        bits = int(number(dataset, "BitsAllocated") or 16)
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return min(ends), max(ends)


def _items(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def _numbers(value: Any, *, count: int, first: bool = False) -> Any:
    try:
        numbers = tuple(float(item) for item in _items(value))
    except (TypeError, ValueError):
        return None
    if len(numbers) < count or (len(numbers) != count and not first):
        return None
    return numbers[0] if first else numbers
