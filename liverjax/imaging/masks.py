"""Organ masks: read from what people have, placed on the image's grid, checked."""

from __future__ import annotations

import pathlib
from collections.abc import Collection

import numpy as np
import SimpleITK as sitk

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import grids, volume_files
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle

# TotalSegmentator's label values, CT and MR alike.
TOTALSEGMENTATOR = {"liver": 5, "spleen": 1}


def read_mask(
    source: MaskSource,
    *,
    image: sitk.Image,
    organ: str = "liver",
    image_path: pathlib.Path | None = None,
    modality: str = "ct",
    allow: Collection[str] = (),
) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Returns an organ's mask (uint8, 0 and 1) on the image's grid, and findings.

    A mask whose axes run another way is permuted and flipped; one on another grid is
    refused, never resampled.

    Args:
        source: Where it lies and which part of it is meant.
        image: The volume it belongs to, from `volumes.read_volume`.
        organ: ``liver`` or ``spleen``; picks the file of a TotalSegmentator folder.
        image_path: Where the image was read from: DICOM SEG frames and RTSTRUCT
            contours are compared with its slices, ``file_order`` needs it.
        modality: ``ct`` (HU under the mask are judged) or ``mr``.
        allow: Codes of failed findings that the user takes responsibility for.

    Raises:
        ExaminationError: If the mask cannot be used; the text says why.
    """
    path = source.path
    if not path.exists():
        raise ExaminationError("missing", f"{path}: no such file or folder")
    mask, findings = _read_any(source, image=image, organ=organ, image_path=image_path)
    findings += check_mask(mask, image=image, organ=organ, modality=modality)
    return mask, settle(findings, allow=allow, where=str(path))


def largest_component(mask: sitk.Image) -> sitk.Image:
    """Returns the largest piece of a mask (face neighbours), uint8.

    Args:
        mask: 0 and 1.
    """
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    largest = sitk.Cast(pieces == 1, sitk.sitkUInt8)
    largest.CopyInformation(mask)
    return largest


def volume_ml(mask: sitk.Image) -> float:
    """Volume of a mask's voxels of value 1 in millilitres."""
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    return float(np.count_nonzero(sitk.GetArrayViewFromImage(mask) == 1)) * voxel_ml


def touches_border(mask: sitk.Image) -> bool:
    """Whether a mask has voxels on an outer face of its volume, so that it may be cut.

    Args:
        mask: 0 and 1.
    """
    return bool(_border_sides(mask))


def check_mask(
    mask: sitk.Image, *, image: sitk.Image, organ: str, modality: str
) -> list[Finding]:
    """Returns what is odd about a mask on its image.

    Codes: ``mask-empty``, ``mask-outside-body`` (failed); ``<organ>-touches-border``,
    ``mask-in-pieces`` (warnings).

    Args:
        mask: 0 and 1, on the image's grid.
        image: HU (CT) or scanner units.
        organ: For the words and codes.
        modality: ``ct`` or ``mr``.
    """
    inside = sitk.GetArrayViewFromImage(mask) == 1
    count = int(np.count_nonzero(inside))
    if count == 0:
        return [Finding("mask-empty", f"the {organ} mask is empty", FAILED)]
    findings = []
    if modality == "ct":
        values = sitk.GetArrayViewFromImage(image)[inside]
        air = float(np.mean(values < -500))
        if air > 0.5:
            text = f"{air:.0%} of the {organ} mask lies in air, outside the body"
            findings.append(Finding("mask-outside-body", text, FAILED))
    sides = _border_sides(mask)
    if sides:
        findings.append(
            Finding(
                f"{organ}-touches-border",
                f"the {organ} touches the {', '.join(sides)} border of the scan and "
                "may be cut; it stays out of volumetry",
            )
        )
    return findings


def _border_sides(mask: sitk.Image) -> list[str]:
    inside = sitk.GetArrayViewFromImage(mask) == 1
    faces = {
        "caudal": inside[0],
        "cranial": inside[-1],
        "anterior": inside[:, 0],
        "posterior": inside[:, -1],
        "right": inside[:, :, 0],
        "left": inside[:, :, -1],
    }
    return [name for name, face in faces.items() if face.any()]


def _read_any(
    source: MaskSource,
    *,
    image: sitk.Image,
    organ: str,
    image_path: pathlib.Path | None,
) -> tuple[sitk.Image, list[Finding]]:
    path = source.path
    if path.is_dir() and any((path / f"{organ}{e}").exists() for e in (".nii.gz",)):
        path = path / f"{organ}.nii.gz"
    stored, findings = volume_files.read(path)
    labels = grids.to_caudal_cranial(stored)
    differences = grids.grid_differences(image, other=labels)
    if differences:
        raise ExaminationError(
            "mask-grid",
            f"{path}: the mask lies on another grid than the image: "
            f"{'; '.join(differences)}. Masks are never resampled: export it on the "
            "image's grid",
        )
    array = sitk.GetArrayViewFromImage(labels)
    wanted = int(source.segment) if source.segment else 1
    return _on_grid(array == wanted, image=image), list(findings)


def _on_grid(inside: np.ndarray, *, image: sitk.Image) -> sitk.Image:
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.CopyInformation(image)
    return mask
