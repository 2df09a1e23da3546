"""Stored values and intensities of DICOM slices, whatever their transfer syntax."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import pydicom
import pydicom.encaps
import SimpleITK as sitk
from jaxtyping import Float, Integer
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from liverjax.imaging import dicom_files
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import ExaminationError

AIR_HU = -1024.0

# The module that says how pixels are stored; copied to decode one compressed frame.
PIXEL_MODULE = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


class PixelFile:
    """An opened DICOM image whose frames are decoded one at a time.

    Native pixels are read as they lie; compressed ones (JPEG, JPEG lossless, JPEG-LS,
    JPEG 2000, RLE) are decoded by GDCM. Values are the stored ones, before rescaling.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens a file.

        Args:
            path: A DICOM image.

        Raises:
            ExaminationError: ``truncated`` or ``unreadable-pixels``.
        """
        self.path = path
        self.dataset = dicom_files.read_dataset(path)
        needed = ("PixelData", "Rows", "Columns", "BitsAllocated")
        missing = [name for name in needed if self.dataset.get(name) is None]
        if missing:
            raise ExaminationError(
                "truncated", f"{path.name}: {', '.join(missing)} missing; copy it again"
            )
        meta = getattr(self.dataset, "file_meta", FileMetaDataset())
        # Files without a meta header are of DICOM's default syntax.
        self.syntax = meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian
        if not (isinstance(self.syntax, UID) and self.syntax.is_transfer_syntax):
            raise ExaminationError(
                "unreadable-pixels", f"{path.name}: its transfer syntax is not known"
            )
        if int(self.dataset.get("SamplesPerPixel") or 1) != 1:
            raise ExaminationError("not-scalar", f"{path.name}: a colour picture")

    def stored_values(self, index: int) -> Integer[np.ndarray, "h w"]:
        """Returns the stored values of a frame.

        Args:
            index: Frame number, from 0.

        Raises:
            ExaminationError: ``truncated`` or ``unreadable-pixels``.
        """
        if self.syntax.is_encapsulated:
            return self._decode(index)
        return self._native(index)

    def _native(self, index: int) -> np.ndarray:
        dataset = self.dataset
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        allocated = int(dataset.BitsAllocated)
        if allocated not in (8, 16, 32):
            raise ExaminationError(
                "unreadable-pixels",
                f"{self.path.name}: {allocated} bits a pixel; expected 8, 16 or 32",
            )
        size = rows * columns * allocated // 8
        pixels = dataset.PixelData[index * size : (index + 1) * size]
        if len(pixels) < size:
            raise ExaminationError(
                "truncated",
                f"{self.path.name}: {len(pixels)} of {size} bytes of pixels; copy the "
                "file again",
            )
        order = "<" if self.syntax.is_little_endian else ">"
        signed = int(dataset.get("PixelRepresentation") or 0) == 1
        stored = int(dataset.get("BitsStored") or allocated)
        sign = "i" if signed and stored == allocated else "u"
        values = np.frombuffer(pixels, f"{order}{sign}{allocated // 8}")
        values = values.reshape(rows, columns).astype(np.int64)
        if stored < allocated:
            # Bits beyond the stored ones may hold an overlay.
            high = int(dataset.get("HighBit") or stored - 1)
            values = (values >> (high + 1 - stored)) & ((1 << stored) - 1)
            if signed:
                values -= (values >> (stored - 1)) << stored
        return values

    def _decode(self, index: int) -> np.ndarray:
        count = int(self.dataset.get("NumberOfFrames") or 1)
        try:
            frame = pydicom.encaps.get_frame(
                self.dataset.PixelData, index, number_of_frames=count
            )
        except (ValueError, EOFError, OSError) as error:
            raise ExaminationError(
                "truncated", f"{self.path.name}: compressed pixels end early ({error})"
            ) from None
        single = FileDataset("", {}, preamble=bytes(128), file_meta=FileMetaDataset())
        single.file_meta.TransferSyntaxUID = self.syntax
        single.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        single.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        single.SOPClassUID = SecondaryCaptureImageStorage
        single.SOPInstanceUID = single.file_meta.MediaStorageSOPInstanceUID
        for keyword in PIXEL_MODULE:
            if keyword in self.dataset:
                single[keyword] = self.dataset[keyword]
        single.PixelData = pydicom.encaps.encapsulate([frame])
        single["PixelData"].VR = "OB"
        # SimpleITK reads files only; without rescale tags GDCM gives stored values.
        with tempfile.TemporaryDirectory() as folder, dicom_files.quietly():
            copy = pathlib.Path(folder, "frame.dcm")
            single.save_as(copy, enforce_file_format=True)
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(str(copy))
            try:
                image = reader.Execute()
            except RuntimeError:
                raise ExaminationError(
                    "unreadable-pixels",
                    f"{self.path.name}: pixels in {self.syntax.name} cannot be decoded",
                ) from None
        array = sitk.GetArrayFromImage(image)
        shape = (int(self.dataset.Rows), int(self.dataset.Columns))
        return array.reshape(shape).astype(np.int64)


def intensities(
    stored: Integer[np.ndarray, "h w"], *, frame: Frame, modality: str
) -> Float[np.ndarray, "h w"]:
    """Returns a slice's HU (CT) or scanner units (MR), by its own slope and intercept.

    In CT, pixels of the padding value become -1024 HU, and so does all below.

    Args:
        stored: Stored values.
        frame: The slice's header.
        modality: ``CT`` or ``MR``.
    """
    slope = 1.0 if frame.slope is None else frame.slope
    intercept = 0.0 if frame.intercept is None else frame.intercept
    values = (stored * slope + intercept).astype(np.float32)
    if modality == "CT":
        if frame.padding is not None:
            low, high = frame.padding
            values[(stored >= low) & (stored <= high)] = AIR_HU
        values = np.maximum(values, np.float32(AIR_HU))
    return values


def read_stack(frames: Sequence[Frame], *, modality: str) -> Float[np.ndarray, "d h w"]:
    """Returns the intensities of slices in the given order.

    Args:
        frames: Slices of one size.
        modality: ``CT`` or ``MR``.

    Raises:
        ExaminationError: If a file cannot be decoded.
    """
    array = np.empty((len(frames), *frames[0].shape), np.float32)
    opened: PixelFile | None = None
    for number, frame in enumerate(frames):
        if opened is None or opened.path != frame.path:
            opened = PixelFile(frame.path)
        stored = opened.stored_values(frame.index)
        array[number] = intensities(stored, frame=frame, modality=modality)
    return array


def interpolate_slices(
    array: Float[np.ndarray, "d h w"], *, heights: np.ndarray, spacing_mm: float
) -> Float[np.ndarray, "n h w"]:
    """Returns slices at even distances, linear between their neighbours.

    Args:
        array: Slices as they lie.
        heights: Their positions in mm, ascending.
        spacing_mm: The wanted distance.
    """
    count = int(np.rint((heights[-1] - heights[0]) / spacing_mm)) + 1
    wanted = np.minimum(heights[0] + spacing_mm * np.arange(count), heights[-1])
    below = np.searchsorted(heights, wanted, side="right") - 1
    below = np.clip(below, 0, len(array) - 2)
    share = (wanted - heights[below]) / (heights[below + 1] - heights[below])
    share = share.astype(np.float32)[:, None, None]
    return array[below] * (1 - share) + array[below + 1] * share
