"""Features of every examination of a manifest.

    python -m liverjax.radiomics --manifest manifest.csv --out features.csv

Stop it and run it again: it goes on where it stood (``features.csv.parts``). Ends with
status 0 and the number of failed examinations, which are named here and in the table;
with 1 if none is left.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from liverjax.cohort import files
from liverjax.cohort.examination import Examination, MaskSource
from liverjax.cohort.manifest import read_manifest
from liverjax.cohort.schema import Recipe
from liverjax.errors import InputError, run_command
from liverjax.imaging import masks, volumes, workers
from liverjax.imaging.findings import ExaminationError
from liverjax.radiomics.extraction import extract
from liverjax.radiomics.region import Spacing, crop, margin_px
from liverjax.radiomics.reproducibility import perturb
from liverjax.radiomics.settings import Settings, make_settings

FIRST_COLUMNS = (
    *("subject", "visit", "set", "site", "channel", "slice"),
    *("repeat", "status", "reason"),
)
# A perturbed image is cut to its mask and this, which no perturbation crosses.
MARGIN_MM = 30.0
ANISOTROPIC = 2.0
BINS = (8, 256)
# Standard deviations of the perturbations of `--repeats`.
AMOUNTS = {
    "shift_mm": (1.0, "translation in the plane"),
    "rotation_degrees": (2.0, "turn in the plane"),
    "noise": (5.0, "noise, in the image's unit"),
    "contour_mm": (1.0, "distance that the contour moves"),
}


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Extracts and writes the table; returns the exit status."""
    given = _parser().parse_args(arguments)
    settings = make_settings(
        files.read_json(given.settings) if given.settings else {},
        by_slice=given.by_slice,
        title=str(given.settings),
    )
    channels = tuple(given.channels)
    recipe = Recipe(
        channels=channels, optional_channels=channels[1:], reference=channels[0]
    )
    manifest = read_manifest(given.manifest, recipe=recipe, task=None)
    for one in manifest.excluded:
        print(f"excluded: {one.examination.name}: {one.reason}")
    folder = given.out.with_name(f"{given.out.name}.parts")
    jobs = [
        Job(
            keys=_keys(examination, channel),
            image=examination.images[channel],
            mask=examination.masks.get(channel),
            modality=given.modality,
            settings=settings,
            by_slice=given.by_slice,
            amounts=tuple((name, getattr(given, name)) for name in AMOUNTS),
            repeats=given.repeats,
            folder=folder,
        )
        for examination in manifest.examinations
        for channel in channels
        if channel in examination.images
    ]
    todo = [job for job in jobs if not job.part.exists()]
    if len(todo) < len(jobs):
        print(f"{len(jobs) - len(todo)} of {len(jobs)} are there already")
    finished = workers.run_jobs(todo, work, workers=given.workers)
    for number, (job, error) in enumerate(finished, start=1):
        if error:
            reason = error.strip().splitlines()[-1]
            files.write_json(job.part, _failed(job, reason))
        print(f"{number}/{len(todo)} {_name(job)}")
    return _write(given.out, jobs=jobs, folder=folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m liverjax.radiomics")
    parser.add_argument("--manifest", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--channels", nargs="+", default=["venous"])
    parser.add_argument("--modality", choices=("ct", "mr"), default="ct")
    parser.add_argument("--by-slice", action="store_true")
    parser.add_argument(
        "--settings", type=pathlib.Path, help="JSON with fields of Settings"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=0,
        help="measure so often again under small perturbations (rows with a repeat), "
        "by which classify keeps reproducible features",
    )
    for name, (default, text) in AMOUNTS.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=float, default=default, help=text)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    return parser


def _keys(examination: Examination, channel: str) -> tuple[tuple[str, str], ...]:
    return (
        ("subject", examination.subject),
        ("visit", str(examination.visit)),
        ("set", examination.set),
        ("site", examination.site),
        ("channel", channel),
    )


def _name(job: Job) -> str:
    keys = dict(job.keys)
    return f"{keys['subject']} (visit {keys['visit']}), {keys['channel']}"


def _failed(job: Job, reason: str) -> dict[str, Any]:
    row = {**dict(job.keys), "status": "failed", "reason": reason}
    return {"rows": [row], "warnings": []}


def work(job: Job) -> None:
    """Extracts one channel of one examination and writes its part."""
    try:
        made = _extract(job)
    except (InputError, ExaminationError) as error:
        made = _failed(job, str(error))
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
) -> list[dict[str, Any]]:
    keys = dict(job.keys) | ({"repeat": repeat} if job.repeats else {})
    if job.by_slice:
        return _by_slice(job, array, inside, spacing_mm, keys=keys)
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
    # Normalisation looks at the whole image.
    if job.settings.normalise_scale is None:
        box = crop(inside, margin=margin_px(MARGIN_MM, spacing_mm=spacing_mm))
        array, inside = array[box], inside[box]
    name = files.sha256_bytes(repr(job.keys).encode())
    image, mask = perturb(
        np.random.default_rng([repeat, int(name[:15], 16)]),
        image=array,
        mask=inside,
        spacing_mm=spacing_mm,
        **dict(job.amounts),
    )
    try:
        return _measure(job, image, mask, spacing_mm, repeat=repeat)
    except InputError as error:
        (row,) = _failed(job, str(error))["rows"]
        return [row | {"repeat": repeat}]


def _by_slice(
    job: Job,
    array: Float[np.ndarray, "d h w"],
    inside: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    *,
    keys: dict[str, Any],
) -> list[dict[str, Any]]:
    """Returns a row a slice; one with too few voxels is counted as failed."""
    if not inside.any():
        raise InputError("the mask is empty: there is nothing to measure")
    rows = []
    for number in np.flatnonzero(inside.any(axis=(1, 2))):
        one = slice(number, number + 1)
        row: dict[str, Any] = {**keys, "slice": int(number)}
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


def _write(path: pathlib.Path, *, jobs: Sequence[Job], folder: pathlib.Path) -> int:
    rows: list[dict[str, Any]] = []
    for job in jobs:
        part = json.loads(job.part.read_text(encoding="utf-8"))
        rows += part["rows"]
        for text in part["warnings"]:
            print(f"warning: {_name(job)}: {text}")
    good = [row for row in rows if row["status"] == "ok"]
    failed = [row for row in rows if row["status"] != "ok"]
    for row in failed:
        place = f", slice {row['slice']}" if "slice" in row else ""
        place += f", repeat {row['repeat']}" if row.get("repeat") else ""
        print(
            f"failed: {row['subject']} (visit {row['visit']}), {row['channel']}"
            f"{place}: {row['reason']}"
        )
    names = dict.fromkeys(n for row in good for n in row if n not in FIRST_COLUMNS)
    files.write_csv(path, rows, columns=[*FIRST_COLUMNS, *names])
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{path}: {len(good)} rows of {len(names)} features, {len(failed)} failed")
    return 0 if good else 1


if __name__ == "__main__":
    run_command(main)
