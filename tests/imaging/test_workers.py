from __future__ import annotations

import concurrent.futures as futures
import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

from liverjax.imaging.workers import DIED, run_jobs


def work(job: str, *, folder: pathlib.Path) -> None:
    """What a job's name says."""
    if job.startswith("raise"):
        raise KeyError(job)
    if job.startswith("die"):
        os._exit(9)
    (folder / job).write_text(str(os.getpid()))


def sleep(job: int) -> None:
    print(os.getpid(), flush=True)
    time.sleep(600)


def test_what_a_job_raises_is_told_and_the_others_are_done(tmp_path):
    jobs = ["a", "raise", "b"]
    with futures.ThreadPoolExecutor(1) as pool:
        found = dict(
            run_jobs(
                jobs, functools.partial(work, folder=tmp_path), workers=1, executor=pool
            )
        )
    assert found["a"] == found["b"] == ""
    assert "KeyError: 'raise'" in found["raise"]
    assert (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()


def test_a_job_that_kills_its_worker_is_named_and_all_others_are_done(tmp_path):
    jobs = ["a", "die", "b", "c", "d"]
    work_here = functools.partial(work, folder=tmp_path)
    found = dict(run_jobs(jobs, work_here, workers=2))
    assert found == dict.fromkeys("abcd", "") | {"die": DIED}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "d"]


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "from liverjax.imaging.workers import run_jobs\n"
        "from tests.imaging.test_workers import sleep\n"
        "if __name__ == '__main__':\n"
        "    list(run_jobs([1], sleep, workers=1))\n"
    )
    (tmp_path / "parent.py").write_text(code)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not pathlib.Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("the worker outlived its parent by ten seconds")
