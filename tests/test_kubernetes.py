"""What the Kubernetes files start: their own commands, run as Kubernetes would."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from liverjax import runtime
from tests.whole_path import ROOT, SMALLEST, environment

yaml = pytest.importorskip("yaml")

FOLDER = ROOT / "launch" / "k8s"
# The small study's own manifest in place of the one that its config would make.
STUDY = """
from configs import cp_ct


def get_config():
    config = cp_ct.get_config("demo")
    config.cohort.phantom = None
    return config
"""
COMPARED = ("predictions.csv", "predictions_slices.csv", "metrics.json")


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def container_of(job):
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return found


def arguments(job):
    return container_of(job)["args"]


def span_job():
    (jobset,) = documents("span.yaml")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    return replicated["template"], f"{replicated['name']}-0-0", jobset["metadata"]


def expand(word, given):
    """``$(NAME)`` as Kubernetes replaces it; ``$$(NAME)`` and the unknown stay."""

    def value(found):
        if found[0].startswith("$$"):
            return found[0][1:]
        return given.get(found[1], found[0])

    return re.sub(r"\$?\$\((\w+)\)", value, word)


class Pods:
    """Starts containers here, on the small study of a finished run."""

    def __init__(self, folder: pathlib.Path, finished: pathlib.Path) -> None:
        self.study, self.config = folder / "study", folder / "study.py"
        self.cohort = finished / "cohort"
        shutil.copytree(finished / "phantom", self.study)
        self.config.write_text(STUDY)
        self.running: list[subprocess.Popen] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, job, *, index=None, **changed):
        """Starts a job's container.

        Args:
            job: The job, or a deployment.
            index: Of the pod, in an indexed job.
            changed: Variables in place of the file's.
        """
        container = container_of(job)
        given = {} if index is None else {"JOB_COMPLETION_INDEX": str(index)}
        for entry in container.get("env", ()):
            where = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            annotation = "batch.kubernetes.io/job-completion-index"
            if where == f"metadata.annotations['{annotation}']":
                given[entry["name"]] = str(index)
            else:
                given[entry["name"]] = expand(entry["value"], given)
        words = [*container["command"], *container.get("args", ())]
        words = [self._here(expand(word, given)) for word in words]
        if "liverjax.main" in words:
            words += [w for w in SMALLEST if "phantom" not in w and "=configs" not in w]
            words.append(f"--config.cohort.path={self.cohort}")  # saves minutes
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment() | given | changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def finish(self, process):
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said[-3000:]
        return said

    def _here(self, word):
        """A word with this machine's places in place of the image's."""
        scripts = pathlib.Path(sys.executable).parent
        for there, here in {
            "=/study/": f"={self.study}/",
            ".venv/bin/": f"{scripts}/",
            "=configs/cp_ct.py": f"={self.config}",
            "liverjax-scheduler:8786": f"127.0.0.1:{self.port}",
            "--port=8786": f"--port={self.port}",
        }.items():
            word = word.replace(there, here)
        return word


@pytest.fixture
def pods(tmp_path, finished):
    found = Pods(tmp_path, finished)
    yield found
    for process in found.running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def same(pods, finished):
    run = pods.study / "run"
    return [(run / n).read_bytes() == (finished / n).read_bytes() for n in COMPARED]


def test_the_jobs_of_an_array_differ_only_in_the_members():
    cohort, members, report = documents("array.yaml")
    assert arguments(cohort) == [*arguments(report), "--config.members=()"]
    index = "--config.members=$(JOB_COMPLETION_INDEX)"
    assert arguments(members) == [*arguments(report), index]
    assert members["spec"]["completionMode"] == "Indexed"


@pytest.mark.slow
def test_the_jobs_of_an_array_end_with_the_bytes_of_one_process(pods, finished):
    cohort, members, report = documents("array.yaml")
    pods.finish(pods.start(cohort))
    for index in (1, 0):
        pods.finish(pods.start(members, index=index))
        assert not (pods.study / "run" / "predictions.csv").exists()
    pods.finish(pods.start(report))
    assert all(same(pods, finished))


def test_the_pods_of_a_jobset_know_each_other_and_where_to_meet():
    """What its environment says is what `liverjax.runtime.join` reads."""
    job, first, metadata = span_job()
    container = container_of(job)
    given = {entry["name"]: entry for entry in container["env"]}
    assert set(given) == {
        runtime.COORDINATOR,
        "JAX_NUM_PROCESSES",
        runtime.RANKS["JAX_NUM_PROCESSES"],
    }
    assert int(given["JAX_NUM_PROCESSES"]["value"]) == job["spec"]["completions"]
    assert job["spec"]["parallelism"] == job["spec"]["completions"]
    host, port = given[runtime.COORDINATOR]["value"].split(":")
    # A pod's name is <jobset>-<job>-<replica>-<index>, its domain the JobSet's.
    assert host == f"{metadata['name']}-{first}.{metadata['name']}"
    assert int(port) == container["ports"][0]["containerPort"]
    assert "--config.mesh.span=true" in container["args"]


@pytest.mark.slow
def test_the_pods_of_a_jobset_train_one_network_together(pods):
    """Two of them, where the names of pods lead to this machine."""
    job, _, _ = span_job()
    here = {
        runtime.COORDINATOR: f"127.0.0.1:{pods.port}",
        "JAX_NUM_PROCESSES": "2",
    }
    first, second = (pods.start(job, index=index, **here) for index in (0, 1))
    assert "one group of 2 x cpu in 2 processes" in pods.finish(first)
    assert "process 1 is done" in pods.finish(second)
    assert (pods.study / "run" / "report.html").exists()


def test_workers_and_study_of_a_cluster_find_its_scheduler():
    service, scheduler, worker, study = documents("cluster.yaml")
    labels = scheduler["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    ((port,),) = [one.values() for one in service["spec"]["ports"]]
    assert f"--port={port}" in arguments(scheduler)
    address = f"tcp://{service['metadata']['name']}:{port}"
    assert address in arguments(worker)
    assert f"--scheduler={address}" in arguments(study)
    # The rest is the study of the other files.
    *_, report = documents("array.yaml")
    assert arguments(study)[:-1] == arguments(report)
    mounts = [container_of(one)["volumeMounts"] for one in (worker, study, report)]
    assert mounts[0] == mounts[1] == mounts[2]
    assert "--nthreads=1" in arguments(worker)


@pytest.mark.slow
def test_a_cluster_of_pods_ends_with_the_bytes_of_one_process(pods, finished):
    _, scheduler, worker, study = documents("cluster.yaml")
    for job in (scheduler, worker, worker):
        pods.start(job)
    # No pod but the workers' has a device.
    pods.finish(pods.start(study, JAX_PLATFORMS="none"))
    assert all(same(pods, finished))
