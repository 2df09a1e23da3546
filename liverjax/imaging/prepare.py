"""One examination from files to records: a pure function of files and recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk

from liverjax.cohort.examination import Examination
from liverjax.cohort.files import sha256_bytes
from liverjax.cohort.schema import IMAGE, MASK, Recipe
from liverjax.imaging import masks, phases, plausibility, quality, registration
from liverjax.imaging.findings import ExaminationError, Finding, settle
from liverjax.imaging.geometry import (
    Matrix,
    coarsen,
    index_points,
    translation_matrix,
)
from liverjax.imaging.intensity import window_to_uint8
from liverjax.imaging.montage import montage
from liverjax.imaging.patches import Patch, cut, place_patches
from liverjax.imaging.volumes import read_volume

# Agreement at the liver is judged on block means of about this voxel size.
_JUDGED_SPACING_MM = 1.5


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An examination's records and everything noticed on the way.

    Attributes:
        arrays: ``(n, *spec.shape)`` by name.
        index: A mapping a record: `liverjax.cohort.schema.INDEX_COLUMNS` without
            record, subject and visit.
        values: Further columns of ``examinations.csv``.
        measures: Further columns of ``status.csv``.
        findings: Warnings.
        picture: A PNG to judge by.
    """

    arrays: Mapping[str, np.ndarray]
    index: tuple[Mapping[str, Any], ...]
    values: Mapping[str, Any]
    measures: Mapping[str, Any]
    findings: tuple[Finding, ...]
    picture: bytes


@dataclasses.dataclass(frozen=True)
class _Phases:
    """The images of an examination, with the maps from the reference to each."""

    images: Mapping[str, sitk.Image]
    maps: Mapping[str, Matrix | None]
    measures: Mapping[str, Any]
    findings: tuple[Finding, ...]


def prepare_examination(
    examination: Examination, *, recipe: Recipe, allow: Collection[str] = ()
) -> Prepared:
    """Returns an examination's records, made as the recipe says.

    Args:
        examination: Its files exist.
        recipe: Every number of the preparation.
        allow: Codes of findings that are warnings instead of failures.

    Raises:
        ExaminationError: If its images or masks cannot be used; code and sentence go
            into ``status.csv``.
    """
    image, organs, found = _read_reference(examination, recipe=recipe, allow=allow)
    findings = [*found]
    liver = masks.largest_component(organs["liver"])
    patches = place_patches(
        image,
        liver,
        slice_range=recipe.slice_range,
        step_mm=recipe.slice_spacing_mm,
        pixel_mm=recipe.inplane_spacing_mm,
        patch_px=recipe.patch_px,
        store_px=recipe.store_px,
        center=recipe.patch_center,
    )
    registered = _register_phases(examination, image, liver, recipe=recipe, allow=allow)
    findings += registered.findings
    coverage = _coverage(patches)
    if coverage < recipe.min_liver_coverage:
        findings.append(
            Finding(
                "liver-coverage",
                f"the patches show {coverage:.0%} of the liver (expected at least "
                f"{recipe.min_liver_coverage:.0%}); widen prepare.patch_px or "
                "prepare.inplane_spacing_mm",
            )
        )
    arrays = _cut_arrays(registered, organs, patches, recipe=recipe)
    outline = cut(
        liver, patches, side_px=recipe.store_px, matrix=None, outside=0, nearest=True
    )
    return Prepared(
        arrays=arrays,
        index=tuple(_index_row(image, patch) for patch in patches),
        values=_values(
            image, organs, patches, recipe=recipe, present=registered.images
        ),
        measures=dict(registered.measures) | {"liver_coverage": coverage},
        findings=tuple(findings),
        picture=montage(
            arrays[IMAGE],
            outline > 0,
            channels=recipe.channels,
            reference=recipe.reference,
            patch_px=recipe.patch_px,
            title=examination.name,
        ),
    )


