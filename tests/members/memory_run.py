"""A program: trains a run folder's first member and tells what memory it took.

``python -m tests.members.memory_run FOLDER`` prints bytes resident after the first step
and the most after it, as Linux counts them.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile

import jax
import numpy as np

from liverjax import members
from liverjax.members import Member
from liverjax.members.seats import Seats
from liverjax.train import checkpoint
from tests.members import small_run

PROCESS = pathlib.Path("/proc/self")


def status(name: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def main(folder: pathlib.Path) -> None:
    run = members.open_run(folder)
    group = (jax.devices()[0],)
    seat = Seats(run, groups=[group], available=None).take(group)
    # What checkpoints need once, whatever the cohort, is to be there before the count.
    with tempfile.TemporaryDirectory() as warm:
        checkpoint.save(pathlib.Path(warm), {"a": np.zeros(9)}, about={})
    first, trained = [], []

    def advance(*given):
        state, losses = seat.programs.advance(*given)
        losses.block_until_ready()
        if not first:
            first.append(status("VmRSS"))
            (PROCESS / "clear_refs").write_text("5")  # forgets the peak before
        trained[:] = [status("VmHWM")]
        return state, losses

    programs = dataclasses.replace(seat.programs, advance=advance)
    seat_told = dataclasses.replace(seat, programs=programs)
    assert members.train_member(run, Member(0), seat=seat_told) == "ok"
    print(
        json.dumps({"first": first[0], "trained": trained[0], "peak": status("VmHWM")})
    )


if __name__ == "__main__":
    with small_run.registered():
        main(pathlib.Path(sys.argv[1]))
