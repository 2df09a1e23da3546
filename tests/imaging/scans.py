"""Small scans for the tests: a body in HU, and DICOM files written from arrays."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pydicom
import pydicom.config
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from liverjax.imaging import grids

SPACING_MM = (5.0, 4.0, 4.0)  # d, h, w
ORIGIN_MM = (-100.0, -80.0, 300.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def body_hu(shape: tuple[int, int, int] = (16, 48, 60)) -> np.ndarray:
    """A body of tissue and fat in air, lungs on top, a spine behind, a liver right."""
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.hypot(h / 0.8, w / 0.9)
    hu = np.full(shape, -1000.0)
    hu[radius < 1] = -100.0
    hu[radius < 0.9] = 45.0
    hu[(d > 0.4) & (radius < 0.8) & (np.abs(w) > 0.1)] = -800.0
    hu[(np.hypot((h - 0.5) / 0.2, w / 0.15) < 1)] = 500.0
    hu[liver_mask(shape)] = 60.0
    noise = np.random.default_rng(0).normal(0, 8, shape)
    return np.round(hu + np.where(hu > -900, noise, 0)).astype(np.int16)


def liver_mask(shape: tuple[int, int, int] = (16, 48, 60)) -> np.ndarray:
    """The liver of `body_hu`: on the patient's right, low columns in LPS."""
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return ((d + 0.1) / 0.4) ** 2 + ((h + 0.1) / 0.4) ** 2 + ((w + 0.4) / 0.35) ** 2 < 1


def spleen_mask(shape: tuple[int, int, int] = (16, 48, 60)) -> np.ndarray:
    """A small organ on the patient's left."""
    return liver_mask(shape)[:, :, ::-1]


def volume(array: np.ndarray) -> sitk.Image:
    """An array (d, h, w) on the grid that the writers below use."""
    return grids.make_volume(array, origin_mm=ORIGIN_MM, spacing_mm=SPACING_MM)


def body_volume() -> sitk.Image:
    """`body_hu` as `volumes.read_volume` gives it."""
    return volume(body_hu().astype(np.float32))


def mask_volume(array: np.ndarray) -> sitk.Image:
    """A mask on the grid of `body_volume`."""
    return volume(array.astype(np.uint8))


def uid(name: str) -> str:
    """A UID that is the same for the same name."""
    return generate_uid(entropy_srcs=[name])


def write_series(
    folder: pathlib.Path,
    hu: np.ndarray,
    *,
    name: str = "series",
    change: Callable[[Dataset, int], None] | None = None,
    modality: str = "CT",
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> list[pathlib.Path]:
    """Writes axial slices as DICOM files named against their order.

    Args:
        folder: Made when missing.
        hu: Slices from caudal to cranial.
        name: Names the series, its UIDs and files.
        change: Called with each slice's dataset and number before it is written.
        modality: ``CT`` (stored with an intercept of -1024) or ``MR``.
        spacing_mm: d, h, w.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, plane in enumerate(hu):
        dataset = _slice(plane, number=number, name=name, modality=modality)
        dataset.ImagePositionPatient = [
            ORIGIN_MM[0],
            ORIGIN_MM[1],
            ORIGIN_MM[2] + spacing_mm[0] * number,
        ]
        dataset.PixelSpacing = list(spacing_mm[1:])
        if change:
            change(dataset, number)
        paths.append(folder / f"{name}_{999 - number:03d}.dcm")
        save(dataset, paths[-1])
    return paths


def _slice(plane: np.ndarray, *, number: int, name: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    dataset.SOPInstanceUID = uid(f"{name} {number}")
    dataset.StudyInstanceUID = uid("study")
    dataset.SeriesInstanceUID = uid(name)
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.PatientID = "secret-4711"
    dataset.PatientName = "Secret^Name"
    dataset.SeriesDescription = "Secret description"
    dataset.Modality = modality
    dataset.SeriesNumber = 3
    dataset.InstanceNumber = 1 + (number * 7) % 100  # in no order
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImageOrientationPatient = list(AXIAL)
    dataset.SliceThickness = 5
    intercept = -1024 if modality == "CT" else 0
    if modality == "CT":
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, intercept
    set_pixels(dataset, np.asarray(plane, np.int32) - intercept)
    return dataset


def set_pixels(dataset: Dataset, stored: np.ndarray) -> None:
    """Puts stored values in, as unsigned 16 bit."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.astype("<u2").tobytes()


def save(
    dataset: Dataset, path: pathlib.Path, *, syntax: str = ExplicitVRLittleEndian
) -> None:
    """Writes a dataset as a DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    with pydicom.config.disable_value_validation():
        file = FileDataset(str(path), dataset, file_meta=meta, preamble=bytes(128))
        file.save_as(path, enforce_file_format=True)


def compress(path: pathlib.Path, *, compressor: str) -> str:
    """Compresses a file with GDCM (``JPEG``, ``JPEG2000``); returns the syntax.

    GDCM writes the pixels of a bare picture; they are put into the file as it was.
    """
    dataset = pydicom.dcmread(path)
    picture = sitk.GetImageFromArray(dataset.pixel_array.astype(np.uint16))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    donor_path = path.with_suffix(".donor")
    writer.SetFileName(str(donor_path))
    writer.Execute(picture)
    donor = pydicom.dcmread(donor_path)
    donor_path.unlink()
    dataset.PixelData = donor.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = donor.file_meta.TransferSyntaxUID
    dataset.save_as(path)
    return donor.file_meta.TransferSyntaxUID.name


def write_enhanced(
    path: pathlib.Path, hu: np.ndarray, *, order: list[int] | None = None
) -> None:
    """Writes slices as one enhanced CT object, frames in a given order.

    The intercept of each frame is its own, so that each must be rescaled by itself.
    """
    order = list(range(len(hu))) if order is None else order
    dataset = _slice(hu[0], number=0, name="enhanced", modality="CT")
    for keyword in ("RescaleSlope", "RescaleIntercept", "ImageOrientationPatient"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = len(order)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = list(SPACING_MM[1:])
    shared.PixelMeasuresSequence[0].SliceThickness = 5
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(AXIAL)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups, stored = [], []
    for number in order:
        group = Dataset()
        group.PlanePositionSequence = Sequence([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [
            *ORIGIN_MM[:2],
            ORIGIN_MM[2] + SPACING_MM[0] * number,
        ]
        group.PixelValueTransformationSequence = Sequence([Dataset()])
        intercept = -1024 - number
        group.PixelValueTransformationSequence[0].RescaleSlope = 1
        group.PixelValueTransformationSequence[0].RescaleIntercept = intercept
        groups.append(group)
        stored.append(hu[number].astype(np.int32) - intercept)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    set_pixels(dataset, np.array(stored))
    save(dataset, path)
