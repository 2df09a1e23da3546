"""A mask as a folder of PNGs, one a slice, whose order must be said and is tested."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Integer

from liverjax.imaging import grids, plausibility
from liverjax.imaging.dicom_headers import Frame
from liverjax.imaging.findings import ExaminationError

PNG_START = b"\x89PNG\r\n\x1a\n"
ORDERS = ("file_order", "z_up", "z_down")
OPPOSITE = {"z_up": "z_down", "z_down": "z_up", "file_order": "the opposite order"}


def read(
    folder: pathlib.Path,
    *,
    image: sitk.Image,
    order: str,
    frames: Sequence[Frame],
) -> Integer[np.ndarray, "d h w"]:
    """Returns the pictures' values on the image's grid.

    Pictures are taken by the numbers in their names. With ``file_order`` the n-th
    picture belongs to the n-th DICOM file by name, with ``z_up`` to the n-th slice from
    caudal, with ``z_down`` from cranial. In a slice they lie like the DICOM pixels; for
    other images rows run from anterior and columns from the patient's right.

    Args:
        folder: PNG files, as many as the image has slices.
        image: The volume in the order of `grids.to_caudal_cranial`.
        order: One of `ORDERS`.
        frames: The image's DICOM slices; empty if it was no DICOM.

    Raises:
        ExaminationError: ``png-order``, ``mask-grid``, ``not-scalar`` or ``truncated``.
    """
    if order not in ORDERS:
        raise ExaminationError(
            "png-order",
            f"the order of a PNG stack must be said: one of {', '.join(ORDERS)}, not "
            f"{order or 'empty'!r}",
        )
    depth = image.GetSize()[2]
    paths = sorted(folder.glob("*.png"), key=lambda path: natural_key(path.name))
    if len(paths) != depth:
        raise ExaminationError(
            "mask-grid",
            f"{len(paths)} pictures for {depth} slices; expected one a slice",
        )
    if order == "file_order" and len({frame.path for frame in frames}) != depth:
        raise ExaminationError(
            "png-order",
            "file_order needs the image as a folder of DICOM files, one a slice; say "
            "z_up or z_down",
        )
    volume = np.zeros(image.GetSize()[::-1], np.uint16)
    placements = _placements(image, order=order, frames=frames)
    for path, placement in zip(paths, placements, strict=True):
        picture = _read_picture(path)
        shape = frames[0].shape if frames else image.GetSize()[1::-1]
        if picture.shape != shape:
            raise ExaminationError(
                "mask-grid",
                f"{path.name}: {picture.shape[0]} x {picture.shape[1]} pixels, the "
                f"image's slices have {shape[0]} x {shape[1]}",
            )
        placement.write(volume, picture)
    return volume


def check_order(
    mask: Bool[np.ndarray, "d h w"], *, image: sitk.Image, order: str, organ: str
) -> None:
    """Does nothing if the HU under a mask are an organ's in the order it was read.

    Args:
        mask: The organ in the order that was said.
        image: HU.
        order: What was said.
        organ: For the words.

    Raises:
        ExaminationError: ``png-order`` if mean and spread are no organ's, or if the
            reversed order fits clearly better.
    """
    array = sitk.GetArrayViewFromImage(image)
    mean, sd = plausibility.organ_mean_sd_hu(array[mask])
    other_mean, other_sd = plausibility.organ_mean_sd_hu(array[mask[::-1]])
    fits = plausibility.is_organ_hu(mean, sd=sd)
    other_fits = plausibility.is_organ_hu(other_mean, sd=other_sd)
    if fits and not (other_fits and other_sd < 0.8 * sd):
        return
    low, high = plausibility.ORGAN_MEAN_HU
    better = other_fits and other_sd < 0.8 * sd
    advice = (
        f"reversed it fits better ({other_mean:.1f} HU, sd {other_sd:.1f}): say "
        f"{OPPOSITE[order]}"
        if better
        else "the reversed order fits no better: mask and scan may not belong together"
    )
    raise ExaminationError(
        "png-order",
        f"with order {order} the {organ} has {mean:.1f} HU, sd {sd:.1f}; expected "
        f"{low:g} to {high:g} HU, sd below {plausibility.ORGAN_SD_HU:g}; {advice}",
    )


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorting key that takes digits as numbers: 2 before 10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _placements(
    image: sitk.Image, *, order: str, frames: Sequence[Frame]
) -> list[grids.Placement]:
    if not frames:
        depth = image.GetSize()[2]
        placements = [
            grids.Placement((k, 0, 0), (0, 1, 0), (0, 0, 1)) for k in range(depth)
        ]
        return placements[::-1] if order == "z_down" else placements
    placed = {
        frame.path: grids.place_plane(image, plane=frame.plane, shape=frame.shape)
        for frame in frames
        if frame.plane is not None
    }
    placements = {path: place for path, place in placed.items() if place is not None}
    if len(placements) < len(frames) or any(
        place.row_step[0] or place.column_step[0] for place in placements.values()
    ):
        raise ExaminationError(
            "mask-grid",
            "the pictures cannot be laid on the image: its slices are not axial or "
            "were interpolated; export the mask as NIfTI",
        )
    if order == "file_order":
        names = sorted(placements, key=lambda path: natural_key(path.name))
        return [placements[name] for name in names]
    upward = sorted(placements.values(), key=lambda place: place.start[0])
    return upward[::-1] if order == "z_down" else upward


def _read_picture(path: pathlib.Path) -> Integer[np.ndarray, "h w"]:
    content = path.read_bytes()
    # ITK reads a cut PNG without a word.
    if not (content.startswith(PNG_START) and b"IEND" in content[-16:]):
        raise ExaminationError(
            "truncated", f"{path.name}: not a whole PNG; copy the file again"
        )
    reader = sitk.ImageFileReader()
    reader.SetImageIO("PNGImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        grids.check_size(tuple(reader.GetSize()))
        picture = reader.Execute()
    except RuntimeError:
        raise ExaminationError(
            "truncated", f"{path.name}: cannot be read as a PNG; copy it again"
        ) from None
    array = sitk.GetArrayFromImage(picture)
    if array.ndim == 3 and array.shape[2] > 1 and (array == array[..., :1]).all():
        array = array[..., 0]
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ExaminationError(
            "not-scalar", f"{path.name}: a colour picture; expected grey values"
        )
    return array
