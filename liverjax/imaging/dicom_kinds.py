"""What kind of picture a DICOM series is: a scan, or something made from one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pydicom

from liverjax.imaging import dicom_headers
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import FAILED, Finding

IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # enhanced
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # legacy converted enhanced
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",  # enhanced
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",  # legacy converted enhanced
}
SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
# What RescaleType says of a CT in HU; material maps and effective-Z images say more.
HOUNSFIELD_TYPES = ("", "HU", "US")

# ImageType values of pictures that are no acquired stack: value -> (code, words).
LEFT_OUT = {
    "LOCALIZER": ("localizer", "a localizer"),
    "SCOUT": ("localizer", "a localizer"),
    "MIP": ("projection", "a projection (MIP)"),
    "MINIP": ("projection", "a projection (MinIP)"),
    "MAX_IP": ("projection", "a projection (MIP)"),
    "MIN_IP": ("projection", "a projection (MinIP)"),
    "PROJECTION IMAGE": ("projection", "a projection"),
    "VOLUME RENDERING": ("projection", "a rendering"),
    "MPR": ("reformatted", "a reformation (MPR)"),
    "REFORMATTED": ("reformatted", "a reformation"),
    "CPR": ("reformatted", "a curved reformation"),
    "SUBTRACTION": ("subtraction", "a subtraction"),
    "SUBTRACT": ("subtraction", "a subtraction"),
    "SUB": ("subtraction", "a subtraction"),
    "SCREEN SAVE": ("secondary-capture", "a screenshot"),
}


def is_image(sop_class: str) -> bool:
    """Whether objects of a SOP class are pictures: scans or screenshots."""
    return sop_class in IMAGE_CLASSES or _is_secondary_capture(sop_class)


def _is_secondary_capture(sop_class: str) -> bool:
    return sop_class == SECONDARY_CAPTURES or sop_class.startswith(
        f"{SECONDARY_CAPTURES}."
    )


def kind_left_out(image_type: Collection[str]) -> tuple[str, str] | None:
    """Code and words of a picture that is no acquired stack, None for one that is."""
    return next((LEFT_OUT[kind] for kind in LEFT_OUT if kind in image_type), None)


def check_kind(header: pydicom.Dataset, *, frames: Sequence[Frame]) -> list[Finding]:
    """Returns a failed finding for pictures that are no acquired stack, by ImageType.

    Codes: ``localizer``, ``projection``, ``reformatted``, ``subtraction``,
    ``secondary-capture``, ``not-scalar``, ``not-hounsfield``, ``multi-frame``,
    ``derived`` (a warning when the values come straight from the scan, such as Dixon
    water images).

    Args:
        header: Of one of its files.
        frames: Its slices.
    """
    sop_class = dicom_headers.text(header, "SOPClassUID")
    if sop_class not in IMAGE_CLASSES:
        return [Finding("secondary-capture", "a screenshot, left out", FAILED)]
    kinds = {kind for frame in frames for kind in frame.image_type}
    left_out = kind_left_out(kinds)
    if left_out:
        code, words = left_out
        return [Finding(code, f"{words} by its ImageType, left out", FAILED)]
    if (dicom_headers.number(header, "SamplesPerPixel") or 1) != 1:
        return [Finding("not-scalar", "colour pictures, left out", FAILED)]
    several = (dicom_headers.number(header, "NumberOfFrames") or 1) > 1
    if several and not header.get("PerFrameFunctionalGroupsSequence"):
        text = "several frames in one file without positions, left out"
        return [Finding("multi-frame", text, FAILED)]
    scale = dicom_headers.text(header, "RescaleType").upper()
    if IMAGE_CLASSES[sop_class] == "CT" and scale not in HOUNSFIELD_TYPES:
        text = "RescaleType says that the values are no HU (a material map), left out"
        return [Finding("not-hounsfield", text, FAILED)]
    if {"DERIVED", "SECONDARY"} <= kinds:
        text = "derived from other images by its ImageType, left out"
        return [Finding("derived", text, FAILED)]
    if "DERIVED" in kinds:
        return [Finding("derived", "ImageType says DERIVED\\PRIMARY; it is kept")]
    return []
