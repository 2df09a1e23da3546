"""One examination's radiomics as a job of a worker process.

A module of its own: what is defined in a package's ``__main__`` cannot be found by the
processes that it starts.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from liverjax.cohort import files
from liverjax.cohort.examination import MaskSource
from liverjax.errors import InputError
from liverjax.imaging import masks, volumes
from liverjax.imaging.findings import ExaminationError
from liverjax.radiomics.extraction import extract
from liverjax.radiomics.region import Spacing, crop, margin_px
from liverjax.radiomics.reproducibility import perturb
from liverjax.radiomics.settings import Settings

# A perturbed image is cut to its mask and this, which no perturbation crosses.
MARGIN_MM = 30.0
ANISOTROPIC = 2.0
BINS = (8, 256)


@dataclasses.dataclass(frozen=True)
class Job:
    """One channel of one examination, and where its rows go.

    Attributes:
        keys: The first columns of its rows.
        image: Of the channel.
        mask: On the image's grid; None if the manifest names none.
        modality: ``ct`` or ``mr``.
        settings: Of the extraction.
        by_slice: A row a slice.
        amounts: Of the perturbations, by the names of `perturb`.
        repeats: How often it is measured again under them.
        folder: Of the finished parts.
    """

    keys: tuple[tuple[str, str], ...]
    image: pathlib.Path
    mask: MaskSource | None
    modality: str
    settings: Settings
    by_slice: bool
    amounts: tuple[tuple[str, float], ...]
    repeats: int
    folder: pathlib.Path

    @property
    def part(self) -> pathlib.Path:
        """The file of its rows, named after everything that decides them."""
        said = repr(dataclasses.replace(self, folder=pathlib.Path()))
        stamps = [_stamp(self.image), _stamp(self.mask.path) if self.mask else ""]
        return self.folder / f"{files.sha256_bytes(f'{said}{stamps}'.encode())}.json"


def _stamp(path: pathlib.Path) -> str:
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    known = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in inside]
    return str(known)


def name(job: Job) -> str:
    """Returns what a person calls it."""
    keys = dict(job.keys)
    return f"{keys['subject']} (visit {keys['visit']}), {keys['channel']}"


def failed(job: Job, reason: str) -> dict[str, Any]:
    """Returns the part of a job that could not be done."""
    row = {**dict(job.keys), "status": "failed", "reason": reason}
    return {"rows": [row], "warnings": []}


def work(job: Job) -> None:
    """Extracts one channel of one examination and writes its part."""
    try:
        made = _extract(job)
    except (InputError, ExaminationError) as error:
        made = failed(job, str(error))
    files.write_json(job.part, made)


def _extract(job: Job) -> dict[str, Any]:
    import SimpleITK as sitk

    if job.mask is None:
        raise InputError(
            f"the manifest names no mask: fill mask_{dict(job.keys)['channel']}"
        )
    image, _ = volumes.read_volume(job.image, modality=job.modality)
    mask, _ = masks.read_mask(
        job.mask, image=image, image_path=job.image, modality=job.modality
    )
    array = sitk.GetArrayFromImage(image).astype(float)
    inside = sitk.GetArrayFromImage(mask) == 1
    width, height, depth = image.GetSpacing()
    spacing = (depth, height, width)
    rows = _measure(job, array, inside, spacing, repeat=0)
    for repeat in range(1, job.repeats + 1):
        rows += _repeat(job, array, inside, spacing, repeat=repeat)
    return {
        "rows": rows,
        "warnings": _warnings(array[inside], spacing, settings=job.settings),
    }


def _measure(
    job: Job,
    array: Float[np.ndarray, "d h w"],
    inside: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    *,
    repeat: int,
    first_slice: int = 0,
) -> list[dict[str, Any]]:
    keys = dict(job.keys) | ({"repeat": repeat} if job.repeats else {})
    if job.by_slice:
        return _by_slice(
            job, array, inside, spacing_mm, keys=keys, first_slice=first_slice
        )
    found = extract(array, inside, spacing_mm=spacing_mm, settings=job.settings)
    return [{**keys, "status": "ok", **found}]


def _repeat(
    job: Job,
    array: Float[np.ndarray, "d h w"],
    inside: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    *,
    repeat: int,
) -> list[dict[str, Any]]:
    """Returns the rows of a perturbed image; one that cannot be measured is failed."""
    first_slice = 0
    # Normalisation looks at the whole image.
    if job.settings.normalise_scale is None:
        box = crop(inside, margin=margin_px(MARGIN_MM, spacing_mm=spacing_mm))
        array, inside, first_slice = array[box], inside[box], box[0].start
    seed = files.sha256_bytes(repr(job.keys).encode())
    image, mask = perturb(
        np.random.default_rng([repeat, int(seed[:15], 16)]),
        image=array,
        mask=inside,
        spacing_mm=spacing_mm,
        **dict(job.amounts),
    )
    try:
        return _measure(
            job, image, mask, spacing_mm, repeat=repeat, first_slice=first_slice
        )
    except InputError as error:
        (row,) = failed(job, str(error))["rows"]
        return [row | {"repeat": repeat}]


def _by_slice(
    job: Job,
    array: Float[np.ndarray, "d h w"],
    inside: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    *,
    keys: dict[str, Any],
    first_slice: int,
) -> list[dict[str, Any]]:
    """Returns a row a slice; one with too few voxels is counted as failed.

    Slices are numbered as in the whole image, of which the array begins at
    ``first_slice``.
    """
    if not inside.any():
        raise InputError("the mask is empty: there is nothing to measure")
    rows = []
    for number in np.flatnonzero(inside.any(axis=(1, 2))):
        one = slice(number, number + 1)
        row: dict[str, Any] = {**keys, "slice": first_slice + int(number)}
        try:
            found = extract(
                array[one], inside[one], spacing_mm=spacing_mm, settings=job.settings
            )
        except InputError as error:
            row |= {"status": "failed", "reason": str(error)}
        else:
            row |= {"status": "ok", **found}
        rows.append(row)
    return rows


def _warnings(
    values: Float[np.ndarray, "n"], spacing_mm: Spacing, *, settings: Settings
) -> list[str]:
    said = []
    ratio = max(spacing_mm) / min(spacing_mm)
    volumetric = any(name.startswith("3D") for name in settings.aggregation)
    if settings.new_spacing_mm is None and volumetric and ratio > ANISOTROPIC:
        said.append(
            f"voxels are {ratio:.1f} times as long as wide and not resampled: "
            "volumetric textures mix distances; set new_spacing_mm"
        )
    bins = settings.bin_number
    if settings.bin_width is not None:
        low, high = settings.intensity_range or (None, None)
        low = values.min() if low is None else max(low, values.min())
        high = values.max() if high is None else min(high, values.max())
        bins = int((high - low) / settings.bin_width) + 1
    if bins is not None and not BINS[0] <= bins <= BINS[1]:
        said.append(f"{bins} grey levels; {BINS[0]} to {BINS[1]} are usual")
    return said