def _read_reference(
    examination: Examination, *, recipe: Recipe, allow: Collection[str]
) -> tuple[sitk.Image, dict[str, sitk.Image], list[Finding]]:
    """Reads the reference phase and the organ masks that there are, checked."""
    reference = recipe.reference
    path = examination.images[reference]
    image, found = read_volume(path, modality="ct", allow=allow)
    findings = [*found]
    organs: dict[str, sitk.Image] = {}
    for organ, sources in (
        ("liver", examination.masks),
        ("spleen", examination.spleen_masks),
    ):
        if reference in sources:
            organs[organ], found = masks.read_mask(
                sources[reference],
                image=image,
                organ=organ,
                image_path=path,
                modality="ct",
                allow=allow,
            )
            findings += found
    sides = plausibility.check_sides(
        image,
        liver=organs["liver"],
        spleen=organs.get("spleen"),
        modality="ct",
    )
    findings += settle(sides, allow=allow, where=str(path))
    return image, organs, findings


def _register_phases(
    examination: Examination,
    fixed: sitk.Image,
    liver: sitk.Image,
    *,
    recipe: Recipe,
    allow: Collection[str],
) -> _Phases:
    """Reads every other phase and maps the reference to it."""
    images: dict[str, sitk.Image] = {recipe.reference: fixed}
    maps: dict[str, Matrix | None] = {recipe.reference: None}
    measures: dict[str, Any] = {}
    findings: list[Finding] = []
    for channel in recipe.channels:
        if channel == recipe.reference or channel not in examination.images:
            continue
        path = examination.images[channel]
        moving, found = read_volume(path, modality="ct", allow=allow)
        findings += found
        images[channel], maps[channel] = moving, None
        if recipe.registration == "none":
            continue
        try:
            rigid, agreement = _map_to(fixed, moving, liver=liver, recipe=recipe)
        except ExaminationError as error:
            text = f"{channel} to {recipe.reference}: {error}"
            raise ExaminationError(error.finding.code, text) from None
        maps[channel] = rigid.matrix
        findings += agreement.findings(channel=channel)
        values = _measures(rigid, agreement, liver=liver)
        measures |= {f"{channel}_{name}": value for name, value in values.items()}
    if len(images) > 1:
        brightness = phases.phase_brightness(
            images,
            matrices={c: np.eye(4) if m is None else m for c, m in maps.items()},
            liver=liver,
        )
        findings += settle(phases.check_order(brightness), allow=allow)
        for channel, seen in brightness.items():
            measures[f"{channel}_vessels_hu"] = seen.vessels_hu
            measures[f"{channel}_liver_hu"] = seen.liver_hu
    return _Phases(images, maps, measures, tuple(findings))


def _map_to(
    fixed: sitk.Image, moving: sitk.Image, *, liver: sitk.Image, recipe: Recipe
) -> tuple[registration.Registration, quality.LiverAgreement]:
    """Returns the recipe's map, and how well it meets the liver.

    A map of the liver's margin starts where the map of the whole body and the liver's
    measured shift from it put the liver.
    """
    judged = [
        coarsen(image, spacing_mm=_JUDGED_SPACING_MM) for image in (fixed, moving)
    ]
    seed = recipe.registration_seed
    found = registration.register(fixed, moving, seed=seed)
    agreement = quality.liver_agreement(*judged, found.matrix, liver=liver)
    if recipe.registration_region == registration.LIVER_MARGIN:
        found = registration.register(
            fixed,
            moving,
            seed=seed,
            fixed_mask=registration.liver_margin(
                liver, margin_mm=recipe.registration_margin_mm
            ),
            start=found.matrix @ translation_matrix(agreement.shift_mm),
        )
        agreement = quality.liver_agreement(*judged, found.matrix, liver=liver)
    return found, agreement


