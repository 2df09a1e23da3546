from __future__ import annotations

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from liverjax import members
from liverjax.data import resident
from liverjax.data.resident import DoesNotFit
from liverjax.data.stream import Stream
from liverjax.errors import InputError
from liverjax.members import Member, seats
from liverjax.members.seats import Seats
from tests.members import small_run
from tests.members.small_run import read, write_run
from tests.train import toy

COHORT_BYTES = 18 * 4 * 20 * 20


def gib(count):
    return {"memory_gib": count / 2**30}


def test_a_cohort_above_its_cap_is_streamed_to_the_same_tables(
    trained, tmp_path, caplog
):
    """Two devices, each with a stream of its own, and a few records kept."""
    caplog.set_level("INFO")
    folder = write_run(tmp_path, data=gib(COHORT_BYTES * 0.6))
    small_run.train(folder)
    assert "data: stream; the cohort is 0.00 GB" in caplog.text
    assert "(data.memory_gib)" in caplog.text
    assert "blocks of 1 batches" in caplog.text
    for name in ("predictions.csv", "predictions_slices.csv"):
        assert read(folder, name) == read(trained, name)


def test_every_member_of_a_stream_runs_the_same_programs(tmp_path):
    run = members.open_run(write_run(tmp_path, data={"placement": "stream"}))
    group = (jax.devices()[0],)
    seat = Seats(run, groups=[group], available=None).take(group)
    assert isinstance(seat.source, Stream)
    members.train_member(run, Member(0), seat=seat)
    with toy.compilations() as compiled:
        for fold in (1, 2):
            members.train_member(run, Member(fold), seat=seat)
    assert compiled == []


def test_a_cohort_that_leaves_training_no_room_is_streamed(
    tmp_path, monkeypatch, caplog
):
    """It fits by itself, but not beside the network."""
    caplog.set_level("INFO")
    original = resident.check_fit

    def check_fit(*, data, **figures):
        if data == "cohort":
            figures["available_bytes"] = COHORT_BYTES
        original(data=data, **figures)

    monkeypatch.setattr(resident, "check_fit", check_fit)
    folder = write_run(tmp_path)
    small_run.train(folder)
    assert "data: resident; the cohort is" in caplog.text
    assert "data: stream; the cohort does not fit the memory" in caplog.text
    assert "stream 0.00 GB + 2 x" in caplog.text
    assert len(read(folder, "predictions.csv")) == small_run.FOLDS


def test_processes_on_one_host_share_its_memory_alike(tmp_path, monkeypatch, caplog):
    """A cohort that fits half of the memory, and not a third beside the margin."""
    caplog.set_level("INFO")
    run = members.open_run(write_run(tmp_path))
    monkeypatch.setattr(seats, "free_host_bytes", lambda: 3 * COHORT_BYTES)
    group = (jax.devices()[0],)
    found = {
        count: Seats(run, groups=[group], available=None, processes=count)
        for count in (1, 2, 3)
    }
    assert {count: made.placement for count, made in found.items()} == {
        1: "resident",
        2: "resident",
        3: "stream",
    }
    assert "has room for 0.00 GB in each of 3 processes" in caplog.text
    assert found[1]._cap == 3 * found[3]._cap


def test_a_share_of_the_host_is_what_training_must_fit(monkeypatch):
    monkeypatch.setattr(resident, "free_host_bytes", lambda: 1000)
    (device, *_), need = jax.devices(), {"group_bytes": 0, "groups": 1}
    resident.check_fit(
        data="cohort", data_bytes=400, device=device, processes=2, **need
    )
    with pytest.raises(DoesNotFit):
        resident.check_fit(
            data="cohort", data_bytes=400, device=device, processes=3, **need
        )


def test_a_cap_below_one_batch_is_refused(tmp_path):
    folder = write_run(tmp_path, data=gib(1000))
    with pytest.raises(InputError, match=r"1000 B of host memory .* train\.batch_size"):
        small_run.train(folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_under_its_cap_however_large_the_cohort(tmp_path):
    cap, side = 128 * 2**20, 256
    rng = np.random.default_rng(0)
    over = {}
    for times in (1, 8):
        count = 18 * round(times * cap / (18 * side**2))
        folder = write_run(
            tmp_path / str(times),
            images=rng.integers(0, 256, (count, side, side, 1), np.uint8),
            data={"placement": "stream"} | gib(cap),
            epochs=1,
            batch_size=16,
        )
        found = subprocess.run(
            [sys.executable, "-m", "tests.members.memory_run", str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        memory = json.loads(found.stdout.splitlines()[-1])
        print(times, {k: v / 2**20 for k, v in memory.items()})  # shown on failure
        over[times] = (memory["peak"] - memory["first"]) / cap
        shutil.rmtree(folder)
    assert 0.5 < over[1] < 1.2
    assert 0.5 < over[8] < 1.2
    assert over[8] < over[1] + 0.4
