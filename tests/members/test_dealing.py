"""What a worker of a cluster keeps from member to member."""

from __future__ import annotations

import types

import jax
import pytest

from liverjax.members import Member, dealing


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