def _measures(
    found: registration.Registration,
    agreement: quality.LiverAgreement,
    *,
    liver: sitk.Image,
) -> dict[str, Any]:
    """Columns of ``status.csv`` for one registered phase."""
    inside = np.argwhere(sitk.GetArrayViewFromImage(liver) > 0)
    centre = index_points(liver, inside).mean(axis=0)
    motion = quality.motion_of(found.matrix, at_mm=centre)
    return {
        "rotation_deg": motion.rotation_deg,
        "translation_mm": motion.translation_mm,
        "attempt": found.attempt,
        "agreement": found.agreement,
        "agreement_before": found.agreement_before,
        "liver_information": agreement.information,
        "liver_edges": agreement.edges,
        "liver_residual_mm": agreement.residual_mm,
        "liver_covered": agreement.covered,
        "matrix": _numbers(found.matrix[:3]),
    }


def _cut_arrays(
    registered: _Phases,
    organs: Mapping[str, sitk.Image],
    patches: tuple[Patch, ...],
    *,
    recipe: Recipe,
) -> dict[str, np.ndarray]:
    shape = (len(patches), recipe.store_px, recipe.store_px)
    image = np.zeros((*shape, len(recipe.channels)), np.uint8)
    for place, channel in enumerate(recipe.channels):
        if channel in registered.images:
            hu = cut(
                registered.images[channel],
                patches,
                side_px=recipe.store_px,
                matrix=registered.maps[channel],
                outside=recipe.pad_hu,
            )
            image[..., place] = window_to_uint8(
                hu, centre_hu=recipe.window_centre_hu, width_hu=recipe.window_width_hu
            )
    arrays = {IMAGE: image}
    if recipe.mask_channels:
        planes = np.zeros((*shape, len(recipe.mask_channels)), np.uint8)
        for place, organ in enumerate(recipe.mask_channels):
            if organ in organs:
                planes[..., place] = cut(
                    organs[organ],
                    patches,
                    side_px=recipe.store_px,
                    matrix=None,
                    outside=0,
                    nearest=True,
                )
        arrays[MASK] = planes
    return arrays


def _index_row(image: sitk.Image, patch: Patch) -> dict[str, Any]:
    pixels = np.ascontiguousarray(sitk.GetArrayViewFromImage(image)[patch.slice])
    normal = patch.grid[:3, 2] / np.linalg.norm(patch.grid[:3, 2])
    return {
        "source_slice": patch.slice,
        "source_sha256": sha256_bytes(pixels.tobytes()),
        "slice_position_mm": float(normal @ patch.grid[:3, 3]),
        "liver_fraction": patch.fraction,
        "liver_area_mm2": patch.liver_area_mm2,
        "liver_coverage": patch.liver_coverage,
        "padded_share": patch.padded_share,
        "ijk_to_lps": _numbers(patch.grid[:3]),
    }


def _values(
    image: sitk.Image,
    organs: Mapping[str, sitk.Image],
    patches: tuple[Patch, ...],
    *,
    recipe: Recipe,
    present: Collection[str],
) -> dict[str, Any]:
    """Columns of ``examinations.csv``; a cut organ has no volume."""
    values: dict[str, Any] = {f"has_{c}": int(c in present) for c in recipe.channels}
    for axis, spacing, size in zip(
        "dhw", image.GetSpacing()[::-1], image.GetSize()[::-1], strict=True
    ):
        values |= {f"spacing_{axis}_mm": spacing, f"size_{axis}": size}
    for organ in ("liver", "spleen"):
        mask = organs.get(organ)
        cut_off = mask is not None and masks.touches_border(mask)
        whole = mask is not None and not cut_off
        values[f"{organ}_volume_ml"] = masks.volume_ml(mask) if whole else None
        values[f"{organ}_touches_border"] = int(cut_off)
    values["liver_coverage"] = _coverage(patches)
    values["padded_share"] = float(np.mean([patch.padded_share for patch in patches]))
    return values


def _coverage(patches: tuple[Patch, ...]) -> float:
    area = np.array([patch.liver_area_mm2 for patch in patches])
    covered = np.array([patch.liver_coverage for patch in patches])
    return float((area * covered).sum() / max(area.sum(), 1e-9))


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(repr(round(float(value), 6)) for value in matrix.ravel())
