"""One examination from files to records: a pure function of files and recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from liverjax.cohort.examination import Examination
from liverjax.cohort.files import sha256_bytes
from liverjax.cohort.schema import IMAGE, MASK, MASK_LABELS, Recipe
from liverjax.imaging import masks, phases, plausibility
from liverjax.imaging.alignment import Alignment, align
from liverjax.imaging.findings import ExaminationError, Finding, settle
from liverjax.imaging.geometry import (
    Matrix,
    ijk_to_lps,
    index_points,
    map_points,
)
from liverjax.imaging.intensity import window_to_uint8
from liverjax.imaging.montage import montage
from liverjax.imaging.patches import Patch, cut, plan_patches, smooth_in_plane
from liverjax.imaging.volumes import read_volume


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
class _Reference:
    """The reference phase with its organs."""

    image: sitk.Image
    organs: Mapping[str, sitk.Image]
    liver: sitk.Image
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class _Phases:
    """Every phase that there is, and how it lies against the reference."""

    images: Mapping[str, sitk.Image]
    alignments: Mapping[str, Alignment]
    brightness: Mapping[str, phases.Brightness]
    findings: tuple[Finding, ...]

    def matrices(self) -> dict[str, Matrix]:
        """Map from the reference to each phase."""
        found = {name: one.matrix for name, one in self.alignments.items()}
        return {name: found.get(name, np.eye(4)) for name in self.images}


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
    reference = _read_reference(examination, recipe=recipe, allow=allow)
    patches = plan_patches(
        reference.liver,
        slice_range=recipe.slice_range,
        slice_spacing_mm=recipe.slice_spacing_mm,
        inplane_spacing_mm=recipe.inplane_spacing_mm,
        store_px=recipe.store_px,
        patch_px=recipe.patch_px,
        center=recipe.patch_center,
    )
    seen = _read_phases(examination, reference, recipe=recipe, allow=allow)
    findings = [*reference.findings, *seen.findings]
    findings += _coverage_findings(seen, reference, patches, recipe=recipe)
    images = _cut_images(seen, patches, recipe=recipe)
    arrays = {IMAGE: images}
    if recipe.mask_channels:
        arrays[MASK] = _cut_masks(reference.organs, patches, recipe=recipe)
    outline = cut(
        reference.liver, patches, side=recipe.store_px, nearest=True, outside=0.0
    )
    return Prepared(
        arrays=arrays,
        index=_index(reference.image, patches),
        values=_values(reference, seen, patches, recipe=recipe),
        measures=_measures(reference, seen, patches, recipe=recipe),
        findings=tuple(findings),
        picture=montage(
            images,
            outline > 0,
            phases=seen.images,
            matrices=seen.matrices(),
            whole_liver=reference.liver,
            recipe=recipe,
            warnings=[finding.code for finding in findings],
        ),
    )


def _read_reference(
    examination: Examination, *, recipe: Recipe, allow: Collection[str]
) -> _Reference:
    """Reads the reference phase and the organ masks that there are, checked."""
    name = recipe.reference
    path = examination.images.get(name)
    if path is None:
        raise ExaminationError("no-image", f"the {name} phase is missing")
    image, found = read_volume(path, modality="ct", allow=allow)
    findings = list(found)
    organs: dict[str, sitk.Image] = {}
    sources = {"liver": examination.masks, "spleen": examination.spleen_masks}
    for organ, by_channel in sources.items():
        if name in by_channel:
            organs[organ], found = masks.read_mask(
                by_channel[name],
                image=image,
                organ=organ,
                image_path=path,
                modality="ct",
                allow=allow,
            )
            findings += found
    missing = {"liver", *recipe.mask_channels} - set(organs)
    if missing:
        raise ExaminationError(
            "no-mask",
            f"no mask of the {' and '.join(sorted(missing))} on the {name} phase; "
            "segment it (TotalSegmentator's output folder is read as it is) and name "
            "it in the manifest",
        )
    sides = plausibility.check_sides(
        image, liver=organs["liver"], spleen=organs.get("spleen"), modality="ct"
    )
    findings += settle(sides, allow=allow, where=str(path))
    liver = masks.largest_component(organs["liver"])
    return _Reference(image, organs, liver, tuple(findings))


def _read_phases(
    examination: Examination,
    reference: _Reference,
    *,
    recipe: Recipe,
    allow: Collection[str],
) -> _Phases:
    """Reads every other phase and maps the reference to it."""
    images = {recipe.reference: reference.image}
    alignments: dict[str, Alignment] = {}
    findings: list[Finding] = []
    for channel in recipe.channels:
        if channel == recipe.reference:
            continue
        if channel not in examination.images:
            if channel not in recipe.optional_channels:
                raise ExaminationError("no-image", f"the {channel} phase is missing")
            continue
        path = examination.images[channel]
        images[channel], found = read_volume(path, modality="ct", allow=allow)
        findings += found
        try:
            alignments[channel] = align(
                reference.image,
                images[channel],
                liver=reference.liver,
                method=recipe.registration,
                region=recipe.registration_region,
                margin_mm=recipe.registration_margin_mm,
                seed=recipe.registration_seed,
                spacing_mm=recipe.registration_spacing_mm,
            )
        except ExaminationError as error:
            text = f"{channel} to {recipe.reference}: {error}"
            raise ExaminationError(error.finding.code, text) from None
        findings += alignments[channel].findings(channel=channel)
    brightness = {}
    if len(images) > 1:
        maps = {name: one.matrix for name, one in alignments.items()}
        brightness = phases.phase_brightness(
            images,
            matrices={name: maps.get(name, np.eye(4)) for name in images},
            liver=reference.liver,
        )
        findings += settle(phases.check_order(brightness), allow=allow)
    return _Phases(images, alignments, brightness, tuple(findings))


def _coverage_findings(
    seen: _Phases, reference: _Reference, patches: Sequence[Patch], *, recipe: Recipe
) -> list[Finding]:
    """Warns of liver outside the patches, or outside another phase's scan."""
    least = recipe.min_liver_coverage
    findings = []
    coverage = _coverage(patches)
    if coverage < least:
        findings.append(
            Finding(
                "liver-coverage",
                f"the patches show {coverage:.0%} of the liver (expected at least "
                f"{least:.0%}); widen prepare.patch_px or prepare.inplane_spacing_mm",
            )
        )
    for channel, share in _scanned_shares(seen, reference, patches).items():
        if share < least:
            findings.append(
                Finding(
                    "liver-not-scanned",
                    f"{channel}: its scan holds {share:.0%} of the liver in the kept "
                    f"slices (expected at least {least:.0%}); the rest is padded",
                )
            )
    return findings


