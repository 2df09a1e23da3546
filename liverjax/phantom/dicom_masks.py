"""The true masks of a synthetic examination as a DICOM segmentation object."""

from __future__ import annotations

import pathlib

import highdicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from liverjax.phantom.subject import PhaseImage


def write_masks(
    folder: pathlib.Path, image: PhaseImage, *, slices: list[Dataset]
) -> None:
    """Write liver (segment 1) and spleen (segment 2) of a phase as one DICOM SEG.

    Args:
        folder: Folder of the series, made if need be.
        image: The phase whose masks are written.
        slices: Its slices as DICOM data sets, in any order.
    """
    sources = []
    for one in slices:
        source = Dataset()
        source.update(one)
        source.file_meta = FileMetaDataset()
        source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        sources.append(source)
    low, step = image.grid.origin[2], image.grid.spacing_mm[0]
    places = [
        round((float(one.ImagePositionPatient[2]) - low) / step) for one in slices
    ]
    masks = np.stack([image.liver[places], image.spleen[places]], axis=-1)
    first = slices[0]
    series_uid = _uid(first.SeriesInstanceUID, "masks")
    seg = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=masks.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe(1, "Liver", codes.SCT.Liver),
            _describe(2, "Spleen", codes.SCT.Spleen),
        ],
        series_instance_uid=series_uid,
        series_number=9,
        sop_instance_uid=_uid(series_uid, "object"),
        instance_number=1,
        manufacturer="liverjax phantom",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="0",
        content_label="MASKS",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    _stop_the_clock(seg, day=first.StudyDate, time=first.StudyTime)
    folder.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(folder / "masks.dcm", seg, enforce_file_format=True)


def _describe(number: int, organ: str, code: Code) -> highdicom.seg.SegmentDescription:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=organ,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=code,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def _stop_the_clock(seg: Dataset, *, day: str, time: str) -> None:
    """Replace what depends on the moment of writing: same bytes every time."""
    for one in seg.iterall():
        if one.VR == "DA" and one.keyword != "StudyDate" and one.value:
            one.value = day
        elif one.VR == "TM" and one.keyword != "StudyTime" and one.value:
            one.value = time
        elif one.VR == "DT" and one.value:
            one.value = f"{day}{time}"
        elif one.keyword == "DimensionOrganizationUID":
            one.value = _uid(seg.SeriesInstanceUID, "dimensions")


def _uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))
