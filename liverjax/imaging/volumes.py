"""Volumes in, checked: a file or a DICOM series folder becomes one SimpleITK image."""

from __future__ import annotations

import pathlib
from collections.abc import Collection

import SimpleITK as sitk

from liverjax.imaging import grids, plausibility, series, volume_files
from liverjax.imaging.findings import ExaminationError, Finding, settle
from liverjax.imaging.grids import to_caudal_cranial

__all__ = ["read_volume", "to_caudal_cranial"]


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
    try:
        if path.is_dir() or not volume_files.is_volume_file(path):
            image, findings = _read_dicom(path, allow=allow)
        else:
            image, findings = volume_files.read(path, allow=allow)
        image = sitk.Cast(to_caudal_cranial(image), sitk.sitkFloat32)
        found = grids.check_grid(image)
        found += plausibility.check_voxels(image, modality=modality)
        findings += settle(found, allow=allow)
    except ExaminationError as error:
        if str(error).startswith(str(path)):
            raise
        raise ExaminationError(error.finding.code, f"{path}: {error}") from None
    if modality == "ct":
        image = sitk.Maximum(image, plausibility.AIR_HU)
    return image, findings


def _read_dicom(
    path: pathlib.Path, *, allow: Collection[str]
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    tree = series.scan(path)
    if tree.findings:
        raise ExaminationError(tree.findings[0].code, tree.findings[0].text)
    if not tree.series:
        kinds = sorted({kind for _, kind in tree.objects})
        raise ExaminationError(
            "not-an-image",
            f"no DICOM image was found ({tree.other_files} other files"
            f"{', ' + ', '.join(kinds) if kinds else ''}); expected a NIfTI, NRRD or "
            "MHA file or the folder of one DICOM series",
        )
    usable = [info for info in tree.series if info.usable]
    if not usable and len(tree.series) == 1:
        usable = list(tree.series)
    if len(usable) != 1:
        raise ExaminationError(
            "several-series" if usable else "no-usable-series",
            f"{len(usable)} usable series, expected exactly one: "
            f"{'; '.join(_described(info) for info in tree.series)}. Give a folder "
            "that holds one, or convert with python -m data_prep.dicom",
        )
    return series.read_series(usable[0], allow=allow)


def _described(info: series.SeriesInfo) -> str:
    reasons = [f.text for f in info.findings if f.level == "failed"]
    return f"{info.name}{': ' if reasons else ''}{'; '.join(reasons)}"
