"""Organ masks: read from what people have, placed on the image's grid, checked."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Shaped
from scipy import ndimage

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import (
    dicom_headers,
    grids,
    plausibility,
    png_masks,
    segmentation_dicom,
    series,
    structures,
    volume_files,
)
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle

# Pieces beside the largest one that together are more than this share are named.
MAX_LOOSE_SHARE = 0.05
# A mask of which more lies in air is on another scan, or mirrored.
MAX_AIR_SHARE = 0.5
AIR_BELOW_HU = -500


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
    try:
        inside, findings = _read_any(
            source, image=image, organ=organ, modality=modality, image_path=image_path
        )
        mask = sitk.GetImageFromArray(inside.astype(np.uint8))
        mask.CopyInformation(image)
        findings += check_mask(mask, image=image, organ=organ, modality=modality)
        return mask, settle(findings, allow=allow)
    except ExaminationError as error:
        if str(error).startswith(str(path)):
            raise
        raise ExaminationError(error.finding.code, f"{path}: {error}") from None
    except OSError as error:
        text = f"{path}: cannot be opened ({error.strerror})"
        raise ExaminationError("unreadable", text) from None


def largest_component(mask: sitk.Image) -> sitk.Image:
    """Returns the largest piece of a mask (face neighbours), uint8.

    Args:
        mask: 0 and 1.
    """
    inside = sitk.GetArrayViewFromImage(mask) == 1
    result = sitk.GetImageFromArray(_largest_piece(inside).astype(np.uint8))
    result.CopyInformation(mask)
    return result


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
    ``mask-in-pieces``, ``organ-hu`` (warnings).

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
        air = float(np.mean(values < AIR_BELOW_HU))
        if air > MAX_AIR_SHARE:
            text = f"{air:.0%} of the {organ} mask lies in air, outside the body"
            findings.append(Finding("mask-outside-body", text, FAILED))
        mean, sd = plausibility.organ_mean_sd_hu(values)
        if not findings and not plausibility.is_organ_hu(mean, sd=sd):
            text = f"the {organ} has {mean:.0f} HU, sd {sd:.0f}: is the mask on it?"
            findings.append(Finding("organ-hu", text))
    loose = 1 - np.count_nonzero(_largest_piece(inside)) / count
    if loose > MAX_LOOSE_SHARE:
        text = f"{loose:.0%} of the {organ} mask is not part of its largest piece"
        findings.append(Finding("mask-in-pieces", text))
    sides = _border_sides(mask)
    if sides:
        text = _cut_words(sides, organ=organ)
        findings.append(Finding(f"{organ}-touches-border", text))
    return findings


def _cut_words(sides: dict[str, int], *, organ: str) -> str:
    """What an organ at the scan's edge means, and what may be done about it."""
    where = " and ".join(
        f"the {side} edge of the scan ({count:,} voxels of the outermost plane)"
        for side, count in sides.items()
    )
    lost = [f"{organ}_volume_ml stays empty, so baselines of volume lack the patient"]
    if organ == "liver" and {"caudal", "cranial"} & set(sides):
        lost.append("prepare.slice_range counts slices from the cut end")
    if organ == "liver" and not {"caudal", "cranial"} >= set(sides):
        lost.append("patches lack what lies beyond the edge")
    return (
        f"the {organ} mask reaches {where}, so the {organ} is probably cut there: "
        f"{'; '.join(lost)}. The examination is used all the same and needs no option; "
        f"a series that holds the whole {organ}, or a mask that ends where the {organ} "
        "does, mends it; without its row the study does without it"
    )


