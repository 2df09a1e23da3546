"""One network over two processes, as two hosts would train it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from liverjax import runtime
from liverjax.members.member import DONE
from liverjax.train.loop import METRICS
from tests.conftest import ROOT
from tests.members.small_run import FOLDS, read, write_run
from tests.train import toy

pytestmark = pytest.mark.slow

# Long enough to be hit in the middle; one save after the other.
LONG = {"epochs": 12, "save_every_s": 0.05}


def start(mode, path, *, folders=(ROOT, ROOT), temporary=None):
    """Two processes that know of each other as a launcher tells them.

    Args:
        mode: Of `tests.multihost.process`.
        path: Likewise.
        folders: Where each is started.
        temporary: The second's folder for temporary files.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    shared = {"JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": address}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.multihost.process", mode, str(path)],
            env=os.environ
            | shared
            | {"JAX_PROCESS_ID": str(rank)}
            | ({"TMPDIR": str(temporary)} if temporary and rank else {})
            # Or the first would prefer the checkout it is started in.
            | {"PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, folder in enumerate(folders)
    ]


def end(children, timeout_s=240):
    """Statuses and what was said."""
    deadline = time.monotonic() + timeout_s
    try:
        said = [
            child.communicate(timeout=max(1, deadline - time.monotonic()))[0]
            for child in children
        ]
    finally:
        for child in children:
            child.kill()
    return [child.returncode for child in children], said


def wait_for_epochs(children, folder, count):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not any(c.poll() for c in children):
        lines = read(folder, "metrics.jsonl").values()
        if sum(text.count(b"\n") for text in lines) >= count:
            return
        time.sleep(0.01)
    pytest.fail(str(end(children, timeout_s=1)))


def predictions(folder):
    return read(folder, "predictions_slices.csv") | read(folder, "predictions.csv")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    place = tmp_path_factory.mktemp("span")
    folder = write_run(place / "run", **LONG | {"save_every_s": 1e9})
    second, temporary = place / "second", place / "temporary"
    second.mkdir()
    temporary.mkdir()
    children = start("members", folder, folders=(ROOT, second), temporary=temporary)
    statuses, said = end(children)
    assert statuses == [0, 0], said
    return folder


def test_two_processes_take_the_steps_of_two_devices_in_one(tmp_path):
    path = tmp_path / "state.npz"
    statuses, said = end(start("steps", path))
    assert statuses == [0, 0], said
    found = list(np.load(path).values())
    expected = jax.tree.leaves(toy.final_in_float64(jax.devices()[:2]))
    assert len(found) == len(expected)
    assert expected[-1].dtype == np.float64
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_both_processes_train_each_member(undisturbed):
    done = read(undisturbed, DONE)
    assert len(done) == FOLDS
    for text in done.values():
        (environment,) = json.loads(text)["environments"]
        assert (environment["processes"], environment["devices_a_member"]) == (2, 2)


def test_the_second_process_leaves_no_file_anywhere(undisturbed):
    assert not list((undisturbed.parent / "second").iterdir())
    assert not list((undisturbed.parent / "temporary").iterdir())
    lines = read(undisturbed, METRICS)
    assert len(lines) == FOLDS
    for text in lines.values():
        # Each line once: the second's are in a folder that is gone.
        epochs = [json.loads(line)["epoch"] for line in text.splitlines()]
        assert epochs == list(range(LONG["epochs"]))


def test_sigterm_to_one_saves_on_both_and_the_next_start_goes_on(tmp_path, undisturbed):
    folder = write_run(tmp_path / "run", **LONG | {"save_every_s": 1e9})
    children = start("members", folder)
    wait_for_epochs(children, folder, 3)
    children[1].send_signal(signal.SIGTERM)
    statuses, said = end(children)
    assert statuses == [128 + signal.SIGTERM] * 2, said
    assert len(read(folder, DONE)) < FOLDS
    assert list((folder / "members").glob("*/checkpoint/manifest-*.json"))
    statuses, said = end(start("members", folder))
    assert statuses == [0, 0], said
    assert "goes on at epoch" in said[0]
    assert predictions(folder) == predictions(undisturbed)


def test_a_stream_feeds_each_process_its_rows_to_the_same_numbers(
    tmp_path, undisturbed
):
    folder = write_run(tmp_path / "run", **LONG | {"save_every_s": 1e9})
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values["data"] = {"placement": "stream", "memory_gib": 2e-5}
    path.write_text(json.dumps(values))
    statuses, said = end(start("members", folder))
    assert statuses == [0, 0], said
    assert "data: stream with" in said[0]
    for text in said:
        read, walked = map(int, re.search(r"read (\d+) of (\d+) rows", text).groups())
        assert 2 * read == walked > 0
    assert predictions(folder) == predictions(undisturbed)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_nothing_is_lost(
    tmp_path, undisturbed, victim
):
    folder = write_run(tmp_path / "run", **LONG)
    children = start("members", folder)
    wait_for_epochs(children, folder, 4)
    children[victim].kill()
    began = time.monotonic()
    statuses, said = end(children)
    assert time.monotonic() - began < runtime.LOST_S + 10
    assert statuses[1 - victim] not in (0, None)
    told = said[1 - victim]
    assert "another process of this run ended" in told or "another task died" in told
    statuses, said = end(start("members", folder))
    assert statuses == [0, 0], said
    assert predictions(folder) == predictions(undisturbed)


def test_a_study_ends_in_a_report_and_another_cohort_on_one_host_is_refused(tmp_path):
    """Hosts that see files of their own under the same name, here by their folders."""
    folder = write_run(tmp_path / "run", epochs=1)
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values["cohort"]["path"] = "cohort"
    values["mesh"]["span"] = True
    path.write_text(json.dumps(values))
    hosts = tmp_path / "here", tmp_path / "there"
    for host in hosts:
        shutil.copytree(folder / "cohort", host / "cohort")
    header = hosts[1] / "cohort" / "cohort.json"
    header.write_text(header.read_text() + "\n")
    statuses, said = end(start("study", folder, folders=hosts))
    assert statuses == [1, 1], said
    for text in said:
        assert "cohort.json: not the same on all hosts (hash " in text
        assert "Traceback" not in text
    shutil.copy(hosts[0] / "cohort" / "cohort.json", header)
    statuses, said = end(start("study", folder, folders=hosts))
    assert statuses == [0, 0], said
    assert (folder / "report.html").exists()
    assert "process 1 is done" in said[1]


def test_a_run_folder_that_is_not_shared_is_refused_at_once(tmp_path):
    hosts = tmp_path / "here", tmp_path / "there"
    for host in hosts:
        folder = write_run(host / "run", epochs=1)
        path = folder / "config.json"
        values = json.loads(path.read_text())
        values["mesh"]["span"] = True
        path.write_text(json.dumps(values))
    statuses, said = end(start("study", "run", folders=hosts))
    assert statuses == [1, 1], said
    for text in said:
        assert "run: not seen by the processes [1]; put --workdir on storage" in text
