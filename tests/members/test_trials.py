from __future__ import annotations

import numpy as np

from liverjax import members
from liverjax.cohort import files
from liverjax.members import Member, trials
from tests.members.small_run import read, write_run
from tests.train import toy

NOTHING = {"learning_rate": (), "l2": (), "weight_decay": ()}


def finish(folder, member, *, score, loss=1.0):
    done = {"best_epoch": None if score is None else 0}
    done |= {"select_score": score, "select_loss": loss}
    path = members.folder_of(folder, member) / "done.json"
    files.write_json(path, {"member": member.__dict__} | done)


def choose(folder, scores):
    """Scores (score, loss) by trial, then by fold."""
    chosen = members.of_study(folds=2, seeds=1, trials=len(scores))
    for member in chosen:
        score, loss = scores[member.trial][member.fold]
        finish(folder, member, score=score, loss=loss)
    values = [{"l2": float(number)} for number in range(len(scores))]
    return trials.write_trials(folder, chosen, trials=values)


def test_a_grid_is_every_combination_the_last_name_fastest():
    grid = NOTHING | {"learning_rate": (1e-3, 1e-4), "weight_decay": (0.0, 0.1)}
    assert trials.make_trials(grid) == (
        {"learning_rate": 1e-3, "weight_decay": 0.0},
        {"learning_rate": 1e-3, "weight_decay": 0.1},
        {"learning_rate": 1e-4, "weight_decay": 0.0},
        {"learning_rate": 1e-4, "weight_decay": 0.1},
    )


def test_without_values_there_is_one_trial_that_changes_nothing():
    assert trials.make_trials(NOTHING) == ({},)


def test_the_best_mean_on_select_is_chosen(tmp_path):
    scores = [[(0.9, 1), (0.1, 1)], [(0.6, 1), (0.6, 1)], [(0.5, 1), (0.6, 1)]]
    assert choose(tmp_path, scores) == 1
    assert trials.read_chosen(tmp_path) == 1
    _, rows = files.read_csv(tmp_path / "trials.csv")
    assert [row["select_score"] for row in rows] == ["0.5", "0.6", "0.55"]
    assert [row["chosen"] for row in rows] == ["0", "1", "0"]


def test_equal_scores_take_the_lower_loss_and_then_the_first(tmp_path):
    equal = [(0.5, 2.0), (0.5, 2.0)]
    assert choose(tmp_path / "a", [equal, [(0.5, 1.0), (0.5, 1.0)]]) == 1
    assert choose(tmp_path / "b", [equal, equal]) == 0


def test_a_trial_with_a_non_finite_member_is_not_chosen(tmp_path):
    assert choose(tmp_path, [[(0.9, 1), (None, None)], [(0.5, 1), (0.5, 1)]]) == 1


def test_a_loss_that_is_not_finite_comes_last_and_stops_nothing(tmp_path):
    scores = [[(0.5, None), (0.5, 1)], [(0.5, 9), (0.5, 9)], [(None, None)] * 2]
    assert choose(tmp_path, scores) == 1
    _, rows = files.read_csv(tmp_path / "trials.csv")
    assert [row["select_loss"] for row in rows] == ["", "9.0", ""]


def test_trials_are_members_of_one_program(seat, tmp_path, trained):
    run = members.open_run(write_run(tmp_path, trials=NOTHING | {"l2": (1e-3, 1e-1)}))
    members.train_member(run, Member(1, trial=0), seat=seat)
    with toy.compilations() as compiled:
        members.train_member(run, Member(1, trial=1), seat=seat)
    assert compiled == []
    # The first value is the config's own: the same bits as without a grid.
    found = read(tmp_path, "predictions.csv")
    assert found["f01-s00-t00"] == read(trained, "predictions.csv")["f01-s00-t00"]
    first, second = (
        members.load_best(members.folder_of(tmp_path, Member(1, trial=trial)))
        for trial in (0, 1)
    )
    size = [np.abs(one["params"]["conv1"]["kernel"]).mean() for one in (first, second)]
    assert size[1] < size[0]
