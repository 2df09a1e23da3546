"""Members dealt to a cluster that is played here; `tests/test_cluster.py` has one."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import logging
import signal
import types

import jax
import pytest

from liverjax import cluster, members, runtime
from liverjax.errors import InputError
from liverjax.members import Member, dealing
from liverjax.members.dealing import STOP
from liverjax.members.member import folder_of
from liverjax.train.loop import METRICS

CHOSEN = members.of_study(folds=3, seeds=1)


@dataclasses.dataclass(frozen=True)
class Task:
    """A task that ends as soon as it is asked."""

    key: str
    status: str = "finished"

    def result(self):
        return "ok"


class Client:
    """A cluster without a worker."""

    scheduler = types.SimpleNamespace(address="tcp://host:8786")

    def submit(self, work, member, *, key, **options):
        del work, member, options
        return Task(key)

    def nthreads(self):
        return {}

    def scheduler_info(self, n_workers):
        return {"workers": {}}


class Workers(Client):
    """Two workers, which are this process."""

    def nthreads(self):
        return {"tcp://b:1": 1, "tcp://a:1": 1}

    def run(self, work, *, workers):
        return {worker: work() for worker in workers}


@pytest.fixture
def deal(tmp_path, monkeypatch):
    """Deals to a cluster of which ``answers`` say, one a look, what has ended."""
    monkeypatch.setattr(cluster, "check_storage", lambda client, path: None)
    monkeypatch.setattr(dealing, "PROGRESS_S", 0)

    def run(*answers):
        looks = iter(answers)

        def look(waiting):
            answer = next(looks)
            if isinstance(answer, BaseException):
                raise answer
            if callable(answer):
                answer()
                return set()
            return set(list(waiting)[:answer])

        monkeypatch.setattr(dealing, "_ended", look)
        return dealing.train_members(tmp_path, CHOSEN, client=Client(), num_members=3)

    return run


def test_members_are_dealt_until_all_have_ended(deal, tmp_path):
    assert deal(1, 0, 2).statuses == dict.fromkeys(CHOSEN, "ok")
    assert not (tmp_path / STOP).exists()


@pytest.mark.parametrize(
    "error",
    [
        concurrent.futures.CancelledError("2 Futures cancelled:\nReasons:"),
        ConnectionResetError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_scheduler_is_told_in_a_sentence(deal, tmp_path, error):
    with pytest.raises(InputError) as told:
        deal(1, error)
    assert "scheduler at tcp://host:8786 is lost" in str(told.value)
    assert "same command" in str(told.value)
    assert "\n" not in str(told.value)
    assert (tmp_path / STOP).exists()


def test_whatever_ends_the_dealing_asks_the_workers_to_stop(deal, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        deal(KeyboardInterrupt())
    assert (tmp_path / STOP).exists()
    deal(3)
    assert not (tmp_path / STOP).exists()


def test_a_cluster_without_workers_is_warned_of(deal, caplog):
    deal(0, 3)
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "no worker is left at tcp://host:8786" in warning.getMessage()


def test_a_stop_does_not_wait_for_workers_that_are_gone(deal):
    ended = deal(1, lambda: signal.raise_signal(signal.SIGTERM))
    assert ended.status == 128 + signal.SIGTERM
    assert len(ended.statuses) == 1


def test_progress_tells_the_last_epoch_of_each_member_in_work(deal, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for member, epochs in zip(CHOSEN, (2, 1, 0), strict=True):
        lines = [
            json.dumps({"epoch": i, "loss": 0.5 - i / 8, "select_score": 0.6 + i / 10})
            for i in range(epochs)
        ]
        path = folder_of(tmp_path, member) / METRICS
        path.parent.mkdir(parents=True)
        # The next line is on its way.
        path.write_text("".join(f"{line}\n" for line in lines) + '{"epoch')
    deal(0, 3)
    told = [m for m in caplog.messages if "members are done" in m]
    assert told == [
        "0 of 3 members are done\n"
        "  f00-s00-t00: epoch 2, loss 0.375, selection 0.7\n"
        "  f01-s00-t00: epoch 1, loss 0.5, selection 0.6",
        "3 of 3 members are done",
    ]


def test_what_a_run_depends_on_is_asked_of_a_worker():
    found = dealing.worker_facts(Workers(), num_members=2)
    assert found == runtime.facts(runtime.start(2)[:1]) | {"workers": 2}
    assert (found["platform"], found["devices"]) == ("cpu", 1)


@pytest.fixture
def opened(monkeypatch):
    """The runs that were opened, in order; training answers with the run."""
    runs = []

    def seat(folder, num_members, group, neighbours):
        del num_members, group, neighbours
        run = types.SimpleNamespace(folder=folder, number=len(runs))
        runs.append(run)
        return run, types.SimpleNamespace(devices=jax.local_devices()[:1])

    def train_member(run, member, **options):
        del member, options
        return f"run {run.number}"

    monkeypatch.setattr(dealing, "_seat", seat)
    monkeypatch.setattr(dealing, "_seats", {})
    monkeypatch.setattr(dealing.members, "train_member", train_member)
    return runs


def train(folder, identity):
    return dealing.train_here(
        str(folder),
        Member(0, 0),
        identity=identity,
        num_members=1,
        group=1,
        neighbours={},
    )


def test_a_run_is_opened_once_for_all_its_members(tmp_path, opened):
    assert [train(tmp_path, "a"), train(tmp_path, "a")] == ["run 0", "run 0"]
    assert len(opened) == 1


def test_another_run_in_the_same_folder_is_opened_and_the_first_let_go(
    tmp_path, opened
):
    assert [train(tmp_path, "a"), train(tmp_path, "b")] == ["run 0", "run 1"]
    assert list(dealing._seats) == [(str(tmp_path), "b", 1, 1)]


class Processes(Exception):
    """How many of them share a worker's host."""


def test_workers_of_a_host_are_counted_and_told_to_each(tmp_path, monkeypatch):
    import distributed

    def ask(run, *, groups, available, processes):
        raise Processes(processes)

    monkeypatch.setattr(dealing, "Seats", ask)
    monkeypatch.setattr(dealing, "open_run", lambda folder: folder)
    workers = {
        f"tcp://10.0.0.{host}:{port}": {"host": f"10.0.0.{host}", "nthreads": 1}
        for host, port in ((1, 7001), (1, 7002), (1, 7003), (2, 7001))
    }
    neighbours, found = dealing.count_by_host(workers), []
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        worker = types.SimpleNamespace(ip=host)
        monkeypatch.setattr(distributed, "get_worker", lambda worker=worker: worker)
        with pytest.raises(Processes) as told:
            dealing._seat(tmp_path, 1, 1, neighbours)
        found.append(told.value.args[0])
    assert found == [3, 1, 1]
