"""From a manifest to a prepared cohort.

python -m data_prep.build --config=configs/cp_ct.py --manifest manifest.csv --out cohort

Stop it and run it again: it goes on where it stood. Ends with status 0 and the number
of failed examinations, which are named here and in ``qc/status.csv``; with 1 if none is
left, or if one failed and ``--strict`` was given.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

from absl import flags

from data_prep import table_flags
from liverjax import cluster, study_flags
from liverjax.cohort.claims import claim_in_turn
from liverjax.cohort.manifest import read_manifest
from liverjax.errors import InputError, raise_all, run_command
from liverjax.imaging import build, survey

MANIFEST = flags.DEFINE_string("manifest", None, "The table, a row an examination.")
OUT = flags.DEFINE_string("out", None, "The cohort's folder.")
WORKERS = flags.DEFINE_integer("workers", None, "Processes; one a core if absent.")
STRICT = flags.DEFINE_bool("strict", False, "End with status 1 if one failed.")
ALLOW = flags.DEFINE_multi_string(
    "allow", [], "Code of a finding that is a warning instead of a failure; repeatable."
)
SCHEDULER = flags.DEFINE_string(
    "scheduler", None, "A Dask cluster instead of own processes: its address or file."
)


def main() -> int:
    """Prepares the cohort; returns the exit status."""
    study = study_flags.parse()
    if not MANIFEST.value or not OUT.value:
        raise InputError("--manifest and --out are needed")
    workers = WORKERS.value or len(os.sched_getaffinity(0))
    if workers < 1:
        raise InputError(f"--workers={workers}: expected at least 1")
    manifest = read_manifest(
        pathlib.Path(MANIFEST.value).absolute(),  # workers have other folders
        recipe=study.prepare,
        task=study.task,
        dialect=table_flags.dialect(),
    )
    if not manifest.examinations:
        reasons = sorted({one.reason for one in manifest.excluded})
        raise InputError(
            f"{MANIFEST.value}: every row is excluded: {'; '.join(reasons)}"
        )
    found = survey.survey(manifest.examinations, recipe=study.prepare, workers=workers)
    grids = found.grids(study.prepare.reference)
    problems, _ = survey.spacing_spread(grids, recipe=study.prepare)
    raise_all(problems, title=MANIFEST.value)
    executor, told = None, contextlib.nullcontext()
    if SCHEDULER.value:
        client = cluster.connect(SCHEDULER.value)
        cluster.check_storage(client, manifest.path)
        executor, workers = client.get_executor(pure=False), len(client.ncores())
        told = cluster.loss_is_told(client)
    out = pathlib.Path(OUT.value).resolve()
    # Beside the folder, whose content is a cohort's alone.
    with told, claim_in_turn(out.with_name(f"{out.name}.claim")):
        built = build.build_cohort(
            manifest,
            recipe=study.prepare,
            out=out,
            workers=workers,
            allow=ALLOW.value,
            executor=executor,
        )
    return _tell(
        built, excluded=[f"{e.examination.name}: {e.reason}" for e in manifest.excluded]
    )


def _tell(built: build.Built, *, excluded: list[str]) -> int:
    if built.was_complete:
        print(f"{OUT.value}: complete already, made from the same inputs")
    if built.relabelled:
        print(f"{OUT.value}: the same images; tables written anew")
    for title, names in (("excluded", excluded), ("failed", built.failed)):
        for name in names:
            print(f"{title}: {name}")
    count = built.counts
    print(
        f"{OUT.value}: {count['examinations']} examinations of {count['subjects']} "
        f"subjects, {count['records']} records; {count['ok']} ok, {count['warning']} "
        f"with warnings (qc/status.csv), {count['excluded']} excluded, "
        f"{count['failed']} failed"
    )
    return 1 if STRICT.value and count["failed"] else 0


if __name__ == "__main__":
    run_command(main)
