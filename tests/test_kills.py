"""Killed at any moment and started again: the same bytes as never disturbed."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from .whole_path import ROOT, SMALLEST, command, environment, run

KILLS = 5
# What a run leaves that holds no times.
COMPARED = (
    "cohort/cohort.json",
    "cohort/examinations.csv",
    "cohort/index.csv",
    "cohort/qc/status.csv",
    "splits.json",
    "predictions.csv",
    "predictions_members.csv",
    "predictions_slices.csv",
    "metrics.json",
)


def start(folder: pathlib.Path) -> subprocess.Popen[bytes]:
    """Starts the study in a process group of its own."""
    return subprocess.Popen(
        command(
            "liverjax.main",
            *SMALLEST,
            "--config.train.save_every_s=0.1",
            "--config.train.piece_s=0.1",
            f"--workdir={folder}",
        ),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_study_killed_at_random_moments_ends_with_the_same_bytes(finished, tmp_path):
    """Moments fall into preparation and training, whatever the machine's speed."""
    folder, rng = tmp_path / "killed", random.Random(7)
    for number in range(KILLS):
        process = start(folder)
        try:
            if number < 2:
                _wait_for(folder, "cohort/.parts/*.npz", process)
            else:
                _wait_for(folder, "members/*/metrics.jsonl", process)
            time.sleep(rng.uniform(0, 1.5))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    ended = run(
        "liverjax.main",
        *SMALLEST,
        "--config.train.save_every_s=0.1",
        "--config.train.piece_s=0.1",
        f"--workdir={folder}",
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    shards = [p.relative_to(finished) for p in finished.glob("cohort/*.array_record")]
    assert shards
    for name in (*COMPARED, *shards):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


def _wait_for(
    folder: pathlib.Path, pattern: str, process: subprocess.Popen[bytes]
) -> None:
    """Returns when a file is there, or the process has ended."""
    deadline = time.monotonic() + 300
    while not any(folder.glob(pattern)) and process.poll() is None:
        assert time.monotonic() < deadline, f"{pattern} never came"
        time.sleep(0.02)
