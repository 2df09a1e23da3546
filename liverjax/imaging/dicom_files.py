"""DICOM files opened safely: damaged ones are named, odd values are not quoted."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import warnings
import zlib
from collections.abc import Iterator, Sequence

import pydicom
import pydicom.config
import pydicom.filereader
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from liverjax.imaging.findings import ExaminationError

DIRECTORY = "1.2.840.10008.1.3.10"
# More than any scanner writes; a deflated file that unfolds further is an attack.
MAX_INFLATED_BYTES = 2**32
META_START_BYTES = 128 + 4 + 12  # preamble, DICM, the element of the group's length


def is_dicom(path: pathlib.Path) -> bool:
    """Whether a file starts like DICOM, with or without the preamble."""
    with path.open("rb") as file:
        start = file.read(132)
    # Files without the preamble start with a group-8 element.
    bare = start[:2] == b"\x08\x00" and start[3:4] == b"\x00"
    return start[128:132] == b"DICM" or bare


def read_dataset(
    path: pathlib.Path, *, tags: Sequence[str] | None = None
) -> pydicom.Dataset:
    """Returns a DICOM file's elements, all of them decoded.

    Args:
        path: A DICOM file.
        tags: Keywords to read, pixels are then left out; None reads everything.

    Raises:
        ExaminationError: ``truncated`` if the file ends early or is damaged,
            ``too-large`` if it is deflated and unfolds beyond 4 GiB.
        OSError: If it cannot be opened.
    """
    with quietly() as noticed:
        try:
            _check_inflated_size(path)
            dataset = pydicom.dcmread(
                path,
                specific_tags=None if tags is None else list(tags),
                stop_before_pixels=tags is not None,
                force=True,
            )
            for _ in dataset.iterall():
                pass
        except (OSError, ExaminationError):
            raise
        # A damaged file makes the parser fail in any of a dozen ways.
        except Exception as error:
            raise ExaminationError(
                "truncated",
                f"{path.name}: damaged or not DICOM ({type(error).__name__}); copy the "
                "file again",
            ) from None
    if any("End of file reached" in str(warning.message) for warning in noticed):
        raise ExaminationError(
            "truncated", f"{path.name}: ends in the middle of its pixels; copy it again"
        )
    return dataset


def is_directory(path: pathlib.Path) -> bool:
    """Whether a DICOM file is a DICOMDIR."""
    with quietly():
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            return meta.get("MediaStorageSOPClassUID") == DIRECTORY
        except Exception:  # damaged in any way, as in `read_dataset`
            return False


def class_name(sop_class: str) -> str:
    """Name of a SOP class, or its UID if it is not known."""
    with quietly():
        return UID(sop_class).name


@contextlib.contextmanager
def quietly() -> Iterator[list[warnings.WarningMessage]]:
    """Keeps pydicom from warning: its warnings quote values of the header.

    Odd values are common in hospitals; those that matter are judged by their readers.
    """
    logger = logging.getLogger("pydicom")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with (
            warnings.catch_warnings(record=True) as noticed,
            pydicom.config.disable_value_validation(),
        ):
            warnings.simplefilter("always")
            yield noticed
    finally:
        logger.disabled = disabled


def _check_inflated_size(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    with path.open("rb") as file:
        file.seek(META_START_BYTES + int(meta.FileMetaInformationGroupLength))
        pending = file.read(2**20)
        while pending and not inflater.eof:
            total += len(inflater.decompress(pending, 2**24))
            if total > MAX_INFLATED_BYTES:
                raise ExaminationError(
                    "too-large", f"{path.name}: unfolds to more than 4 GiB"
                )
            pending = inflater.unconsumed_tail or file.read(2**20)
