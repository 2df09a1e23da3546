"""Preparation of a whole cohort: examinations on an executor, parts, assembly."""

from __future__ import annotations

import concurrent.futures as futures
import dataclasses
import functools
import hashlib
import importlib.metadata
import logging
import pathlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from liverjax.cohort import files, schema, write
from liverjax.cohort.examination import Examination, Manifest, MaskSource
from liverjax.cohort.schema import Recipe
from liverjax.cohort.write import Part
from liverjax.errors import InputError
from liverjax.imaging.findings import FAILED, ExaminationError
from liverjax.imaging.workers import run_jobs

_log = logging.getLogger(__name__)

# Tools that the bytes of a cohort depend on, and the number of our own algorithm:
# raise it when a change of the code changes what the same images become.
TOOLS = ("SimpleITK", "itk-elastix", "numpy", "scipy")
ALGORITHM = 1


@dataclasses.dataclass(frozen=True)
class Built:
    """How a preparation ended.

    Attributes:
        counts: Examinations by status, subjects and records.
        failed: Name and reason of every examination left out.
        was_complete: The cohort was there already; nothing was done.
        relabelled: It was there, only the manifest's other columns had changed: the
            tables were written anew.
    """

    counts: Mapping[str, int]
    failed: tuple[str, ...] = ()
    was_complete: bool = False
    relabelled: bool = False


def build_cohort(
    manifest: Manifest,
    *,
    recipe: Recipe,
    out: pathlib.Path,
    workers: int,
    allow: Collection[str] = (),
    executor: futures.Executor | None = None,
) -> Built:
    """Returns how the preparation of a manifest's examinations ended.

    Each examination is one pure call of `prepare_examination` whose result is a part
    file, so a stopped preparation goes on where it stood; the shards are then cut from
    the parts in the manifest's order, so their bytes do not depend on the workers.

    Args:
        manifest: Checked.
        recipe: Of the preparation.
        out: The cohort's folder.
        workers: Processes, long-lived and started afresh (spawn), one thread each.
        allow: Codes of findings that are warnings instead of failures.
        executor: Used instead of processes of our own; its workers must see the images
            and ``out``.

    Raises:
        InputError: If the folder holds something else, a column of the manifest has a
            name of ours, or no examination is left.
    """
    allow = tuple(sorted(set(allow)))
    write.check_columns(manifest, recipe=recipe)
    inputs = hash_inputs(manifest)
    if (out / "cohort.json").exists():
        return _complete(manifest, recipe=recipe, out=out, inputs=inputs, allow=allow)
    write.check_folder(out)
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    versions["liverjax preparation"] = str(ALGORITHM)
    common = files.to_json([dataclasses.asdict(recipe), versions, allow])
    jobs = [
        (one, out / write.PARTS / f"{_key(one, inputs=inputs, common=common)}.npz")
        for one in manifest.examinations
    ]
    todo = [job for job in jobs if not job[1].exists()]
    if len(todo) < len(jobs):
        _log.info("%d examinations are prepared already", len(jobs) - len(todo))
    broken = _prepare(
        todo, recipe=recipe, allow=allow, workers=workers, executor=executor
    )
    parts = [broken.get(path, path) for _, path in jobs]
    failed = tuple(_failures(manifest.examinations, parts))
    if len(failed) == len(jobs):
        raise InputError("no examination is left:\n  - " + "\n  - ".join(failed[:20]))
    counts = write.assemble(
        out,
        recipe=recipe,
        manifest=manifest,
        parts=parts,
        inputs=inputs,
        versions=versions,
        allow=allow,
    )
    shutil.rmtree(out / write.PARTS)
    return Built(counts, failed)


def hash_inputs(manifest: Manifest) -> dict[str, str]:
    """Returns the SHA-256 of the manifest and of everything that it names.

    Keys are ``subject/visit/column``: paths may hold what identifies a patient. A
    folder's hash is that of its files' hashes in order of their names. What else says
    how a mask is read follows its hash.
    """
    wanted: dict[str, pathlib.Path] = {"manifest": manifest.path}
    remarks: dict[str, str] = {}
    for one in manifest.examinations:
        place = f"{one.subject}/{one.visit}"
        wanted |= {f"{place}/{name}": path for name, path in one.images.items()}
        for column, mask in _masks(one):
            wanted[f"{place}/{column}"] = mask.path
            remarks[f"{place}/{column}"] = f" {mask.order} {mask.segment}".rstrip()
    with futures.ThreadPoolExecutor(4) as threads:
        hashes = dict(zip(wanted, threads.map(_hash, wanted.values()), strict=True))
    return {name: value + remarks.get(name, "") for name, value in hashes.items()}


Job = tuple[Examination, pathlib.Path]


