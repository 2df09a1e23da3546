"""Are these voxels what they are said to be: finite, not constant, in HU, unflipped."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float, Shaped
from scipy import ndimage

from liverjax.imaging.findings import FAILED, Finding

AIR_HU = -1024.0

# Flips are judged on a copy of about this voxel size; organs are larger.
COARSE_MM = 4.0
BODY_HU = -300.0
# Above blood in an arterial phase: a heart in front is no skeleton.
BONE_HU = 400.0
# Aerated tissue; the gas of the bowel is darker, its rim thin and in small pieces.
LUNG_HU = (-950.0, -600.0)
MIN_BONE_ML = 20.0
MIN_LUNG_ML = 100.0
FLIP_MARGIN_MM = 10.0

# Mean HU of a liver from severe steatosis to a strong portal phase, and of a spleen.
ORGAN_MEAN_HU = (-30.0, 250.0)
ORGAN_SD_HU = 100.0


def check_voxels(image: sitk.Image, *, modality: str = "ct") -> list[Finding]:
    """Returns what is odd about a volume's intensities.

    Codes, all failed: ``not-finite``, ``constant``; for CT those of `check_hounsfield`
    and, where these are silent, of `check_sides` without masks.

    Args:
        image: A volume in the order of `grids.to_caudal_cranial`.
        modality: ``ct`` or ``mr``.
    """
    array = sitk.GetArrayViewFromImage(image)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        return [
            Finding(
                "not-finite",
                f"{count} voxels are NaN or infinite; expected finite numbers: export "
                "the scan again",
                FAILED,
            )
        ]
    if low == high:
        text = f"every voxel is {low:g}: this is no scan; export it again"
        return [Finding("constant", text, FAILED)]
    if modality != "ct":
        return []
    return check_hounsfield(image) or check_sides(image)


def check_hounsfield(image: sitk.Image) -> list[Finding]:
    """Returns why a CT's values cannot be Hounsfield units, or nothing.

    Codes: ``windowed`` (a display window, 8 bits or scaled numbers are left),
    ``rescale-missing``, ``not-hounsfield`` (failed); ``no-air`` (warning: a crop inside
    the body, which still holds fat).

    Args:
        image: A finite volume that is not constant.
    """
    array = sitk.GetArrayViewFromImage(image)
    low, high = float(array.min()), float(array.max())
    values = f"values run from {low:g} to {high:g}"
    expected = "expected HU with air near -1000 and soft tissue near 50"

    def failed(code: str, reason: str) -> list[Finding]:
        return [Finding(code, f"{values}: {reason}; {expected}", FAILED)]

    if low >= -1.5 and high <= 255:
        return failed(
            "windowed",
            "already windowed or scaled for display; export the original values",
        )
    if high - low < 50:
        return failed("windowed", "scaled for a network; export the original values")
    if low > -500 and float(np.mean(array == low)) > 0.01:
        share = float(np.mean(array == low))
        if low < 0:
            reason = f"{share:.0%} of the voxels are cut off at {low:g}: windowed"
            return failed("windowed", f"{reason}; export the original values")
    if float(np.mean((array > 900) & (array < 1200))) > 0.1:
        return failed(
            "rescale-missing",
            "soft tissue stands near 1000, so the rescale intercept (often -1024) was "
            "not applied; convert the scan again",
        )
    soft = array[np.abs(array) < -BODY_HU]
    if high > 40000 or soft.size < 0.02 * array.size:
        return failed("not-hounsfield", "too little is soft tissue")
    if low > -200:
        if float(np.percentile(soft, 1)) > -30:
            return failed("not-hounsfield", "neither air nor fat is there: no CT")
        text = f"{values}: no air; a crop inside the body is registered less surely"
        return [Finding("no-air", text)]
    return []


def organ_mean_sd_hu(values: Shaped[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean and standard deviation of the HU under an organ's mask; NaN and inf if none.

    Args:
        values: HU of the mask's voxels.
    """
    if values.size == 0:
        return math.nan, math.inf
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def is_organ_hu(mean: float, *, sd: float) -> bool:
    """Whether a mean and a spread in HU can be a liver's or a spleen's."""
    low, high = ORGAN_MEAN_HU
    return low <= mean <= high and sd < ORGAN_SD_HU