def _largest_piece(inside: Bool[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    largest = np.zeros(inside.shape, bool)
    if inside.any():
        # Labelled inside the bounding box: a scan is much larger than an organ.
        box = ndimage.find_objects(inside.astype(np.uint8))[0]
        pieces = np.zeros(inside[box].shape, np.int32)
        ndimage.label(inside[box], output=pieces)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        largest[box] = pieces == sizes.argmax()
    return largest


def _border_sides(mask: sitk.Image) -> dict[str, int]:
    """How many voxels a mask has on each outer face where it has any."""
    inside = sitk.GetArrayViewFromImage(mask) == 1
    faces = {
        "caudal": inside[0],
        "cranial": inside[-1],
        "anterior": inside[:, 0],
        "posterior": inside[:, -1],
        "right": inside[:, :, 0],
        "left": inside[:, :, -1],
    }
    counts = {name: int(np.count_nonzero(face)) for name, face in faces.items()}
    return {name: count for name, count in counts.items() if count}


def _read_any(
    source: MaskSource,
    *,
    image: sitk.Image,
    organ: str,
    modality: str,
    image_path: pathlib.Path | None,
) -> tuple[Bool[np.ndarray, "d h w"], list[Finding]]:
    path = source.path
    if path.is_dir() and (path / f"{organ}.nii.gz").is_file():
        path = path / f"{organ}.nii.gz"
    if path.is_dir():
        return _read_folder(
            source, image=image, organ=organ, modality=modality, image_path=image_path
        )
    if volume_files.is_volume_file(path):
        labels, findings = _read_labels(path, image=image)
        names = volume_files.label_names(path)
        inside = _select(labels, segment=source.segment, organ=organ, names=names)
        return inside, findings
    header = dicom_headers.read_header(path)
    sop_class = "" if header is None else dicom_headers.text(header, "SOPClassUID")
    if sop_class in segmentation_dicom.SOP_CLASSES:
        read = segmentation_dicom.read
    elif sop_class == structures.SOP_CLASS:
        read = structures.read
    else:
        raise ExaminationError(
            "not-a-mask",
            "expected a NIfTI, NRRD or MHA file, a DICOM SEG or RTSTRUCT file, a "
            f"folder of PNGs, or a TotalSegmentator folder with {organ}.nii.gz",
        )
    by_uid = {frame.sop_uid: frame for frame in _source_frames(image_path)}
    return read(path, image=image, segment=source.segment, organ=organ, source=by_uid)


def _read_folder(
    source: MaskSource,
    *,
    image: sitk.Image,
    organ: str,
    modality: str,
    image_path: pathlib.Path | None,
) -> tuple[Bool[np.ndarray, "d h w"], list[Finding]]:
    """A PNG stack, or the one file that a folder holds."""
    path = source.path
    if any(path.glob("*.png")):
        frames = _source_frames(image_path)
        values = png_masks.read(path, image=image, order=source.order, frames=frames)
        inside = _select(values, segment=source.segment, organ=organ, any_value=True)
        if modality == "ct":
            png_masks.check_order(inside, image=image, order=source.order, organ=organ)
            return inside, []
        text = "the order of the PNG stack cannot be tested by HU in MRI"
        return inside, [Finding("order-unchecked", text)]
    files = [item for item in path.iterdir() if item.is_file()]
    if len(files) != 1:
        raise ExaminationError(
            "not-a-mask",
            f"the folder holds {len(files)} files, neither PNGs nor {organ}.nii.gz; "
            "name the mask's file",
        )
    return _read_any(
        dataclasses.replace(source, path=files[0]),
        image=image,
        organ=organ,
        modality=modality,
        image_path=image_path,
    )


def _source_frames(image_path: pathlib.Path | None) -> Sequence[Frame]:
    """The image's DICOM slices; none if it is another kind of file."""
    if image_path is None or volume_files.is_volume_file(image_path):
        return ()
    return series.find_one(image_path).frames


def _read_labels(
    path: pathlib.Path, *, image: sitk.Image
) -> tuple[Shaped[np.ndarray, "d h w"], list[Finding]]:
    stored, findings = volume_files.read(path)
    labels = grids.to_caudal_cranial(stored)
    differences = grids.grid_differences(image, other=labels)
    if differences:
        raise ExaminationError(
            "mask-grid",
            f"the mask lies on another grid than the image: {'; '.join(differences)}. "
            "Masks are never resampled: export it on the image's grid",
        )
    return sitk.GetArrayFromImage(labels), list(findings)


def _select(
    values: Shaped[np.ndarray, "d h w"],
    *,
    segment: str,
    organ: str,
    names: Mapping[int, str] | None = None,
    any_value: bool = False,
) -> Bool[np.ndarray, "d h w"]:
    """The voxels of one label, which is named or the only one.

    Args:
        values: Labels.
        segment: A label's value or its name in ``names``; empty if there is one label.
        organ: Its name is looked up when ``segment`` is empty.
        names: Names of the values, as far as the file has them.
        any_value: Take a single label of any value (pictures), not only 1 or 255.
    """
    present = _labels(values)
    by_name = {name.casefold(): value for value, name in (names or {}).items()}
    wanted = segment or (organ if len(present) > 1 or organ in by_name else "")
    if wanted:
        value = int(wanted) if wanted.isdigit() else by_name.get(wanted.casefold())
        if value is not None and (value in present or not present):
            return values == value
    elif not present:
        return np.zeros(values.shape, bool)
    elif any_value or present[0] in (1, 255):
        return values == present[0]
    known = ", ".join(
        f"{value} ({names[value]})" if names and value in names else str(value)
        for value in present[:12]
    )
    more = f" and {len(present) - 12} more" if len(present) > 12 else ""
    raise ExaminationError(
        "segment",
        f"not a binary mask: it holds the labels {known}{more} and "
        f"{f'none of them is {wanted!r}' if wanted else 'no 1'}; name the {organ}'s "
        f"value in the mask's segment column (TotalSegmentator: liver 5, spleen 1)",
    )


def _labels(values: Shaped[np.ndarray, "d h w"]) -> list[int]:
    """Values other than 0 that occur.

    Raises:
        ExaminationError: ``not-binary`` if they are no whole numbers from 0 to 65535.
    """
    low, high = values.min(), values.max()
    whole = np.issubdtype(values.dtype, np.integer)
    if not (
        low >= 0 and high <= 65535 and (whole or (values == np.rint(values)).all())
    ):
        raise ExaminationError(
            "not-binary",
            f"values run from {low:g} to {high:g} and are no labels; expected 0 and 1 "
            "(a probability map must be cut first)",
        )
    counts = np.bincount(values.ravel().astype(np.uint16))
    return [int(value) for value in np.flatnonzero(counts) if value != 0]