def _scanned_shares(
    seen: _Phases, reference: _Reference, patches: Sequence[Patch]
) -> dict[str, float]:
    """Share of the kept slices' liver that lies inside each other phase's scan."""
    inside = sitk.GetArrayViewFromImage(reference.liver)
    numbers = [patch.slice_number for patch in patches]
    voxels = np.argwhere(inside[numbers])[::8]
    voxels[:, 0] = np.array(numbers)[voxels[:, 0]]
    points = index_points(reference.liver, voxels)
    shares = {}
    for channel, alignment in seen.alignments.items():
        image = seen.images[channel]
        back = np.linalg.inv(ijk_to_lps(image)) @ alignment.matrix
        places = map_points(back, points)
        within = (places >= -0.5) & (places <= np.array(image.GetSize()) - 0.5)
        shares[channel] = float(within.all(1).mean())
    return shares


def _cut_images(
    seen: _Phases, patches: Sequence[Patch], *, recipe: Recipe
) -> np.ndarray:
    side = recipe.store_px
    images = np.zeros((len(patches), side, side, len(recipe.channels)), np.uint8)
    for place, channel in enumerate(recipe.channels):
        if channel not in seen.images:
            continue
        alignment = seen.alignments.get(channel)
        hu = cut(
            smooth_in_plane(seen.images[channel], pixel_mm=recipe.inplane_spacing_mm),
            patches,
            side=side,
            matrix=None if alignment is None else alignment.matrix,
            outside=recipe.pad_hu,
        )
        images[..., place] = window_to_uint8(
            hu, centre_hu=recipe.window_centre_hu, width_hu=recipe.window_width_hu
        )
    return images


