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

    def seat(folder, num_members, group):
        del num_members, group
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
        str(folder), Member(0, 0), identity=identity, num_members=1, group=1
    )


def test_a_run_is_opened_once_for_all_its_members(tmp_path, opened):
    assert [train(tmp_path, "a"), train(tmp_path, "a")] == ["run 0", "run 0"]
    assert len(opened) == 1


def test_another_run_in_the_same_folder_is_opened_and_the_first_let_go(
    tmp_path, opened
):
    assert [train(tmp_path, "a"), train(tmp_path, "b")] == ["run 0", "run 1"]
    assert list(dealing._seats) == [(str(tmp_path), "b", 1, 1)]
