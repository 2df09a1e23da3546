"""Hounsfield units: clamped, windowed, stored as one byte."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float, UInt8

AIR_HU = -1024.0


def clamp_to_air(image: sitk.Image) -> sitk.Image:
    """Returns a CT as float32 with nothing below air (-1024 HU).

    Scanners write -2000 to -3024 outside their circle of reconstruction; a linear
    interpolation next to such a corner would invent densities.
    """
    # An upper bound that no 32-bit voxel reaches: only the lower end is clamped.
    return sitk.Clamp(image, sitk.sitkFloat32, AIR_HU, 1e9)


def window_to_uint8(
    hu: Float[np.ndarray, "*shape"], *, centre_hu: float, width_hu: float
) -> UInt8[np.ndarray, "*shape"]:
    """Returns intensities inside a window as 0 to 255, what lies outside at its ends.

    The lower end of the window maps to 0, the upper to 255, linearly; halves round up.

    Args:
        hu: Hounsfield units.
        centre_hu: Middle of the window (study 000: 40).
        width_hu: Its width (study 000: 400, so -160 to 240 HU).

    Raises:
        ValueError: If the width is not above 0.
    """
    if width_hu <= 0:
        raise ValueError(f"width_hu={width_hu}: expected above 0")
    scaled = (np.asarray(hu, np.float64) - (centre_hu - width_hu / 2)) * 255 / width_hu
    return np.floor(np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)
