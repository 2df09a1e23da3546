"""One examination's voxels, looked at before a cohort is built."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool

from liverjax.cohort.manifest import Examination
from liverjax.cohort.schema import Recipe
from liverjax.imaging import masks, volumes
from liverjax.imaging.findings import FAILED, WARNING, ExaminationError, Finding


@dataclasses.dataclass(frozen=True)
class VoxelFacts:
    """What an examination's voxels show.

    Attributes:
        line: Of the manifest.
        findings: By column; failed ones will stop the examination.
        hu_range: 0.1st and 99.9th percentile of each channel.
        liver_hu: Median of the reference under the mask, NaN without one.
        liver_ml: Volume of the mask.
        liver_extent_mm: Height of its largest piece.
        coverage: Share of that piece inside the patches that will be cut.
    """

    line: int
    findings: tuple[tuple[str, Finding], ...]
    hu_range: dict[str, tuple[float, float]]
    liver_hu: float = math.nan
    liver_ml: float = math.nan
    liver_extent_mm: float = math.nan
    coverage: float = math.nan


def deep_check(examination: Examination, *, recipe: Recipe) -> VoxelFacts:
    """Returns what reading an examination's images and mask shows.

    Args:
        examination: Its files exist.
        recipe: Patch, slices and the reference channel.
    """
    findings: list[tuple[str, Finding]] = []
    ranges = {}
    reference = None
    for channel, path in examination.images.items():
        try:
            image, found = volumes.read_volume(path)
        except ExaminationError as error:
            findings.append((channel, error.finding))
            continue
        findings += [(channel, finding) for finding in found]
        # Every 4th voxel along each axis is enough for percentiles.
        some = sitk.GetArrayViewFromImage(image)[::2, ::4, ::4]
        low, high = np.percentile(some, (0.1, 99.9))
        ranges[channel] = (float(low), float(high))
        if channel == recipe.reference:
            reference = image
    facts = VoxelFacts(examination.line, (), ranges)
    source = examination.masks.get(recipe.reference)
    if reference is not None and source is not None:
        column = f"mask_{recipe.reference}"
        try:
            mask, found = masks.read_mask(
                source,
                image=reference,
                image_path=examination.images[recipe.reference],
            )
        except ExaminationError as error:
            findings.append((column, error.finding))
        else:
            findings += [(column, finding) for finding in found]
            facts = _liver_facts(facts, image=reference, mask=mask, recipe=recipe)
            if facts.coverage < recipe.min_liver_coverage:
                findings.append((column, _little_coverage(facts, recipe=recipe)))
    return dataclasses.replace(facts, findings=tuple(findings))


def failed(facts: VoxelFacts) -> list[tuple[str, Finding]]:
    """Returns the findings that will stop the examination."""
    return [item for item in facts.findings if item[1].level == FAILED]


def _little_coverage(facts: VoxelFacts, *, recipe: Recipe) -> Finding:
    text = (
        f"patches of {recipe.patch_px} px hold {facts.coverage:.0%} of the liver, "
        f"below {recipe.min_liver_coverage:.0%}; set prepare.inplane_spacing_mm"
    )
    return Finding("low-coverage", text, WARNING)


def _liver_facts(
    facts: VoxelFacts, *, image: sitk.Image, mask: sitk.Image, recipe: Recipe
) -> VoxelFacts:
    whole = sitk.GetArrayViewFromImage(mask) == 1
    liver = sitk.GetArrayFromImage(masks.largest_component(mask)) == 1
    width_mm, height_mm, step_mm = image.GetSpacing()
    used = np.flatnonzero(liver.any(axis=(1, 2)))
    return dataclasses.replace(
        facts,
        liver_hu=float(np.median(sitk.GetArrayViewFromImage(image)[whole])),
        liver_ml=masks.volume_ml(mask),
        liver_extent_mm=float(len(range(used[0], used[-1] + 1)) * step_mm),
        coverage=_coverage(liver, pixel_mm=(height_mm, width_mm), recipe=recipe),
    )


def _coverage(
    liver: Bool[np.ndarray, "d h w"], *, pixel_mm: tuple[float, float], recipe: Recipe
) -> float:
    """Share of the kept slices' liver inside the patch around the liver's centre."""
    filled = np.flatnonzero(liver.any(axis=(1, 2)))
    low, high = recipe.slice_range
    first = filled[0] + low * (filled[-1] - filled[0])
    last = filled[0] + high * (filled[-1] - filled[0])
    kept = liver[math.ceil(first) : math.floor(last) + 1]
    if not kept.any():
        return math.nan
    centre = [float(np.mean(axis)) for axis in np.nonzero(liver)[1:]]
    inside = kept
    for axis, (middle, size_mm) in enumerate(zip(centre, pixel_mm, strict=True)):
        half = recipe.patch_px * (recipe.inplane_spacing_mm or size_mm) / size_mm / 2
        places = np.arange(liver.shape[axis + 1])
        window = np.abs(places - middle) <= half
        inside = inside & np.expand_dims(window, axis=(0, 2 - axis))
    return float(inside.sum() / kept.sum())
