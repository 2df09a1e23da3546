"""One of the processes that train together: ``python -m tests.multihost.process``.

``steps FILE`` writes what six steps of the small network leave, in float64; ``members
FOLDER`` trains a run folder's members; ``study FOLDER`` runs the whole study.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator

import jax
import numpy as np

from liverjax import members, runtime, together
from liverjax.config import read_study
from liverjax.data import stream
from liverjax.errors import run_command
from liverjax.members.spanning import lost_process_is_told
from tests.members import small_run
from tests.train import toy


def steps(path: pathlib.Path) -> int:
    rank = runtime.join()
    leaves = jax.tree.leaves(toy.final_in_float64(jax.devices()))
    if rank == 0:
        np.savez(path, *leaves)
    runtime.leave()
    return 0


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Tells how many rows a process walked by stream, and how many it read."""
    walk, read, rows = stream.Stream.walk, stream.Records.read, {"walked": 0, "read": 0}

    def walked(self, numbers, **options):
        rows["walked"] += len(numbers)
        return walk(self, numbers, **options)

    def has_read(self, numbers, **options):
        rows["read"] += len(numbers)
        return read(self, numbers, **options)

    stream.Stream.walk, stream.Records.read = walked, has_read
    yield
    print(f"read {rows['read']} of {rows['walked']} rows", flush=True)


def train_members(folder: pathlib.Path) -> int:
    runtime.join()
    chosen = members.of_study(folds=small_run.FOLDS, seeds=1)
    groups = runtime.start(len(chosen), span=True)
    try:
        with lost_process_is_told(), counted():
            ended = members.train_members(folder, chosen, groups=groups, span=True)
    except BaseException:
        runtime.leave_at_once()
        raise
    runtime.leave()
    return ended.status


def run_study(folder: pathlib.Path) -> int:
    study = read_study(folder)
    study = dataclasses.replace(study, workdir=str(folder))
    outcome = together.run(study)
    print(outcome.message)
    return outcome.status


if __name__ == "__main__":
    work = {"steps": steps, "members": train_members, "study": run_study}[sys.argv[1]]
    with small_run.registered():
        print("ready", flush=True)
        run_command(lambda: work(pathlib.Path(sys.argv[2])))
