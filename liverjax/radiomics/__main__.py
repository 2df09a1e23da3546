"""Features of every examination of a manifest.

    python -m liverjax.radiomics --manifest manifest.csv --out features.csv

Stop it and run it again: it goes on where it stood (``features.csv.parts``).
``features.json`` says by which settings the table was measured; a table of others is
not replaced. Ends with status 0 and the number of failed examinations, which are named
here and in the table; with 1 if none is left.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from liverjax.cohort import files
from liverjax.cohort.examination import Examination
from liverjax.cohort.manifest import read_manifest
from liverjax.cohort.schema import Recipe
from liverjax.errors import InputError, run_command
from liverjax.imaging import workers
from liverjax.radiomics import jobs
from liverjax.radiomics.settings import make_settings, to_values

FIRST_COLUMNS = (
    *("subject", "visit", "set", "site", "channel", "slice"),
    *("repeat", "status", "reason"),
)
# Standard deviations of the perturbations of `--repeats`.
AMOUNTS = {
    "shift_mm": (1.0, "translation in the plane"),
    "rotation_degrees": (2.0, "turn in the plane"),
    "noise": (5.0, "noise, in the image's unit"),
    "contour_mm": (1.0, "distance that the contour moves"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Extracts and writes the table; returns the exit status."""
    given = _parser().parse_args(arguments)
    settings = make_settings(
        files.read_json(given.settings) if given.settings else {},
        by_slice=given.by_slice,
        title=str(given.settings),
    )
    _note_settings(given, values=to_values(settings))
    channels = tuple(given.channels)
    recipe = Recipe(
        channels=channels, optional_channels=channels[1:], reference=channels[0]
    )
    manifest = read_manifest(given.manifest, recipe=recipe, task=None)
    for one in manifest.excluded:
        print(f"excluded: {one.examination.name}: {one.reason}")
    folder = given.out.with_name(f"{given.out.name}.parts")
    every = [
        jobs.Job(
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
    todo = [job for job in every if not job.part.exists()]
    if len(todo) < len(every):
        print(f"{len(every) - len(todo)} of {len(every)} are there already")
    finished = workers.run_jobs(todo, jobs.work, workers=given.workers)
    for number, (job, error) in enumerate(finished, start=1):
        if error:
            reason = error.strip().splitlines()[-1]
            files.write_json(job.part, jobs.failed(job, reason))
        print(f"{number}/{len(todo)} {jobs.name(job)}")
    return _write(given.out, every=every, folder=folder)


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


def _note_settings(given: argparse.Namespace, *, values: dict[str, Any]) -> None:
    """Writes how the table is measured beside it, or refuses to replace another."""
    said = {
        "settings": values,
        "channels": given.channels,
        "modality": given.modality,
        "by_slice": given.by_slice,
        "repeats": given.repeats,
    }
    if given.repeats:
        said |= {name: getattr(given, name) for name in AMOUNTS}
    path = given.out.with_suffix(".json")
    if given.out.exists() and path.exists():
        before = files.read_json(path)
        unlike = sorted(n for n in {*before, *said} if before.get(n) != said.get(n))
        if unlike:
            raise InputError(
                f"{given.out}: was measured with other {', '.join(unlike)} ({path} has "
                "them); choose another --out, or remove it"
            )
    files.write_json(path, said)


def _keys(examination: Examination, channel: str) -> tuple[tuple[str, str], ...]:
    return (
        ("subject", examination.subject),
        ("visit", str(examination.visit)),
        ("set", examination.set),
        ("site", examination.site),
        ("channel", channel),
    )


def _write(
    path: pathlib.Path, *, every: Sequence[jobs.Job], folder: pathlib.Path
) -> int:
    rows: list[dict[str, Any]] = []
    for job in every:
        part = json.loads(job.part.read_text(encoding="utf-8"))
        rows += part["rows"]
        for text in part["warnings"]:
            print(f"warning: {jobs.name(job)}: {text}")
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