def check_sides(
    image: sitk.Image,
    *,
    liver: sitk.Image | None = None,
    spleen: sitk.Image | None = None,
    modality: str = "ct",
) -> list[Finding]:
    """Returns signs that a volume is mirrored against its header.

    Codes, all failed and allowed by name (situs inversus exists):
    ``flipped-left-right`` (the liver lies left of the spleen, or left in the body),
    ``flipped-anterior-posterior`` (the skeleton lies in front),
    ``flipped-cranial-caudal`` (the lungs lie below the liver).

    Args:
        image: A volume in the order of `grids.to_caudal_cranial`.
        liver: Its liver mask.
        spleen: Its spleen mask.
        modality: ``ct``; in ``mr`` only liver and spleen are compared.
    """
    reasons: dict[str, str] = {}
    if liver is not None and spleen is not None:
        one, other = _coarse(liver) > 0, _coarse(spleen) > 0
        if one.any() and other.any():
            apart_mm = _centre_mm(other, spleen) - _centre_mm(one, liver)
            if apart_mm[2] < 0:
                reasons["left-right"] = "the liver lies left of the spleen"
    if modality == "ct":
        reasons = _body_reasons(image, liver=liver) | reasons
    return [
        Finding(
            f"flipped-{axes}",
            f"{reason}: the scan is mirrored against its header; correct its direction",
            FAILED,
        )
        for axes, reason in reasons.items()
    ]


def _body_reasons(image: sitk.Image, *, liver: sitk.Image | None) -> dict[str, str]:
    array = _coarse(image)
    body = _largest(array > BODY_HU)
    if not body.any():
        return {}
    centre = _centre_mm(body, image)
    reasons = {}
    bone = body & (array > BONE_HU)
    if _volume_ml(bone, image) > MIN_BONE_ML:
        behind = (_centre_mm(bone, image) - centre)[1]
        if behind < -FLIP_MARGIN_MM:
            reasons["anterior-posterior"] = "the skeleton lies in front of the body"
    organ = None if liver is None else _coarse(liver) > 0
    if organ is None or not organ.any():
        return reasons
    organ_centre = _centre_mm(organ, image)
    if (organ_centre - centre)[2] > FLIP_MARGIN_MM:
        reasons["left-right"] = "the liver lies in the left half of the body"
    inside = np.zeros_like(body)
    for number, plane in enumerate(body):
        ndimage.binary_fill_holes(plane, output=inside[number])
    aerated = inside & (array > LUNG_HU[0]) & (array < LUNG_HU[1])
    lung = _largest_piece(ndimage.binary_opening(aerated))
    if _volume_ml(lung, image) > MIN_LUNG_ML:
        above = (_centre_mm(lung, image) - organ_centre)[0]
        if above < -FLIP_MARGIN_MM:
            reasons["cranial-caudal"] = "the lungs lie below the liver"
    return reasons


def _steps(image: sitk.Image) -> tuple[int, int, int]:
    """Strides (d, h, w) to about `COARSE_MM`."""
    depth, height, width = (
        max(1, round(COARSE_MM / spacing)) for spacing in image.GetSpacing()[::-1]
    )
    return depth, height, width


def _coarse(image: sitk.Image) -> np.ndarray:
    depth, height, width = _steps(image)
    return sitk.GetArrayViewFromImage(image)[::depth, ::height, ::width]


def _spacing_mm(image: sitk.Image) -> Float[np.ndarray, " 3"]:
    return np.multiply(_steps(image), image.GetSpacing()[::-1])


def _centre_mm(mask: Bool[np.ndarray, "d h w"], image: sitk.Image) -> np.ndarray:
    """Centroid (d, h, w) of a coarse mask, from the volume's first voxel."""
    return np.array(ndimage.center_of_mass(mask)) * _spacing_mm(image)


def _volume_ml(mask: Bool[np.ndarray, "d h w"], image: sitk.Image) -> float:
    return float(mask.sum() * np.prod(_spacing_mm(image))) / 1000


def _largest(mask: Bool[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    # Opened in plane, so that the table and its straps fall off.
    return _largest_piece(ndimage.binary_opening(mask, np.ones((1, 3, 3), bool)))


def _largest_piece(mask: Bool[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    if not mask.any():
        return mask
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=labels)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
