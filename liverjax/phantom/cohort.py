"""A whole synthetic cohort on disk: images, masks, manifest, and the truth beside it."""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import json
import multiprocessing
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import SimpleITK as sitk

from liverjax.phantom.ceiling import compute_ceiling, judge_reading, oracle
from liverjax.phantom.grid import Grid
from liverjax.phantom.options import ITEMS, PHASES, SIGNS, PhantomOptions
from liverjax.phantom.subject import (
    EXTERNAL_FROM,
    PhaseImage,
    Subject,
    SubjectTruth,
    draw_truth,
    make_subject,
)

MANIFEST_COLUMNS = (
    "subject",
    "visit",
    "set",
    "site",
    *PHASES,
    "mask_venous",
    "spleen_mask_venous",
    "child_pugh",
    *(f"{item}_points" for item in ITEMS),
    "sex",
    "age_years",
    "weight_kg",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of a cohort: which patient, which scan, under which name.

    `same_as` names the row of which this one is a copy (`kind` is `duplicate`) or another
    scan (`renamed`) of the same patient.
    """

    name: str
    index: int
    scan: int = 0
    kind: str = ""
    same_as: str = ""


def list_entries(
    *, subjects: int, external: int = 0, duplicates: int = 0, renamed: int = 0
) -> list[Entry]:
    """The rows of a cohort.

    Args:
        subjects: Number of patients of the set `train`.
        external: Number of patients of the set `external`.
        duplicates: The first so many patients appear once more, under another name, with
            byte-identical images.
        renamed: The first so many patients appear once more, under another name, with
            another scan of the same body.

    Raises:
        ValueError: For an impossible number.
    """
    if subjects < 1 or external < 0:
        raise ValueError(
            f"{subjects} subjects and {external} external ones were asked for, expected "
            "at least 1 and at least 0"
        )
    for word, number in (("duplicates", duplicates), ("renamed", renamed)):
        if not 0 <= number <= subjects:
            raise ValueError(
                f"{number} {word} were asked for, expected 0 to {subjects}, the number of "
                "subjects"
            )
    entries = [Entry(f"p{i + 1:04d}", i) for i in range(subjects)]
    entries += [
        Entry(f"d{i + 1:04d}", i, kind="duplicate", same_as=f"p{i + 1:04d}")
        for i in range(duplicates)
    ]
    entries += [
        Entry(f"r{i + 1:04d}", i, scan=1, kind="renamed", same_as=f"p{i + 1:04d}")
        for i in range(renamed)
    ]
    far = range(EXTERNAL_FROM, EXTERNAL_FROM + external)
    return entries + [Entry(f"e{i - EXTERNAL_FROM + 1:04d}", i) for i in far]


def write_cohort(
    out_dir: pathlib.Path,
    *,
    options: PhantomOptions,
    entries: list[Entry],
    seed: int,
    as_dicom: bool = False,
    workers: int = 1,
) -> Iterator[tuple[int, int]]:
    """Write a cohort; yields (examinations done, examinations in all) on the way.

    Writes `manifest.csv`, `truth.csv`, `phantom.json` and `images/<subject>/`. The bytes
    depend on options, entries and seed alone, not on the number of workers.

    Args:
        out_dir: Folder to make; it must not hold anything.
        options: Knobs.
        entries: From `list_entries`.
        seed: The cohort's seed, at least 0.
        as_dicom: Write a DICOM tree and the table of labels that goes with it as well.
        workers: Number of processes.

    Raises:
        ValueError: If the folder is not empty, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected at least 0")
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ValueError(
            f"{out_dir} is there and not empty; choose a folder to be made"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    one = functools.partial(
        _write_entry, out_dir=out_dir, options=options, seed=seed, as_dicom=as_dicom
    )
    yield 0, len(entries)
    rows, truths = [], []
    for done, (row, truth) in enumerate(_map(one, entries, workers=workers), start=1):
        rows.append(row)
        truths.append(truth)
        yield done, len(entries)
    _write_csv(out_dir / "truth.csv", truths)
    facts = describe_cohort(options, entries=entries, seed=seed)
    (out_dir / "phantom.json").write_text(json.dumps(facts, indent=2) + "\n")
    # Last: who sees a manifest sees a whole cohort.
    _write_csv(out_dir / "manifest.csv", rows, columns=MANIFEST_COLUMNS)


def describe_cohort(
    options: PhantomOptions, *, entries: list[Entry], seed: int
) -> dict[str, object]:
    """What `phantom.json` holds: options, ceiling, and the oracle on these patients.

    Args:
        options: Knobs.
        entries: The cohort's rows; copies of a patient count once.
        seed: The cohort's seed.
    """
    truths = [
        draw_truth(options, seed=seed, index=entry.index)
        for entry in entries
        if not entry.same_as
    ]
    own = {}
    for name, external in (("train", False), ("external", True)):
        some = [t for t in truths if t.external == external]
        if some:
            strengths = np.concatenate([t.severity.strengths for t in some])
            items = np.stack([t.items for t in some])
            tau, accuracy = judge_reading(
                oracle(strengths, options=options), items=items
            )
            own[name] = {"n": len(some), "kendall_tau": tau, "accuracy": accuracy}
    return {
        "seed": seed,
        "examinations": len(entries),
        "options": dataclasses.asdict(options),
        "ceiling": dataclasses.asdict(compute_ceiling(options)),
        "oracle_on_this_cohort": own,
    }


def write_nifti(path: pathlib.Path, array: np.ndarray, *, grid: Grid) -> None:
    """Write a volume as NIfTI.

    Args:
        path: File to write, ending in .nii.gz.
        array: Volume (d, h, w), in the type to store.
        grid: Where its voxels lie.
    """
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def _map(
    function: functools.partial, entries: list[Entry], *, workers: int
) -> Iterable[tuple[dict[str, object], dict[str, object]]]:
    if workers == 1:
        yield from map(function, entries)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(function, entries)


def _write_entry(
    entry: Entry,
    *,
    out_dir: pathlib.Path,
    options: PhantomOptions,
    seed: int,
    as_dicom: bool,
) -> tuple[dict[str, object], dict[str, object]]:
    """Make and write one examination; returns its rows of manifest and truth."""
    subject = make_subject(options, seed=seed, index=entry.index, scan=entry.scan)
    folder = out_dir / "images" / entry.name
    folder.mkdir(parents=True)
    files = {}
    for phase, image in subject.phases.items():
        files[phase] = _write_volume(folder / f"{phase}.nii.gz", image, out_dir=out_dir)
    venous = subject.phases["venous"]
    for column, mask in (
        ("mask_venous", venous.liver),
        ("spleen_mask_venous", venous.spleen),
    ):
        path = folder / f"{column}.nii.gz"
        write_nifti(path, mask.astype(np.uint8), grid=venous.grid)
        files[column] = path.relative_to(out_dir).as_posix()
    return (
        manifest_row(entry, subject.truth, files=files),
        truth_row(entry, subject),
    )


def _write_volume(
    path: pathlib.Path, image: PhaseImage, *, out_dir: pathlib.Path
) -> str:
    write_nifti(path, image.volume.astype(np.int16), grid=image.grid)
    return path.relative_to(out_dir).as_posix()


def manifest_row(
    entry: Entry, truth: SubjectTruth, *, files: Mapping[str, str]
) -> dict[str, object]:
    """One examination's row of `manifest.csv`.

    Args:
        entry: Its name.
        truth: What is true of it.
        files: Paths by column, relative to the manifest; a missing phase is left out.
    """
    return {
        "subject": entry.name,
        "visit": 1,
        "set": "external" if truth.external else "train",
        "site": truth.scan.site,
        **{phase: files.get(phase, "") for phase in PHASES},
        "mask_venous": files["mask_venous"],
        "spleen_mask_venous": files["spleen_mask_venous"],
        "child_pugh": truth.child_pugh,
        **{
            f"{item}_points": int(points)
            for item, points in zip(ITEMS, truth.items, strict=True)
        },
        "sex": truth.patient.sex,
        "age_years": truth.patient.age_years,
        "weight_kg": truth.patient.weight_kg,
    }


def truth_row(entry: Entry, subject: Subject) -> dict[str, object]:
    """One examination's row of `truth.csv`; matrices are JSON, fixed to moving LPS.

    Args:
        entry: Its name.
        subject: What is true of it, and its images, of which volumes are measured.
    """
    truth = subject.truth
    severity, venous = truth.severity, subject.phases["venous"]
    voxel_ml = float(np.prod(venous.grid.spacing_mm)) / 1000.0
    row: dict[str, object] = {
        "subject": entry.name,
        "visit": 1,
        "index": entry.index,
        "same_as": entry.same_as,
        "kind": entry.kind,
        "latent": float(severity.latent[0]),
        "true_child_pugh": int(severity.score[0]),
        **{
            f"true_{item}_points": int(points)
            for item, points in zip(ITEMS, severity.items[0], strict=True)
        },
        **{
            f"strength_{sign}": float(value)
            for sign, value in zip(SIGNS, severity.strengths[0], strict=True)
        },
        **{f"sign_{k}": v for k, v in dataclasses.asdict(truth.signs).items()},
        "liver_ml": float(venous.liver.sum() * voxel_ml),
        "spleen_ml": float(venous.spleen.sum() * voxel_ml),
        "lesions": 0,
    }
    for phase in PHASES[:2]:
        motion = truth.motions[phase]
        row[f"matrix_{phase}"] = json.dumps(motion.matrix.tolist())
        row[f"liver_shift_{phase}_mm"] = json.dumps(list(motion.liver_shift_mm))
        row[f"liver_displacement_{phase}_mm"] = float(
            np.linalg.norm(motion.liver_shift_mm)
        )
        row[f"bend_{phase}_mm"] = motion.bend_mm
        row[f"bend_phase_{phase}"] = json.dumps(list(motion.bend_phase))
    for field in ("offset_hu", "noise_hu", "kernel", "ring_hu", "is_cut", "missing"):
        row[f"scan_{field}"] = getattr(truth.scan, field)
    for name, value in dataclasses.asdict(truth.patient).items():
        row[f"patient_{name}"] = (
            json.dumps(value) if isinstance(value, tuple) else value
        )
    return row


def _write_csv(
    path: pathlib.Path,
    rows: list[dict[str, object]],
    *,
    columns: tuple[str, ...] | None = None,
) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shutil.move(partial, path)
