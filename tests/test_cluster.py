"""A cluster of two worker processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from liverjax import cluster
from liverjax.errors import InputError
from tests.imaging.study import write_study
from tests.whole_path import ROOT, SMALLEST, command, environment, run

LOCAL = ROOT / "launch" / "local.sh"
DASK = str(pathlib.Path(sys.executable).parent / "dask")
TOLD = {
    "cwd": ROOT,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "text": True,
}


def content(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Cluster:
    """A scheduler, and workers that can be killed, in a folder of their own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.file = folder / "scheduler.json"
        self.folder, self.processes = folder, []
        self.start("scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard")
        self.workers = [self.add_worker() for _ in range(2)]

    def start(self, *words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [DASK, *words, f"--scheduler-file={self.file}"],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def add_worker(self, threads: int = 1) -> subprocess.Popen:
        options = ["--nworkers=1", f"--nthreads={threads}", "--no-dashboard"]
        options += ["--no-nanny", "--memory-limit=0"]
        return self.start("worker", *options, f"--local-directory={self.folder}")

    def kill_worker(self) -> None:
        """Kills the older worker and starts another in its place."""
        worker = self.workers.pop(0)
        os.killpg(worker.pid, signal.SIGKILL)
        self.workers.append(self.add_worker())


@pytest.fixture
def two_workers(tmp_path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    for process in found.processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_no_cluster_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    with pytest.raises(InputError, match="no cluster answers there"):
        cluster.connect("tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_study_on_two_workers_has_the_bytes_of_one_process(finished, tmp_path):
    """By ``launch/local.sh``, as a user starts it."""
    folder = tmp_path / "run"
    ended = subprocess.run(
        [
            *("bash", str(LOCAL), "2"),
            *command("liverjax.main", *SMALLEST, f"--workdir={folder}"),
        ],
        cwd=ROOT,
        env=environment() | {"LIVERJAX_VENV": sys.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    for name in ("predictions.csv", "predictions_slices.csv", "metrics.json"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


def study_command(folder, *, finished):
    """The finished study again, with a checkpoint all the time; by relative paths."""
    return command(
        "liverjax.main",
        *SMALLEST,
        f"--workdir={os.path.relpath(folder, ROOT)}",
        f"--config.cohort.path={os.path.relpath(finished / 'cohort', ROOT)}",
        "--config.train.piece_s=0.01",
        "--config.train.save_every_s=0.01",
    )


def start_study(folder, *, finished, scheduler):
    """Where jax would find no device: only the workers train."""
    return subprocess.Popen(
        [*study_command(folder, finished=finished), f"--scheduler={scheduler}"],
        env=environment() | {"JAX_PLATFORMS": "none"},
        **TOLD,
    )


@pytest.mark.slow
def test_ctrl_c_saves_on_the_workers_of_a_local_cluster(finished, tmp_path):
    folder, temporary = tmp_path / "run", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        ["bash", str(LOCAL), "2", *study_command(folder, finished=finished)],
        env=environment() | {"LIVERJAX_VENV": sys.prefix, "TMPDIR": str(temporary)},
        start_new_session=True,
        **TOLD,
    )
    while process.poll() is None and not list(folder.glob("members/*/checkpoint/m*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGINT, said[-3000:]
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert all_saved(folder)
    assert not list(temporary.glob("*/scheduler.json"))


def same_predictions(one, two):
    return all(
        (one / name).read_bytes() == (two / name).read_bytes()
        for name in ("predictions.csv", "predictions_slices.csv")
    )


def saved_after(moment, folder):
    """Whether a checkpoint was written since then."""
    for path in folder.glob("members/*/checkpoint/manifest-*.json"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime > moment:
                return True
    return False


def all_saved(folder):
    """Whether every member that was begun has a checkpoint, or has ended."""
    begun = [path.parent for path in folder.glob("members/*/claim")]
    saved = [
        (member / "done.json").exists()
        or any(member.glob("checkpoint/manifest-*.json"))
        for member in begun
    ]
    return bool(begun) and all(saved)


@pytest.mark.slow
def test_a_worker_killed_three_times_changes_nothing(finished, two_workers, tmp_path):
    folder, moments = tmp_path / "run", random.Random(0)
    process = start_study(folder, finished=finished, scheduler=two_workers.file)
    killed, moment = 0, 0.0
    while process.poll() is None and killed < 3:
        # Not before somebody has gone on since the last one was killed.
        if saved_after(moment, folder):
            time.sleep(moments.uniform(0, 0.5))
            assert process.poll() is None
            two_workers.kill_worker()
            moment = time.time()
            killed += 1
        time.sleep(0.02)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said[-3000:]
    assert killed == 3
    assert same_predictions(folder, finished)


@pytest.mark.slow
def test_sigterm_saves_on_the_workers_and_the_next_start_goes_on(
    finished, two_workers, tmp_path
):
    folder = tmp_path / "run"
    process = start_study(folder, finished=finished, scheduler=two_workers.file)
    while process.poll() is None and not list(folder.glob("members/*/checkpoint/m*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGTERM, said[-3000:]
    assert "the same command goes on" in said
    assert all_saved(folder)
    process = start_study(folder, finished=finished, scheduler=two_workers.file)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said[-3000:]
    assert same_predictions(folder, finished)
    trained = json.loads((folder / "environment.json").read_text())
    names = ("platform", "devices", "devices_a_member", "workers")
    assert [trained[name] for name in names] == ["cpu", 1, 1, 2]


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_study_and_the_next_start_goes_on(
    finished, two_workers, tmp_path
):
    folder = tmp_path / "run"
    process = start_study(folder, finished=finished, scheduler=two_workers.file)
    while process.poll() is None and not list(folder.glob("members/*/checkpoint/m*")):
        time.sleep(0.02)
    os.killpg(two_workers.processes[0].pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said[-3000:]
    assert "error: the cluster's scheduler at tcp://127.0.0.1:" in said
    assert "Traceback" not in said
    for worker in two_workers.workers:
        worker.wait(60)  # it saves first
    process = subprocess.run(
        study_command(folder, finished=finished), env=environment(), **TOLD
    )
    assert process.returncode == 0, process.stdout[-3000:]
    assert same_predictions(folder, finished)


def preparation(table):
    """Flags that prepare the tiny study, by a relative path."""
    return (
        "--config=configs/cp_ct.py",
        "--config.prepare.registration=none",
        "--config.prepare.inplane_spacing_mm=7.0",
        "--config.prepare.slice_spacing_mm=36.0",
        "--config.prepare.patch_px=32",
        "--config.prepare.store_px=40",
        f"--manifest={os.path.relpath(table, ROOT)}",
    )


def start_preparation(out, *, table, scheduler):
    """Returns it when the first examination is done and the last is not."""
    words = (*preparation(table), f"--out={out}", f"--scheduler={scheduler}")
    process = subprocess.Popen(
        command("data_prep.build", *words), env=environment(), **TOLD
    )
    while process.poll() is None and not list(out.glob(".parts/*.npz")):
        time.sleep(0.02)
    assert process.poll() is None
    assert not (out / "cohort.json").exists()
    return process


@pytest.mark.slow
def test_two_workers_prepare_the_bytes_of_the_local_pool(two_workers, tmp_path):
    table = write_study(tmp_path / "study", subjects=8)
    alone, dealt = tmp_path / "alone", tmp_path / "dealt"
    assert run("data_prep.build", *preparation(table), f"--out={alone}").returncode == 0
    process = start_preparation(dealt, table=table, scheduler=two_workers.file)
    two_workers.kill_worker()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
    assert content(alone) == content(dealt)


@pytest.mark.slow
def test_a_scheduler_lost_in_preparation_is_told_in_a_sentence(two_workers, tmp_path):
    table = write_study(tmp_path / "study", subjects=8)
    out = tmp_path / "out"
    process = start_preparation(out, table=table, scheduler=two_workers.file)
    os.killpg(two_workers.processes[0].pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said[-3000:]
    assert "error: the cluster's scheduler at tcp://127.0.0.1:" in said
    assert "Traceback" not in said
