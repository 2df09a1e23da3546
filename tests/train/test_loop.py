from __future__ import annotations

import dataclasses
import json
import threading

import jax
import numpy as np
import pytest

from liverjax.train import checkpoint
from liverjax.train.standing import CHECKPOINT
from tests.train.toy import Career, assert_same_bits, host


class StopAfter(threading.Event):
    """An event that is set once it was asked so often."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


def standing(folder):
    """Every leaf of a member's newest checkpoint."""
    tree, _ = checkpoint.restore(folder / CHECKPOINT)
    return tree


def lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def without_times(entries):
    return [
        {k: v for k, v in e.items() if k not in ("images_per_s", "seconds")}
        for e in entries
    ]


@pytest.fixture(scope="module")
def undisturbed(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    fitted = Career(epochs=2, save_every_s=1e9).run(folder, built)
    return fitted, standing(folder), lines(folder)


# An epoch has five steps, and the loop looks once before each and once after the last.
@pytest.mark.parametrize("looks", [1, 4, 6, 9])
def test_six_steps_are_three_and_save_and_restore_and_three(
    built, undisturbed, tmp_path, looks
):
    """Cut in the middle of an epoch, or between two: every leaf is the same."""
    career = Career(epochs=2)
    stopped = career.run(tmp_path, built, stop=StopAfter(looks))
    assert stopped.status == "stopped"
    assert stopped.best is None
    between = standing(tmp_path)
    assert 0 < between["position"] + 5 * between["state"]["epoch"] < 10
    ended = career.run(tmp_path, built, birth=no_birth)
    fitted, leaves, told = undisturbed
    assert_same_bits(leaves, standing(tmp_path))
    assert_same_bits(host(fitted.best), host(ended.best))
    assert ended.best_epoch == fitted.best_epoch
    assert without_times(lines(tmp_path)) == without_times(told)


def no_birth():
    pytest.fail("a member that has a checkpoint was born again")


def test_a_checkpoint_holds_what_a_resume_needs(undisturbed):
    _, leaves, _ = undisturbed
    assert set(leaves) == {
        "state",
        "best",
        "scores",
        "select_losses",
        "losses",
        "position",
    }
    assert set(leaves["state"]) == {
        "step",
        "epoch",
        "key",
        "params",
        "batch_stats",
        "opt_state",
    }
    assert leaves["state"]["step"] == 10
    assert set(leaves["state"]["opt_state"]["hyperparams"]) == {
        "learning_rate",
        "l2",
        "weight_decay",
    }


def test_a_member_has_the_same_bits_on_another_device(
    undisturbed, built_elsewhere, tmp_path
):
    fitted, leaves, _ = undisturbed
    ended = Career(epochs=2).run(tmp_path, built_elsewhere)
    assert_same_bits(leaves, standing(tmp_path))
    assert_same_bits(host(fitted.best), host(ended.best))


def test_saves_follow_the_clock(built, tmp_path, monkeypatch):
    saved = []
    original = checkpoint.save

    def note(folder, tree, *, about):
        saved.append((int(tree["state"].step), int(tree["position"])))
        original(folder, tree, about=about)

    monkeypatch.setattr(checkpoint, "save", note)
    Career(epochs=2, save_every_s=1e-9).run(tmp_path, built)
    in_pieces = [(step, (step - 1) % 5 + 1) for step in range(1, 11)]
    assert saved == [*in_pieces, (10, 0)]


def test_lines_beyond_the_checkpoint_are_cut(built, tmp_path):
    career = Career(epochs=2)
    career.run(tmp_path, built, stop=StopAfter(8))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 1, "loss": 0}\n{"epoch": 2, "lo')
    career.run(tmp_path, built)
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1]
    assert lines(tmp_path)[1]["loss"] > 0


def test_a_resume_elsewhere_warns_and_is_remembered(built, tmp_path, caplog):
    career = Career(epochs=1)
    career.run(tmp_path, built, stop=StopAfter(2), threads=2)
    assert "another environment" not in caplog.text
    ended = career.run(tmp_path, built, threads=4)
    assert "resumed in another environment" in caplog.text
    assert [found["threads"] for found in ended.environments] == [2, 4]


def test_a_loss_that_is_not_finite_stops_the_member_at_its_step(built, tmp_path):
    career = Career(epochs=3)
    career.targets[5] = np.nan
    ended = career.run(tmp_path, built)
    assert ended.status == "non-finite"
    assert ended.best is None
    epoch, step = ended.failed_at
    assert (epoch, 0 <= step < 5) == (0, True)


def test_a_member_that_fails_late_keeps_its_best(built, tmp_path):
    def schedule(epoch, control):
        return 1e-2 if epoch < 2 else np.inf

    ended = Career(epochs=5, schedule=schedule).run(tmp_path, built)
    assert ended.status == "non-finite"
    assert ended.failed_at[0] == 2
    assert ended.best_epoch in (0, 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host(ended.best)))


def test_the_best_is_that_of_the_best_epoch(built, tmp_path):
    """A rate of zero from the second epoch on: later epochs tie and never win."""

    def schedule(epoch, control):
        return 1e-2 if epoch == 0 else 0.0

    short = Career(epochs=1, schedule=schedule).run(tmp_path / "short", built)
    long = Career(epochs=3, schedule=schedule)
    long.select = long.select[:4]
    ended = long.run(tmp_path / "long", built)
    assert_same_bits(host(short.best)["params"], host(ended.best)["params"])


def test_nothing_is_written_into_a_folder_that_is_another_s_by_now(built, tmp_path):
    calls = iter([None, RuntimeError("taken over")])

    def check():
        error = next(calls)
        if error:
            raise error

    with pytest.raises(RuntimeError, match="taken over"):
        Career(epochs=2).run(tmp_path, built, before_writing=check)
    assert len(lines(tmp_path)) == 1
    assert checkpoint.restore(tmp_path / CHECKPOINT) is None


def test_a_host_array_inside_the_compiled_loop_is_an_error(built, tmp_path):
    """What the loop needs is put on the device before; here one bound is not."""

    def advance(state, losses, columns, arrays, start, stop):
        del stop
        return built.advance(state, losses, columns, arrays, start, np.int32(1))

    careless = dataclasses.replace(built, advance=advance)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device"):
        Career().run(tmp_path, careless)


def test_a_host_array_inside_compiled_evaluation_is_an_error(built, tmp_path):
    def predict(variables, rows, target, arrays):
        del target
        empty = np.zeros(len(rows), np.float32)
        return built.predictor.predict(variables, rows, empty, arrays)

    predictor = dataclasses.replace(built.predictor, predict=predict)
    careless = dataclasses.replace(built, predictor=predictor)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device"):
        Career().run(tmp_path, careless)