def _cut_masks(
    organs: Mapping[str, sitk.Image], patches: Sequence[Patch], *, recipe: Recipe
) -> np.ndarray:
    planes = [
        cut(organs[organ], patches, side=recipe.store_px, nearest=True, outside=0.0)
        * np.uint8(MASK_LABELS[organ])
        for organ in recipe.mask_channels
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _index(
    image: sitk.Image, patches: Sequence[Patch]
) -> tuple[Mapping[str, Any], ...]:
    values = sitk.GetArrayViewFromImage(image)
    return tuple(
        {
            "source_slice": patch.slice_number,
            "source_sha256": slice_hash(values[patch.slice_number]),
            "slice_position_mm": patch.position_mm,
            "liver_fraction": patch.liver_fraction,
            "liver_area_mm2": patch.liver_area_mm2,
            "liver_coverage": patch.liver_coverage,
            "padded_share": patch.padded_share,
            "ijk_to_lps": _numbers(patch.grid[:3]),
        }
        for patch in patches
    )


def slice_hash(hu: np.ndarray) -> str:
    """Returns the SHA-256 of a slice's whole HU, alike for DICOM and NIfTI copies.

    Args:
        hu: ``(h, w)``, as read; CT holds whole numbers.
    """
    whole = np.clip(np.rint(hu), -32768, 32767).astype("<i2")
    shape = np.array(whole.shape, "<i4")
    return sha256_bytes(shape.tobytes() + np.ascontiguousarray(whole).tobytes())


def _values(
    reference: _Reference,
    seen: _Phases,
    patches: Sequence[Patch],
    *,
    recipe: Recipe,
) -> dict[str, Any]:
    """Values of `liverjax.cohort.write.our_columns`; a cut organ has no volume."""
    image = reference.image
    values: dict[str, Any] = {
        f"has_{channel}": int(channel in seen.images) for channel in recipe.channels
    }
    for axis, spacing, size in zip(
        "dhw", image.GetSpacing()[::-1], image.GetSize()[::-1], strict=True
    ):
        values |= {f"spacing_{axis}_mm": spacing, f"size_{axis}": size}
    values["scan_ijk_to_lps"] = _numbers(ijk_to_lps(image)[:3])
    for organ in ("liver", "spleen"):
        mask = reference.organs.get(organ)
        if mask is not None:
            cut_off = masks.touches_border(mask)
            values[f"{organ}_touches_border"] = int(cut_off)
            values[f"{organ}_volume_ml"] = None if cut_off else masks.volume_ml(mask)
    values["liver_coverage"] = _coverage(patches)
    values["padded_share"] = float(np.mean([patch.padded_share for patch in patches]))
    for channel, alignment in seen.alignments.items():
        values[f"{channel}_matrix"] = _numbers(alignment.matrix[:3])
    return values


def _measures(
    reference: _Reference, seen: _Phases, patches: Sequence[Patch], *, recipe: Recipe
) -> dict[str, Any]:
    """Columns of ``status.csv``: the masks as read, and each phase at the liver."""
    measures: dict[str, Any] = {
        f"{organ}_mask_ml": masks.volume_ml(mask)
        for organ, mask in reference.organs.items()
    }
    measures["records"] = len(patches)
    measures["liver_coverage"] = _coverage(patches)
    shares = _scanned_shares(seen, reference, patches)
    for channel in recipe.channels:
        if channel in seen.alignments:
            found = seen.alignments[channel].measures()
            found["liver_scanned"] = shares[channel]
            measures |= {f"{channel}_{name}": value for name, value in found.items()}
        if channel in seen.brightness:
            measures[f"{channel}_vessels_hu"] = seen.brightness[channel].vessels_hu
            measures[f"{channel}_liver_hu"] = seen.brightness[channel].liver_hu
    return measures


def _coverage(patches: Sequence[Patch]) -> float:
    pixels = np.array([patch.liver_px for patch in patches])
    covered = np.array([patch.liver_coverage for patch in patches])
    return float((pixels * covered).sum() / max(pixels.sum(), 1))


def _numbers(matrix: np.ndarray) -> str:
    # A nanometre is far below a pixel, and spares the last digits of a division.
    return " ".join(repr(round(float(value), 6) + 0.0) for value in matrix.ravel())
