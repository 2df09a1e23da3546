"""What the launch files start, run against stand-ins of the launchers."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.whole_path import ROOT, SMALLEST, command, environment, run

ARRAY = ROOT / "launch" / "slurm" / "array.sbatch"
CLUSTER = ROOT / "launch" / "slurm" / "cluster.sbatch"
SPAN = ROOT / "launch" / "slurm" / "span.sbatch"
SWEEP = ROOT / "launch" / "sweep.sh"
LOCAL = ROOT / "launch" / "local.sh"

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


@pytest.mark.parametrize(
    ("path", "signal"),
    [(ARRAY, "B:TERM@120"), (CLUSTER, "B:TERM@120"), (SPAN, "TERM@120")],
    ids=lambda value: getattr(value, "stem", value),
)
def test_the_signal_before_the_limit_reaches_who_saves(path, signal):
    """The batch shell by ``B:``; without it srun's tasks, and not the shell."""
    text = path.read_text()
    assert re.findall(r"^#SBATCH --signal=(.*)$", text, re.MULTILINE) == [signal]
    _, _, command = text.rpartition("\nexec ")
    starts_tasks = command.startswith("srun ")
    assert starts_tasks == (not signal.startswith("B:"))


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


@pytest.mark.slow
def test_one_network_over_the_tasks_of_a_job_ends_in_a_report(tmp_path):
    """By the job file's own lines; the stand-ins say what SLURM would."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "scontrol": "echo localhost",
        "srun": 'shift\nfor i in 0 1; do SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$i "$@" '
        "& done\nwait -n\nwait -n",
    }.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The port is made from the job's number.
    job = {"SLURM_JOB_ID": str((port - 20000) % 40000), "SLURM_JOB_NODELIST": "node1"}
    run_folder = tmp_path / "run"
    ended = subprocess.run(
        ["bash", str(SPAN), *SMALLEST, f"--workdir={run_folder}"],
        env=environment()
        | job
        | {"LIVERJAX_VENV": sys.prefix, "SLURM_SUBMIT_DIR": str(ROOT)}
        | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "one group of 2 x cpu in 2 processes" in ended.stderr
    assert (run_folder / "DONE").exists()
    assert (run_folder / "report.html").exists()


@pytest.fixture
def stand_ins(tmp_path):
    """Variables by which `LOCAL` finds two GPUs; who is started tells which it sees."""
    scripts = tmp_path / "venv" / "bin"
    scripts.mkdir(parents=True)
    (tmp_path / "seen").mkdir()
    (scripts / "python").symlink_to(sys.executable)
    for name, text in {
        "nvidia-smi": "printf '0\\n1\\n'",
        "dask": 'echo "$1 ${CUDA_VISIBLE_DEVICES-all}" > "$SEEN/$$"; exec sleep 60',
        # Until the scheduler and both workers have told.
        "study": 'while [ $(cat "$SEEN"/* | wc -l) -lt 3 ]; do sleep 0.02; done\n'
        'echo "study ${CUDA_VISIBLE_DEVICES-all}" > "$SEEN/$$"',
    }.items():
        (scripts / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (scripts / name).chmod(0o755)
    given = environment() | {"SEEN": str(tmp_path / "seen")}
    given["LIVERJAX_VENV"] = str(scripts.parent)
    given["PATH"] = f"{scripts}:{os.environ['PATH']}"
    given.pop("CUDA_VISIBLE_DEVICES", None)
    return given


@pytest.mark.parametrize(
    ("visible", "workers"), [(None, "01"), ("1,0", "10"), ("3,5", "35"), ("", None)]
)
def test_each_local_worker_sees_a_gpu_of_the_users_list(stand_ins, visible, workers):
    if visible is not None:
        stand_ins["CUDA_VISIBLE_DEVICES"] = visible
    subprocess.run(["bash", LOCAL, "2", "study"], env=stand_ins, check=True)
    seen = [path.read_text().strip() for path in _files(stand_ins["SEEN"])]
    given = "all" if visible is None else visible
    own = [given, given] if workers is None else list(workers)
    assert sorted(seen) == sorted(
        f"{who} {gpus}".strip()
        for who, gpus in zip(
            ("scheduler", "study", "worker", "worker"),
            (given, given, *own),
            strict=True,
        )
    )


def test_more_local_workers_than_gpus_are_refused(stand_ins):
    stand_ins["CUDA_VISIBLE_DEVICES"] = "1"
    ended = subprocess.run(
        ["bash", LOCAL, "2", "study"], env=stand_ins, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "2 workers for 1 GPUs (1)" in ended.stderr
    assert not _files(stand_ins["SEEN"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_local_cluster_lives_until_the_stopped_command_has_saved(stand_ins, number):
    scripts, seen = (pathlib.Path(stand_ins[n]) for n in ("LIVERJAX_VENV", "SEEN"))
    (scripts / "bin" / "dask").write_text(
        "#!/usr/bin/env bash\ntrap 'touch \"$SEEN/ended-$1\"; exit' INT TERM\n"
        'touch "$SEEN/began-$1"\nsleep 60 &\nwait\nkill %1\n'
    )
    (scripts / "bin" / "study").write_text(
        "#!/usr/bin/env bash\n"
        'save() { sleep 0.3; ls "$SEEN" > "$SEEN/saved"; exit 42; }\n'
        "trap save INT TERM\n"
        'touch "$SEEN/began-study"\nwhile true; do sleep 0.05; done\n'
    )
    process = subprocess.Popen(
        ["bash", LOCAL, "2", "study"], env=stand_ins, start_new_session=True
    )
    began = {"began-scheduler", "began-study", "began-worker"}
    while {path.name for path in seen.iterdir()} != began:
        assert process.poll() is None
        time.sleep(0.02)
    # Ctrl-C goes to all processes of a terminal's group.
    os.killpg(process.pid, number)
    assert process.wait(timeout=60) == 42
    assert set((seen / "saved").read_text().split()) == began | {"saved"}
    assert (seen / "ended-scheduler").exists()
    assert (seen / "ended-worker").exists()


def _files(folder: str) -> list[pathlib.Path]:
    return list(pathlib.Path(folder).iterdir())


def test_processes_that_are_to_join_need_to_know_each_other(tmp_path):
    ended = run(
        "liverjax.main",
        *SMALLEST,
        f"--workdir={tmp_path}",
        "--config.mesh.span=true",
    )
    assert ended.returncode == 1
    assert "mesh.span: the number of processes is not set" in ended.stderr
    assert not any(tmp_path.iterdir())


def test_a_sweep_is_a_run_a_combination_and_a_table(tmp_path):
    folder = tmp_path / "sweep"
    # From the caller's folder, whatever the script's own is.
    words = ["bash", str(SWEEP), "sweep", "model.name=a,b", "train.epochs=1,2"]
    given = {"LIVERJAX_VENV": sys.prefix, "START": "echo"}
    done = folder / "model.name=a,train.epochs=1" / "trials.csv"
    done.parent.mkdir(parents=True)
    done.write_text("trial,select_score\n0,0.5\n")
    ended = subprocess.run(
        [*words, "--", "--config=c.py"],
        env=environment() | given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    *commands, header, row = ended.stdout.splitlines()
    assert commands == [
        f"--config.cohort.path={folder}/cohort --config=c.py --config.model.name={name}"
        f" --config.train.epochs={epochs}"
        f" --workdir={folder}/model.name={name},train.epochs={epochs}"
        for name in "ab"
        for epochs in (1, 2)
    ]
    assert [header, row] == [
        "run,trial,select_score",
        '"model.name=a,train.epochs=1",0,0.5',
    ]
    assert (folder / "sweep.csv").read_text() == f"{header}\n{row}\n"


def test_a_sweep_without_an_end_of_its_values_is_refused(tmp_path):
    ended = subprocess.run(
        ["bash", str(SWEEP), str(tmp_path), "model.name=a,b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "expected -- before" in ended.stderr


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
