"""Are these voxels what they are said to be: finite, not constant, in HU, unflipped."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from liverjax.imaging.findings import FAILED, Finding

AIR_HU = -1024.0


def check_voxels(image: sitk.Image, *, modality: str = "ct") -> list[Finding]:
    """Returns what is odd about a volume's intensities.

    Codes, all failed: ``not-finite``, ``constant``; for CT those of `check_hounsfield`.

    Args:
        image: A volume as it was stored, before anything is clamped.
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
        return [
            Finding(
                "constant",
                f"every voxel is {low:g}: this is no scan; export it again",
                FAILED,
            )
        ]
    return check_hounsfield(image) if modality == "ct" else []


def check_hounsfield(image: sitk.Image) -> list[Finding]:
    """Returns why a volume cannot be in Hounsfield units, or nothing."""
    return []
