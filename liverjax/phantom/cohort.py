"""A whole synthetic cohort on disk: images, masks, manifest, and its truth."""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import json
import multiprocessing
import pathlib
import shutil
from collections.abc import Callable, Iterable

import numpy as np
import SimpleITK as sitk

from liverjax.phantom.ceiling import compute_ceiling, judge_reading, oracle
from liverjax.phantom.grid import Grid
from liverjax.phantom.options import PhantomOptions
from liverjax.phantom.subject import PhaseImage, draw_truth, make_subject
from liverjax.phantom.tables import (
    MANIFEST_COLUMNS,
    Entry,
    Row,
    manifest_row,
    truth_row,
)


def write_cohort(
    out_dir: pathlib.Path,
    *,
    options: PhantomOptions,
    entries: list[Entry],
    seed: int,
    as_dicom: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a cohort: `phantom.json`, `images/<subject>/`, `truth.csv`, `manifest.csv`.

    The bytes depend on options, entries and seed alone, not on the number of workers.
    The manifest is written last: where it is there, the cohort is whole, and the same
    request again does nothing; without it, the same request starts over.

    Args:
        out_dir: Folder to make; if it is there, it must be empty or hold the same
            request.
        options: Knobs.
        entries: From `list_entries`.
        seed: The cohort's seed, at least 0.
        as_dicom: Besides, write a DICOM tree `dicom/` and the table of labels that a
            hospital would send with it, `dicom_labels.csv`.
        workers: Number of processes.
        progress: Called with the examinations done and all examinations.

    Raises:
        ValueError: If the folder holds something else, the seed is negative, or there
            is no worker.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    facts = describe_cohort(options, entries=entries, seed=seed, as_dicom=as_dicom)
    if _is_written(out_dir, facts=facts):
        return
    one = functools.partial(
        _write_entry, out_dir=out_dir, options=options, seed=seed, as_dicom=as_dicom
    )
    rows, truths, labels = [], [], []
    for row, truth, label in _map(one, entries, workers=workers):
        rows.append(row)
        truths.append(truth)
        labels += [label] if label else []
        if progress is not None:
            progress(len(rows), len(entries))
    if as_dicom:
        _write_csv(out_dir / "dicom_labels.csv", labels)
    _write_csv(out_dir / "truth.csv", truths)
    _write_csv(out_dir / "manifest.csv", rows, columns=MANIFEST_COLUMNS)


def describe_cohort(
    options: PhantomOptions, *, entries: list[Entry], seed: int, as_dicom: bool = False
) -> Row:
    """What `phantom.json` holds: request, ceiling, and the oracle on these patients.

    Args:
        options: Knobs.
        entries: The cohort's rows; copies of a patient count once for the oracle.
        seed: The cohort's seed.
        as_dicom: Whether a DICOM tree is asked for.
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
            reading = oracle(strengths, options=options)
            tau, accuracy = judge_reading(
                reading, items=np.stack([t.items for t in some])
            )
            own[name] = {"n": len(some), "kendall_tau": tau, "accuracy": accuracy}
    request = {
        "seed": seed,
        "examinations": [entry.name for entry in entries],
        "as_dicom": as_dicom,
        "options": dataclasses.asdict(options),
    }
    return {
        "request": json.loads(json.dumps(request)),
        "ceiling": dataclasses.asdict(compute_ceiling(options)),
        "oracle_on_this_cohort": own,
    }


def _is_written(out_dir: pathlib.Path, *, facts: Row) -> bool:
    """Whether the cohort is there already; if not, a folder ready to write into."""
    about = out_dir / "phantom.json"
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        same = about.is_file() and _request_of(about) == facts["request"]
        if not same:
            raise ValueError(
                f"{out_dir} is there and holds something else than this cohort; choose "
                "a folder that is empty or not there"
            )
        if (out_dir / "manifest.csv").exists():
            return True
        for name in ("images", "dicom"):
            shutil.rmtree(out_dir / name, ignore_errors=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    partial = about.with_name("phantom.json.partial")
    partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    partial.replace(about)
    return False


def _request_of(about: pathlib.Path) -> object:
    try:
        return json.loads(about.read_text(encoding="utf-8")).get("request")
    except (ValueError, AttributeError):
        return None


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
) -> Iterable[tuple[Row, Row, Row]]:
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
) -> tuple[Row, Row, Row]:
    """Make and write one examination; returns its rows of manifest, truth, labels."""
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
    truth = truth_row(entry, subject)
    labels: Row = {}
    if as_dicom and entry.kind != "duplicate":
        # pydicom is needed for this alone.
        from liverjax.phantom.dicom import write_study

        labels = write_study(out_dir / "dicom", subject, seed=seed, scan=entry.scan)
        truth["patient_id"] = labels["patient_id"]
    return manifest_row(entry, subject.truth, files=files), truth, labels


def _write_volume(
    path: pathlib.Path, image: PhaseImage, *, out_dir: pathlib.Path
) -> str:
    write_nifti(path, image.volume.astype(np.int16), grid=image.grid)
    return path.relative_to(out_dir).as_posix()


def _write_csv(
    path: pathlib.Path,
    rows: list[Row],
    *,
    columns: tuple[str, ...] | None = None,
) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
