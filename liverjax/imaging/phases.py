"""Are the contrast phases what their columns say? Judged from vessels and liver."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float
from scipy import ndimage

from liverjax.imaging.findings import FAILED, Finding
from liverjax.imaging.geometry import Matrix, ijk_to_lps, resample
from liverjax.imaging.intensity import AIR_HU

# Brightness of the great vessels, dark to bright.
ORDER = ("native", "venous", "arterial")

_STEP_MM = 4.0
# Blood and organs, in every phase; bone is as bright but does not change.
_SOFT_HU = (-20.0, 700.0)
_VESSEL_SHARE = 0.005
_LIVER_CORE_MM = 8.0
# Differences between the phases of one patient that leave no doubt: a swap needs the
# vessels and the liver (or the vessels twice as clearly) to say so.
_CLEAR_VESSEL_HU = 25.0
_CLEAR_LIVER_HU = 10.0


@dataclasses.dataclass(frozen=True)
class Brightness:
    """Mean HU of one phase in the vessels that change most, and inside the liver."""

    vessels_hu: float
    liver_hu: float


def phase_brightness(
    images: Mapping[str, sitk.Image],
    *,
    matrices: Mapping[str, Matrix],
    liver: sitk.Image,
) -> dict[str, Brightness]:
    """Returns how bright vessels and liver are in each phase.

    The vessels are found without a mask: they are the half percent of the soft tissue,
    at the height of the liver, that differs most between the phases (aorta, renal
    cortex, portal vein).

    Args:
        images: HU by channel; the reference is one of them.
        matrices: Map from the reference to each channel.
        liver: The reference's liver mask.
    """
    grid, shape = _slab(liver)
    inside = resample(liver, grid=grid, shape=shape, nearest=True, outside=0.0) > 0
    core = _core(inside)
    smooth, known = {}, np.ones(shape, bool)
    for channel, image in images.items():
        values = resample(
            image, grid=grid, shape=shape, matrix=matrices[channel], outside=2 * AIR_HU
        )
        known &= values >= AIR_HU
        smooth[channel] = ndimage.gaussian_filter(np.maximum(values, AIR_HU), 0.75)
    # Smoothing darkens what lies next to the border of a phase's scan.
    known = ndimage.binary_erosion(known, iterations=2, border_value=1)
    vessels = _vessels(np.stack(list(smooth.values())), known=known & ~inside)
    return {
        channel: Brightness(_mean(hu, vessels), _mean(hu, core & known))
        for channel, hu in smooth.items()
    }


def check_order(brightness: Mapping[str, Brightness]) -> tuple[Finding, ...]:
    """Returns a finding where phases look swapped, or cannot be told apart.

    Only channels named ``native``, ``arterial`` and ``venous`` are judged: vessels must
    be darkest in native and brightest in arterial, the liver brighter in venous than in
    native.

    Args:
        brightness: From `phase_brightness`.

    Returns:
        ``phases-swapped`` (failed) where the images clearly say otherwise,
        ``phases-unclear`` (warning) where they do not decide; nothing where they agree.
    """
    expected = [phase for phase in ORDER if phase in brightness]
    if len(expected) < 2:
        return ()
    seen = sorted(expected, key=lambda phase: brightness[phase].vessels_hu)
    said = ", ".join(
        f"{phase} {b.vessels_hu:.0f}/{b.liver_hu:.0f}"
        for phase, b in brightness.items()
    )
    found = f"vessels/liver have HU {said}"
    swapped = [
        phase for phase, other in zip(expected, seen, strict=True) if phase != other
    ]
    if swapped and _is_clear(brightness, seen=seen, expected=expected):
        return (
            Finding(
                "phases-swapped",
                f"{' and '.join(swapped)} look swapped: {found}; expected vessels "
                "darkest in native and brightest in arterial: correct the columns of "
                "the manifest",
                FAILED,
            ),
        )
    steps = np.diff([brightness[phase].vessels_hu for phase in expected])
    liver = _liver_gain(brightness)
    # A phase without a vessel in sight has NaN, which is not clear either.
    clear = np.min(steps) >= _CLEAR_VESSEL_HU
    if swapped or not clear or (liver is not None and liver < 0):
        return (
            Finding(
                "phases-unclear",
                f"the order of the phases cannot be told from the images: {found}; "
                "expected vessels darkest in native and brightest in arterial, and the "
                "liver brighter in venous than in native: look at the picture",
            ),
        )
    return ()


def _is_clear(
    brightness: Mapping[str, Brightness], *, seen: list[str], expected: list[str]
) -> bool:
    """Whether the order seen beats the one said, by vessels and, if told, by liver."""
    steps = np.diff([brightness[phase].vessels_hu for phase in seen])
    place = {phase: number for number, phase in enumerate(expected)}
    wrong = [steps[i] for i in range(len(steps)) if place[seen[i]] > place[seen[i + 1]]]
    # The phase seen as venous should be the brighter liver of it and native.
    names = dict(zip(seen, expected, strict=True))
    liver = _liver_gain({names[phase]: brightness[phase] for phase in seen})
    if liver is not None and liver < -_CLEAR_LIVER_HU:
        return False
    agrees = liver is not None and liver > _CLEAR_LIVER_HU
    return bool(max(wrong) > _CLEAR_VESSEL_HU * (1 if agrees else 2))


def _liver_gain(brightness: Mapping[str, Brightness]) -> float | None:
    if not {"native", "venous"} <= set(brightness):
        return None
    return brightness["venous"].liver_hu - brightness["native"].liver_hu


def _slab(liver: sitk.Image) -> tuple[Matrix, tuple[int, int, int]]:
    """A coarse grid over the reference's whole slices at the height of the liver."""
    planes = np.flatnonzero(sitk.GetArrayViewFromImage(liver).any((1, 2)))
    columns, rows, _ = liver.GetSize()
    spacing = np.array(liver.GetSpacing())
    start = np.array([0, 0, planes[0]], float)
    extent = np.array([columns - 1, rows - 1, planes[-1] - planes[0]]) * spacing
    matrix = ijk_to_lps(liver)
    grid = matrix.copy()
    grid[:3, 3] = matrix[:3, :3] @ start + matrix[:3, 3]
    grid[:3, :3] *= _STEP_MM / spacing
    width, height, depth = (int(n) for n in extent / _STEP_MM + 1)
    return grid, (depth, height, width)


def _core(inside: Bool[np.ndarray, "d h w"]) -> Bool[np.ndarray, "d h w"]:
    depth = np.asarray(ndimage.distance_transform_edt(inside, sampling=_STEP_MM))
    core = depth > _LIVER_CORE_MM
    return core if core.any() else inside


def _vessels(
    phases: Float[np.ndarray, "c d h w"], *, known: Bool[np.ndarray, "d h w"]
) -> Bool[np.ndarray, "d h w"]:
    low, high = _SOFT_HU
    soft = known & (phases > low).all(0) & (phases < high).all(0)
    if not soft.any():
        return known
    change = np.ptp(phases, axis=0)
    return soft & (change >= np.quantile(change[soft], 1 - _VESSEL_SHARE))


def _mean(hu: np.ndarray, where: np.ndarray) -> float:
    return float(hu[where].mean()) if where.any() else float("nan")
