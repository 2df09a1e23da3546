"""Preparation of a whole cohort: examinations on an executor, parts, assembly."""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
import multiprocessing
import pathlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence

from tqdm import tqdm

from liverjax.cohort import files
from liverjax.cohort.examination import Examination, Manifest
from liverjax.cohort.schema import Recipe
from liverjax.cohort.write import Part, assemble, read_part, write_part
from liverjax.errors import InputError
from liverjax.imaging.findings import FAILED, ExaminationError

_log = logging.getLogger(__name__)

PARTS = ".parts"
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
    """

    counts: Mapping[str, int]
    failed: tuple[str, ...] = ()
    was_complete: bool = False


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
        executor: Used instead of processes of our own.

    Raises:
        InputError: If the folder holds another cohort, or no examination is left.
    """
    inputs = hash_inputs(manifest)
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    versions["liverjax preparation"] = str(ALGORITHM)
    if (out / "cohort.json").exists():
        return _complete(out, recipe=recipe, inputs=inputs)
    common = files.to_json([dataclasses.asdict(recipe), versions, sorted(allow)])
    jobs = [
        (one, out / PARTS / f"{_key(one, inputs=inputs, common=common)}.npz")
        for one in manifest.examinations
    ]
    todo = [job for job in jobs if not job[1].exists()]
    if len(todo) < len(jobs):
        _log.info("%d examinations are prepared already", len(jobs) - len(todo))
    finished = _run(todo, recipe, allow, workers=workers, executor=executor)
    for job, error in tqdm(
        finished, total=len(todo), unit="exam", desc="preparing", disable=not todo
    ):
        if error:
            write_part(job[1], Part(FAILED, (("unexpected-error", error),)))
    columns = [name for name in manifest.columns if name in _cells(manifest)]
    counts = assemble(
        out,
        recipe=recipe,
        examinations=manifest.examinations,
        parts=[path for _, path in jobs],
        excluded=manifest.excluded,
        columns=columns,
        inputs=inputs,
        versions=versions,
    )
    failed = tuple(_failures(jobs))
    if not counts["examinations"]:
        raise InputError("no examination is left:\n  - " + "\n  - ".join(failed[:20]))
    shutil.rmtree(out / PARTS)
    return Built(counts, failed)


def hash_inputs(manifest: Manifest) -> dict[str, str]:
    """Returns the SHA-256 of the manifest and of everything that it names.

    Keys are ``subject/visit/what``: paths may hold what identifies a patient. A
    folder's hash is that of its files' hashes in order of their names.
    """
    wanted = {"manifest": manifest.path}
    for one in manifest.examinations:
        place = f"{one.subject}/{one.visit}"
        wanted |= {f"{place}/{name}": path for name, path in one.images.items()}
        for organ, masks in (("mask", one.masks), ("spleen_mask", one.spleen_masks)):
            wanted |= {f"{place}/{organ}_{n}": mask.path for n, mask in masks.items()}
    with futures.ThreadPoolExecutor(4) as threads:
        return dict(zip(wanted, threads.map(_hash, wanted.values()), strict=True))


Job = tuple[Examination, pathlib.Path]


def prepare_part(job: Job, *, recipe: Recipe, allow: Collection[str]) -> None:
    """Writes one examination's part file; a fault of its voxels is a result too."""
    from liverjax.imaging.prepare import prepare_examination

    examination, path = job
    try:
        prepared = prepare_examination(examination, recipe=recipe, allow=allow)
    except ExaminationError as error:
        found = (error.finding.code, error.finding.text)
        write_part(path, Part(FAILED, (found,)))
        return
    found = tuple((finding.code, finding.text) for finding in prepared.findings)
    write_part(
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


def _run(
    jobs: Sequence[Job],
    recipe: Recipe,
    allow: Collection[str],
    *,
    workers: int,
    executor: futures.Executor | None,
) -> Iterator[tuple[Job, str]]:
    """Yields each finished job with its unexpected error, or an empty text.

    A worker that dies takes its pool with it: what is left then is done one at a time,
    so that the examination that kills workers is known by name.
    """
    left = list(jobs)
    if not left:
        return
    try:
        with _pool(min(workers, len(left)), executor=executor) as pool:
            for job, error in _submit(left, recipe, allow, executor=pool):
                left.remove(job)
                yield job, error
    except futures.BrokenExecutor:
        _log.warning("a worker died; going on with one examination at a time")
    for job in left:
        try:
            with _pool(1, executor=None) as pool:
                yield from _submit([job], recipe, allow, executor=pool)
        except futures.BrokenExecutor:
            yield job, "the process that prepared it died (out of memory?)"


@contextlib.contextmanager
def _pool(
    size: int, *, executor: futures.Executor | None
) -> Iterator[futures.Executor]:
    if executor is not None:
        yield executor
        return
    spawn = multiprocessing.get_context("spawn")
    pool = futures.ProcessPoolExecutor(size, mp_context=spawn)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    jobs: Sequence[Job],
    recipe: Recipe,
    allow: Collection[str],
    *,
    executor: futures.Executor,
) -> Iterator[tuple[Job, str]]:
    running = {
        executor.submit(prepare_part, job, recipe=recipe, allow=tuple(allow)): job
        for job in jobs
    }
    for future in futures.as_completed(running):
        error = future.exception()
        if isinstance(error, futures.BrokenExecutor):
            raise error
        if error is not None:
            _log.error("%s: unexpected error", running[future][0].name, exc_info=error)
        yield running[future], f"{type(error).__name__}: {error}" if error else ""


def _complete(out: pathlib.Path, *, recipe: Recipe, inputs: Mapping[str, str]) -> Built:
    header = files.read_json(out / "cohort.json")
    asked = files.to_json(dataclasses.asdict(recipe))
    if files.to_json(header["recipe"]) != asked:
        raise InputError(
            f"{out}: holds a cohort of another recipe; choose another --out"
        )
    if header["inputs"] != dict(inputs):
        names = sorted(
            {k for k, _ in header["inputs"].items() ^ inputs.items()} - {"manifest"}
        )
        what = ", ".join(names[:5]) or "the manifest's table"
        raise InputError(
            f"{out}: holds a cohort made from other inputs ({what} differ); choose "
            "another --out"
        )
    return Built(header["counts"], was_complete=True)


def _cells(manifest: Manifest) -> set[str]:
    return {name for one in manifest.examinations for name in one.cells}


def _failures(jobs: Sequence[Job]) -> Iterator[str]:
    for examination, path in jobs:
        part = read_part(path)
        if part.status == FAILED:
            yield f"{examination.name}: {part.findings[0][1]}"


def _key(one: Examination, *, inputs: Mapping[str, str], common: str) -> str:
    place = f"{one.subject}/{one.visit}/"
    own = {name: value for name, value in inputs.items() if name.startswith(place)}
    masks = [
        [name, mask.order, mask.segment]
        for group in (one.masks, one.spleen_masks)
        for name, mask in sorted(group.items())
    ]
    text = common + files.to_json([one.subject, one.visit, own, masks])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _hash(path: pathlib.Path) -> str:
    if not path.is_dir():
        return files.sha256_file(path)
    hashes = [
        f"{file.relative_to(path)} {files.sha256_file(file)}"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return files.sha256_bytes("\n".join(hashes).encode())
