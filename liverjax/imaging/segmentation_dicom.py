"""DICOM SEG: one segment's frames, placed by their position in the patient."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from jaxtyping import Bool

from liverjax.imaging import dicom_headers, grids
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.dicom_pixels import PixelFile
from liverjax.imaging.findings import FAILED, ExaminationError, Finding
from liverjax.imaging.grids import Plane

SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",  # label map
)
# SNOMED CT, and the older SNOMED RT that is still written.
MAX_APART_PX = 0.25
ORGAN_CODES = {"liver": ("10200004", "T-62000"), "spleen": ("78961009", "T-C3000")}


@dataclasses.dataclass(frozen=True)
class Segment:
    """A structure of a SEG: its number, label, and property type code."""

    number: int
    label: str
    code: str
    meaning: str

    def answers(self, wanted: str) -> bool:
        """Whether a number, label, code value or code meaning means this segment."""
        names = {str(self.number), self.label.casefold(), self.meaning.casefold()}
        return wanted.casefold() in names or wanted == self.code


def read(
    path: pathlib.Path,
    *,
    image: sitk.Image,
    segment: str,
    organ: str,
    source: Mapping[str, Frame],
) -> tuple[Bool[np.ndarray, "d h w"], list[Finding]]:
    """Returns a segment's voxels on the image's grid, and findings.

    A frame lies where its position says; one without a position lies where its source
    image does. Its number in the file plays no part.

    Args:
        path: A SEG object: binary, fractional (cut at one half) or label map.
        image: The volume it belongs to.
        segment: Number, label or code; empty takes the only one, or that of the organ.
        organ: ``liver`` or ``spleen``.
        source: The image's slices by SOPInstanceUID; empty if it was no DICOM.

    Raises:
        ExaminationError: ``segment``, ``mask-grid``, ``seg-position``, ``truncated`` or
            ``unreadable-pixels``.
    """
    file = PixelFile(path)
    dataset = file.dataset
    chosen = _choose(dataset, segment=segment, organ=organ)
    frames = dicom_headers.read_frames(dataset, path=path)
    depth = int(dataset.get("NumberOfFrames") or 1)
    grids.check_size((depth, *frames[0].shape))
    kind = dicom_headers.text(dataset, "SegmentationType").upper()
    findings = _check_frame_of_reference(frames[0], source=source)
    if kind == "FRACTIONAL":
        text = "fractional segment, cut at one half of its largest value"
        findings.append(Finding("fractional-seg", text))
    volume = np.zeros(image.GetSize()[::-1], bool)
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if len(groups) != depth:
        raise ExaminationError(
            "seg-position", f"{len(groups)} positions for {depth} frames of the SEG"
        )
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
    bits = _binary_bits(dataset) if kind == "BINARY" else None
    lost = 0
    for frame, group in zip(frames, groups, strict=True):
        if kind != "LABELMAP" and _segment_number([group, *shared]) != chosen.number:
            continue
        if bits is not None:
            rows, columns = frame.shape
            start = frame.index * rows * columns
            plane = bits[start : start + rows * columns].reshape(rows, columns) > 0
        elif kind == "LABELMAP":
            plane = file.stored_values(frame.index) == chosen.number
        else:
            maximum = float(dataset.get("MaximumFractionalValue") or 255)
            plane = file.stored_values(frame.index) >= maximum / 2
        if plane.any():
            at = _locate(frame, references=_references(group), source=source)
            lost += _place(at, image=image, shape=frame.shape).write(volume, plane)
    if lost:
        text = f"{lost} pixels of the segment lie outside the image"
        findings.append(Finding("mask-outside-image", text, FAILED))
    return volume, findings


def _choose(dataset: pydicom.Dataset, *, segment: str, organ: str) -> Segment:
    segments = []
    for item in dataset.get("SegmentSequence") or ():
        codes = item.get("SegmentedPropertyTypeCodeSequence") or [pydicom.Dataset()]
        segments.append(
            Segment(
                int(item.SegmentNumber),
                dicom_headers.text(item, "SegmentLabel"),
                dicom_headers.text(codes[0], "CodeValue"),
                dicom_headers.text(codes[0], "CodeMeaning"),
            )
        )
    if segment:
        matching = [item for item in segments if item.answers(segment)]
        # A number is a number first; SNOMED CT codes are digits too.
        matching = [m for m in matching if str(m.number) == segment] or matching
    elif len(segments) == 1:
        matching = segments
    else:
        wanted = (organ, *ORGAN_CODES.get(organ, ()))
        matching = [item for item in segments if any(map(item.answers, wanted))]
    if len(matching) != 1:
        known = ", ".join(f"{s.number} ({s.label}, {s.code})" for s in segments)
        raise ExaminationError(
            "segment",
            f"{len(matching)} segments answer to {segment or organ!r}; the file has "
            f"{known}: name one by number, label or code",
        )
    return matching[0]


def _binary_bits(dataset: pydicom.Dataset) -> np.ndarray:
    # Frames follow each other bit by bit, not each from a new byte.
    expected = int(dataset.NumberOfFrames) * dataset.Rows * dataset.Columns
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    if bits.size < expected:
        raise ExaminationError(
            "truncated",
            f"{bits.size} of {expected} bits of pixels; copy the file again",
        )
    return bits


def _segment_number(groups: list[Any]) -> int | None:
    for group in groups:
        items = group.get("SegmentIdentificationSequence")
        if items:
            return int(items[0].ReferencedSegmentNumber)
    return None


def _references(group: pydicom.Dataset) -> list[str]:
    """SOPInstanceUIDs of the images that a frame was drawn on."""
    return [
        dicom_headers.text(image, "ReferencedSOPInstanceUID")
        for derivation in group.get("DerivationImageSequence") or ()
        for image in derivation.get("SourceImageSequence") or ()
    ]


def _check_frame_of_reference(
    frame: Frame, *, source: Mapping[str, Frame]
) -> list[Finding]:
    uids = {item.frame_of_reference for item in source.values()} - {""}
    if not uids or not frame.frame_of_reference or frame.frame_of_reference in uids:
        return []
    text = "mask and image refer to different frames of reference"
    return [Finding("mixed-frame-of-reference", text, FAILED)]


def _locate(
    frame: Frame, *, references: list[str], source: Mapping[str, Frame]
) -> Plane:
    """A frame's plane, checked against that of its source image, or else taken from it.

    Raises:
        ExaminationError: ``seg-position``.
    """
    known = [source[uid] for uid in references if uid in source]
    origin = known[0].plane if len(known) == 1 else None
    if frame.plane is None:
        if origin is None:
            raise ExaminationError(
                "seg-position",
                f"frame {frame.index + 1} has neither a position nor a known source "
                "image; give the image as its DICOM folder",
            )
        return origin
    if origin is None:
        return frame.plane
    apart_mm = np.abs(np.subtract(frame.plane.position_mm, origin.position_mm)).max()
    limit_mm = MAX_APART_PX * min(frame.plane.spacing_mm)
    if frame.shape == known[0].shape and apart_mm > limit_mm:
        raise ExaminationError(
            "seg-position",
            f"frame {frame.index + 1} lies {apart_mm:.2f} mm from the image it names "
            "as its source; export the segmentation again",
        )
    return frame.plane


def _place(
    plane: Plane, *, image: sitk.Image, shape: tuple[int, int]
) -> grids.Placement:
    placement = grids.place_plane(image, plane=plane, shape=shape)
    if placement is None:
        raise ExaminationError(
            "mask-grid",
            f"a frame (spacing {plane.spacing_mm} mm, position {plane.position_mm}) is "
            f"not on the image's grid (spacing {image.GetSpacing()} mm, origin "
            f"{image.GetOrigin()}); masks are never resampled: export it on the "
            "image's grid",
        )
    return placement
