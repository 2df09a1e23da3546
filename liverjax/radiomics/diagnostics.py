"""What an image and its masks are before, during and after preparation."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from liverjax.radiomics.region import Region, Spacing, crop, make_region
from liverjax.radiomics.settings import Number, Settings

AXES = ("z", "y", "x")


def describe(
    image: Float[np.ndarray, "d h w"],
    mask: Bool[np.ndarray, "d h w"],
    *,
    spacing_mm: Spacing,
    settings: Settings,
) -> dict[str, float]:
    """Returns the standard's diagnostic values of the stages of preparation.

    ``_init_`` is as read, ``_interp_`` after interpolation, ``_reseg_`` after
    re-segmentation.

    Raises:
        InputError: As `extract` does.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 4.2.
    """
    region = make_region(image, mask=mask, spacing_mm=spacing_mm, settings=settings)
    first = Region(image, mask, mask, spacing_mm)
    second = dataclasses.replace(region, intensity=region.morphology)
    return {
        **_of_image(first, stage="init_img"),
        **_of_image(second, stage="interp_img"),
        **_of_masks(first, stage="init_roi"),
        **_of_masks(second, stage="interp_roi"),
        **_of_masks(region, stage="reseg_roi"),
    }


def _by_axis(name: str, values: tuple[Number, ...], stage: str) -> dict[str, float]:
    return {
        f"{name}_{axis}_{stage}": float(value)
        for axis, value in zip(AXES, values, strict=True)
    }


def _of_image(region: Region, *, stage: str) -> dict[str, float]:
    return {
        **_by_axis("img_dim", region.image.shape, stage),
        **_by_axis("vox_dim", region.spacing_mm, stage),
        f"mean_int_{stage}": float(region.image.mean()),
        f"min_int_{stage}": float(region.image.min()),
        f"max_int_{stage}": float(region.image.max()),
    }


def _of_masks(region: Region, *, stage: str) -> dict[str, float]:
    made = _by_axis("int_mask_dim", region.image.shape, stage)
    for name, mask in (
        ("int_mask", region.intensity),
        ("morph_mask", region.morphology),
    ):
        sizes = tuple(float(side.stop - side.start) for side in crop(mask))
        made |= _by_axis(f"{name}_bb_dim", sizes, stage)
        made[f"{name}_vox_count_{stage}"] = float(mask.sum())
    values = region.image[region.intensity]
    made[f"int_mask_mean_int_{stage}"] = float(values.mean())
    made[f"int_mask_min_int_{stage}"] = float(values.min())
    made[f"int_mask_max_int_{stage}"] = float(values.max())
    return made
