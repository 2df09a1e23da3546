"""Training that is stopped or killed, and ends in the same bytes all the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from liverjax.cohort import files
from tests.conftest import ROOT
from tests.members.small_run import read, train, write_run

# Long enough to be hit in the middle, with checkpoints all the time.
LONG = {"epochs": 40, "save_every_s": 0.05}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The bytes of every member's predictions of a run that nobody touched."""
    folder = write_run(tmp_path_factory.mktemp("long"), **LONG | {"save_every_s": 1e9})
    train(folder)
    return read(folder, "predictions_slices.csv") | read(folder, "predictions.csv")


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.members.small_run", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_epochs(child, folder, count):
    """Waits until the members have finished so many epochs together."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and child.poll() is None:
        lines = read(folder, "metrics.jsonl").values()
        if sum(text.count(b"\n") for text in lines) >= count:
            return
        time.sleep(0.01)
    child.kill()
    pytest.fail(f"no {count} epochs:\n{child.communicate()[0]}")


def end(folder):
    """Trains what is left in this process; the bytes of all predictions."""
    train(folder)
    return read(folder, "predictions_slices.csv") | read(folder, "predictions.csv")


def test_sigterm_saves_and_leaves_with_its_status(tmp_path, undisturbed):
    folder = write_run(tmp_path, **LONG | {"save_every_s": 1e9})
    child = start(folder)
    try:
        wait_for_epochs(child, folder, 20)
        child.send_signal(signal.SIGTERM)
        output, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 128 + signal.SIGTERM, output
    checkpoints = list(folder.glob("members/*/checkpoint/manifest-*.json"))
    assert checkpoints
    assert not list(folder.glob("members/*/done.json"))
    assert end(folder) == undisturbed
    done = [files.read_json(path) for path in folder.glob("members/*/done.json")]
    assert [len(member["environments"]) for member in done] == [1, 1, 1]


@pytest.mark.parametrize(
    "moment",
    [0, *(pytest.param(moment, marks=pytest.mark.slow) for moment in range(1, 6))],
)
def test_kill_9_at_a_random_moment_changes_no_byte(tmp_path, undisturbed, moment):
    folder, rng = write_run(tmp_path, **LONG), random.Random(moment)
    child = start(folder)
    try:
        wait_for_epochs(child, folder, rng.randrange(1, 100))
        time.sleep(rng.random() * 0.2)
    finally:
        child.kill()
        child.communicate()
    assert end(folder) == undisturbed
