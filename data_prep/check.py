r"""What is wrong with a manifest, and what a study will cost, in about a minute.

    python -m data_prep.check --config=configs/cp_ct.py --manifest=manifest.csv [--deep]

Reads the table and the headers of its files, lists every error they show, counts, and
estimates. ``--deep`` reads the voxels as well: empty masks, NaN, intensities that are
no HU, livers cut by the patch or the scan. Exit status 1 with all errors, also those
that training would stop at later (fewer subjects than folds); nothing is ever written.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import pathlib
from collections.abc import Mapping

from absl import flags

from data_prep import check_report, table_flags
from liverjax import study_flags
from liverjax.cohort import census
from liverjax.cohort.manifest import (
    Dialect,
    Examination,
    Manifest,
    examine_manifest,
)
from liverjax.config import StudyConfig
from liverjax.errors import InputError, raise_all, run_command
from liverjax.imaging import deep_check, survey

MANIFEST = flags.DEFINE_string("manifest", None, "The table, a row an examination.")
DEEP = flags.DEFINE_bool("deep", False, "Read the voxels as well.")
WORKERS = flags.DEFINE_integer("workers", None, "Processes; one a core if absent.")


def check(
    manifest_path: pathlib.Path,
    *,
    study: StudyConfig,
    dialect: Dialect | None = None,
    deep: bool = False,
    workers: int = 1,
) -> tuple[list[str], list[str]]:
    """Returns the report's lines, and every problem found.

    Args:
        manifest_path: The table.
        study: The study it is meant for.
        dialect: How the table is written.
        deep: Whether voxels are read.
        workers: Processes that read.

    Raises:
        InputError: If the file is no table with rows.
    """
    manifest, problems = examine_manifest(
        manifest_path, recipe=study.prepare, task=study.task, dialect=dialect
    )
    found = survey.survey(
        [row for row in manifest.examinations if _has_files(row)],
        recipe=study.prepare,
        workers=workers,
    )
    excluded = survey.survey(
        [one.examination for one in manifest.excluded if _has_files(one.examination)],
        recipe=study.prepare,
        workers=workers,
    )
    problems += found.problems
    warnings = [*manifest.warnings, *found.warnings]
    warnings += [f"excluded: {text}" for text in excluded.problems]
    if not manifest.examinations:
        warnings.append("no examination is left to prepare; the table shows all rows")
        found = excluded
    facts: dict[int, deep_check.VoxelFacts] = {}
    if deep:
        facts = _deep(manifest, study=study, workers=workers)
        more, odd = _deep_findings(manifest, facts)
        seen = set(problems)
        problems += [one for one in more if one not in seen]
        warnings += [one for one in odd if one not in warnings]
    lines = [f"manifest {manifest_path}", ""]
    lines += [f"  {line}" for line in census.flow(manifest)]
    lines += check_report.counts(manifest, study=study)
    lines += check_report.images(manifest, found, recipe=study.prepare)
    lines += check_report.voxels(facts, recipe=study.prepare)
    costs, folds = check_report.costs(
        manifest, found, facts, study=study, cores=_cores()
    )
    problems += folds.stops
    warnings += folds.warnings
    lines += ["", f"warnings: {len(warnings)}", *(f"  - {text}" for text in warnings)]
    return lines + costs, problems


def main() -> int:
    """Prints the report; returns the exit status."""
    study = study_flags.parse()
    if not MANIFEST.value:
        raise InputError("--manifest is missing; for example --manifest=manifest.csv")
    path = pathlib.Path(MANIFEST.value)
    lines, problems = check(
        path,
        study=study,
        dialect=table_flags.dialect(),
        deep=DEEP.value,
        workers=WORKERS.value or _cores(),
    )
    print("\n".join(lines), flush=True)
    raise_all(problems, title=f"{path}")
    print("\nno errors")
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _has_files(row: Examination) -> bool:
    paths = [*row.images.values(), *(m.path for m in row.masks.values())]
    return all(path.exists() for path in paths)


def _deep(
    manifest: Manifest, *, study: StudyConfig, workers: int
) -> dict[int, deep_check.VoxelFacts]:
    rows = [row for row in manifest.examinations if _has_files(row)]
    look = functools.partial(deep_check.deep_check, recipe=study.prepare)
    if workers < 2 or len(rows) < 2:
        return {row.line: look(row) for row in rows}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        return {facts.line: facts for facts in pool.map(look, rows)}


def _deep_findings(
    manifest: Manifest, facts: Mapping[int, deep_check.VoxelFacts]
) -> tuple[list[str], list[str]]:
    problems, warnings = [], []
    for row in manifest.examinations:
        if row.line not in facts:
            continue
        stopping = deep_check.failed(facts[row.line])
        for column, finding in facts[row.line].findings:
            text = f"line {row.line}, subject {row.subject!r}, {column}: {finding.text}"
            text += f" ({finding.code})"
            (problems if (column, finding) in stopping else warnings).append(text)
    return problems, warnings


if __name__ == "__main__":
    run_command(main)
