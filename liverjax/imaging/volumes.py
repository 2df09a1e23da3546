"""Volumes in, checked: a file or a DICOM series folder becomes one SimpleITK image."""

from __future__ import annotations

import pathlib
from collections.abc import Collection

import SimpleITK as sitk

from liverjax.imaging import grids, plausibility, series, volume_files
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle
from liverjax.imaging.grids import to_caudal_cranial

__all__ = ["read_volume", "to_caudal_cranial"]

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")


def read_volume(
    path: pathlib.Path, *, modality: str = "ct", allow: Collection[str] = ()
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Returns an image as a 3-D float32 volume, and what is odd about it.

    Axes are permuted and flipped (never interpolated) to `grids.to_caudal_cranial`:
    axis 0 of the numpy view runs from caudal to cranial, axis 1 from anterior to
    posterior, axis 2 from the patient's right to the left. CT is in HU and clamped to
    at least -1024.

    Args:
        path: NIfTI, NRRD, MHA or MHD file, an enhanced DICOM file, or a folder with
            exactly one usable DICOM series.
        modality: ``ct`` (checked to be in HU) or ``mr``.
        allow: Codes of failed findings that the user takes responsibility for.

    Raises:
        ExaminationError: If the image cannot be used; the text says why.
    """
    if not path.exists():
        raise ExaminationError("missing", f"{path}: no such file or folder")
    if path.name.lower().endswith(ARCHIVES):
        raise ExaminationError("not-an-image", f"{path}: an archive; unpack it first")
    try:
        if path.is_dir() or not volume_files.is_volume_file(path):
            info = series.find_one(path)
            found = _check_modality(info, modality=modality)
            image, findings = series.read_series(info, allow=allow)
            findings += settle(found, allow=allow)
        else:
            stored, findings = volume_files.read(path, allow=allow)
            image = to_caudal_cranial(sitk.Cast(stored, sitk.sitkFloat32))
        found = grids.check_grid(image)
        found += plausibility.check_voxels(image, modality=modality)
        findings += settle(found, allow=allow)
    except ExaminationError as error:
        if str(error).startswith(str(path)):
            raise
        raise ExaminationError(error.finding.code, f"{path}: {error}") from None
    except OSError as error:
        text = f"{path}: cannot be opened ({error.strerror})"
        raise ExaminationError("unreadable", text) from None
    if modality == "ct":
        image = sitk.Maximum(image, plausibility.AIR_HU)
    return image, findings


def _check_modality(info: series.SeriesInfo, *, modality: str) -> list[Finding]:
    if info.modality.lower() == modality:
        return []
    text = f"{info.name} is {info.modality}, {modality.upper()} was expected"
    return [Finding("wrong-modality", text, FAILED)]