def prepare_part(job: Job, *, recipe: Recipe, allow: Collection[str]) -> None:
    """Writes one examination's part file; a fault of its voxels is a result too."""
    # Loads elastix: seconds, and only in a worker.
    from liverjax.imaging.prepare import prepare_examination

    examination, path = job
    try:
        prepared = prepare_examination(examination, recipe=recipe, allow=allow)
    except ExaminationError as error:
        text = without_paths(error.finding.text, examination=examination)
        write.write_part(path, Part(FAILED, ((error.finding.code, text),)))
        return
    found = tuple(
        (one.code, without_paths(one.text, examination=examination))
        for one in prepared.findings
    )
    write.write_part(
        path,
        Part(
            "warning" if found else "ok",
            found,
            arrays=prepared.arrays,
            index=prepared.index,
            values=prepared.values,
            measures=prepared.measures,
            picture=prepared.picture,
        ),
    )


def without_paths(text: str, *, examination: Examination) -> str:
    """Returns a sentence with the columns' names in place of their paths.

    ``status.csv`` travels with the cohort; a path may hold what identifies a patient.
    """
    names = {str(path): column for column, path in examination.images.items()}
    names |= {str(mask.path): column for column, mask in _masks(examination)}
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text


def _prepare(
    jobs: Sequence[Job],
    *,
    recipe: Recipe,
    allow: Collection[str],
    workers: int,
    executor: futures.Executor | None,
) -> dict[pathlib.Path, pathlib.Path]:
    """Runs the jobs; returns parts that hold an unexpected failure, by their own part.

    These have another name, so that the next start tries again.
    """
    if not jobs:
        return {}
    work = functools.partial(prepare_part, recipe=recipe, allow=allow)
    finished = run_jobs(jobs, work, workers=workers, executor=executor)
    broken = {}
    for (examination, path), error in tqdm(
        finished, total=len(jobs), unit="exam", desc="preparing", mininterval=0.5
    ):
        if error:
            _log.error("%s: %s", examination.name, error)
            broken[path] = path.with_suffix(".failed.npz")
            text = without_paths(error.splitlines()[-1], examination=examination)
            part = Part(FAILED, (("unexpected-error", text),))
            write.write_part(broken[path], part)
    return broken


def _complete(
    manifest: Manifest,
    *,
    recipe: Recipe,
    out: pathlib.Path,
    inputs: Mapping[str, str],
    allow: Sequence[str],
) -> Built:
    """Returns what there is, if it is what would be built."""
    header = files.read_json(out / "cohort.json")
    asked = {**dataclasses.asdict(recipe), "allow": list(allow)}
    held = {**header.get("recipe", {}), "allow": header.get("allow", [])}
    differing = _differences(held, asked)
    if differing:
        raise InputError(
            f"{out}: holds a cohort of another recipe ({', '.join(differing)}); choose "
            "another --out, or delete it"
        )
    differing = _differences(header.get("inputs", {}), inputs)
    shutil.rmtree(out / write.PARTS, ignore_errors=True)
    if differing == ["manifest"]:
        counts = write.relabel(out, manifest=manifest, inputs=inputs)
        return Built(counts, relabelled=True)
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise InputError(
            f"{out}: holds a cohort of other inputs ({', '.join(differing[:5])}{more}"
            "); choose another --out, or delete it"
        )
    schema.open_cohort(out)
    return Built(header["counts"], was_complete=True)


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """Names whose values differ once they are JSON."""
    first, second = (
        {name: files.to_json(value) for name, value in values.items()}
        for values in (one, two)
    )
    return sorted({name for name, _ in first.items() ^ second.items()})


def _failures(
    examinations: Sequence[Examination], parts: Sequence[pathlib.Path]
) -> Iterator[str]:
    for examination, path in zip(examinations, parts, strict=True):
        part = write.read_part(path)
        if part.status == FAILED:
            yield f"{examination.name}: {part.findings[0][1]}"


def _key(one: Examination, *, inputs: Mapping[str, str], common: str) -> str:
    place = f"{one.subject}/{one.visit}/"
    own = {
        name.removeprefix(place): value
        for name, value in inputs.items()
        if name.startswith(place)
    }
    return hashlib.sha256((common + files.to_json(own)).encode()).hexdigest()[:32]


def _masks(one: Examination) -> list[tuple[str, MaskSource]]:
    """Every mask with its column."""
    return [
        (f"{organ}_{channel}", mask)
        for organ, masks in (("mask", one.masks), ("spleen_mask", one.spleen_masks))
        for channel, mask in masks.items()
    ]


def _hash(path: pathlib.Path) -> str:
    if not path.is_dir():
        return files.sha256_file(path)
    hashes = [
        f"{file.relative_to(path)} {files.sha256_file(file)}"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return files.sha256_bytes("\n".join(hashes).encode())
