"""What the launch files start, run against stand-ins of the launchers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.whole_path import ROOT, SMALLEST, command, environment, run

ARRAY = ROOT / "launch" / "slurm" / "array.sbatch"
CLUSTER = ROOT / "launch" / "slurm" / "cluster.sbatch"
JOBS = ROOT / "launch" / "k8s" / "array.yaml"

# Writes down what it was called with, and answers with a job's number.
SBATCH = """#!/usr/bin/env bash
echo "$@" >> "$CALLS"
wc -l < "$CALLS"
"""


def test_one_study_becomes_three_jobs_each_waiting_for_the_one_before(tmp_path):
    stand_in = tmp_path / "bin" / "sbatch"
    stand_in.parent.mkdir()
    stand_in.write_text(SBATCH)
    stand_in.chmod(0o755)
    calls = tmp_path / "calls"
    ended = subprocess.run(
        ["bash", str(ARRAY), "10", "--config=c.py", "--workdir=w"],
        env={"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "CALLS": str(calls)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "cohort 1, members 2, report 3\n"
    head, tail = (
        "--parsable --kill-on-invalid-dep=yes ",
        f"{ARRAY} --config=c.py --workdir=w",
    )
    assert calls.read_text().splitlines() == [
        f"{head}{tail} --config.members=()",
        f"{head}--dependency=afterok:1 --array=0-9 {tail}",
        f"{head}--dependency=afterok:2 {tail}",
    ]


@pytest.mark.slow
def test_an_array_of_jobs_ends_with_the_bytes_of_one_process(finished, tmp_path):
    """By the job file's own lines, as SLURM starts them."""
    folder = tmp_path / "run"
    flags = [*SMALLEST, f"--workdir={folder}"]

    def job(*arguments: str, **variables: str) -> None:
        subprocess.run(
            ["bash", str(ARRAY), *flags, *arguments],
            env=environment()
            | {"SLURM_JOB_ID": "1", "SLURM_SUBMIT_DIR": str(ROOT)}
            | {"LIVERJAX_VENV": sys.prefix}
            | variables,
            check=True,
            capture_output=True,
        )

    job("--config.members=()")
    assert (folder / "splits.json").exists()
    assert not (folder / "members").exists()
    for place in ("1", "0"):
        job(SLURM_ARRAY_TASK_ID=place)
        assert not (folder / "predictions.csv").exists()
    job()
    for name in ("predictions.csv", "predictions_slices.csv", "metrics.json"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.slow
def test_a_cluster_in_one_job_ends_with_the_bytes_of_one_process(finished, tmp_path):
    """By the job file's own lines; the stand-in starts two tasks, as srun would."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(
        "#!/usr/bin/env bash\nshift\nfor i in 0 1; do\n"
        '  SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$i "$@" &\ndone\nwait\n'
    )
    srun.chmod(0o755)
    folder = tmp_path / "run"
    ended = subprocess.run(
        ["bash", str(CLUSTER), *SMALLEST, f"--workdir={folder}"],
        env=environment()
        | {"SLURM_JOB_ID": "7", "LIVERJAX_VENV": sys.prefix}
        | {"PATH": f"{srun.parent}:{os.environ['PATH']}"}
        | {"SLURM_SUBMIT_DIR": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    for name in ("predictions.csv", "metrics.json"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name
    assert not (ROOT / "scheduler-7.json").exists()


def test_members_need_splits_that_all_starts_share(tmp_path):
    ended = run(
        "liverjax.main", *SMALLEST, f"--workdir={tmp_path}", "--config.members=1"
    )
    assert ended.returncode == 1
    assert "no splits.json yet" in ended.stderr


def test_processes_started_together_are_told_how_to_start(tmp_path):
    ended = subprocess.run(
        command("liverjax.main", *SMALLEST, f"--workdir={tmp_path}"),
        env=environment() | {"SLURM_STEP_NUM_TASKS": "4"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "4 processes were started together" in ended.stderr
    assert not any(tmp_path.iterdir())


def test_the_jobs_of_kubernetes_differ_only_in_the_members(tmp_path):
    yaml = pytest.importorskip("yaml")
    cohort, members, report = yaml.safe_load_all(JOBS.read_text())

    def arguments(job):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        return container["args"]

    assert arguments(cohort) == [*arguments(report), "--config.members=()"]
    index = "--config.members=$(JOB_COMPLETION_INDEX)"
    assert arguments(members) == [*arguments(report), index]
    assert members["spec"]["completionMode"] == "Indexed"
