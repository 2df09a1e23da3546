from __future__ import annotations

import json
import threading
import time

import jax
import numpy as np
import pytest

from liverjax import members
from liverjax.cohort import files, records, schema, splits
from liverjax.errors import InputError
from liverjax.members import Member, training
from tests.members import small_run
from tests.members.small_run import read, write_run
from tests.train import toy


def table(folder, member, name):
    return files.read_csv(members.folder_of(folder, member) / name)


def test_a_study_deals_every_fold_of_a_seed_before_the_next():
    ids = [member.id for member in members.of_study(folds=2, seeds=2)]
    assert ids == ["f00-s00-t00", "f01-s00-t00", "f00-s01-t00", "f01-s01-t00"]
    tried = members.of_study(folds=1, seeds=2, trials=2)
    assert [member.id[4:] for member in tried] == [
        "s00-t00",
        "s01-t00",
        "s00-t01",
        "s01-t01",
    ]


def test_a_member_predicts_what_it_has_not_seen(trained):
    fold = splits.read_splits(trained / "splits.json")[1]
    columns, rows = table(trained, Member(1), "predictions.csv")
    assert ",".join(columns) == "subject,visit,set,site,fold,target,score,class"
    assert [r["subject"] for r in rows] == [*sorted(fold.held_out), "e0", "e1"]
    assert {r["fold"] for r in rows if r["set"] == "train"} == {"1"}
    assert [(r["fold"], r["target"]) for r in rows[-2:]] == [("", "10"), ("", "")]


def test_an_examination_is_the_mean_of_its_slices_and_then_a_class(trained):
    _, rows = table(trained, Member(0), "predictions.csv")
    _, slices = table(trained, Member(0), "predictions_slices.csv")
    for row in rows:
        scores = [float(s["score"]) for s in slices if s["subject"] == row["subject"]]
        assert len(scores) == small_run.SLICES
        assert float(row["score"]) == pytest.approx(np.mean(scores), rel=1e-12)
        points = round(float(row["score"]))
        assert row["class"] == "ABC"[(points > 6) + (points > 9)]
    assert [int(s["record"]) % small_run.SLICES for s in slices[:5]] == [0, 1, 2, 3, 0]


def test_a_finished_member_keeps_its_best_and_says_how_it_ended(trained):
    folder = members.folder_of(trained, Member(2))
    assert {path.name for path in folder.iterdir()} == {
        "best",
        "claim",
        "done.json",
        "metrics.jsonl",
        "predictions.csv",
        "predictions_slices.csv",
    }
    done = json.loads((folder / "done.json").read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    best = lines[done["best_epoch"]]
    assert best["select_score"] == max(line["select_score"] for line in lines)
    assert done["select_score"] == best["select_score"]
    assert done["status"] == "ok"
    assert done["environments"][0]["jax_devices"] == jax.local_device_count()


def test_a_member_has_the_same_bits_alone_and_on_another_device(
    trained, seat, tmp_path
):
    folder = write_run(tmp_path / "alone")
    assert members.train_member(members.open_run(folder), Member(1), seat=seat) == "ok"
    for name in ("predictions.csv", "predictions_slices.csv"):
        assert read(folder, name)["f01-s00-t00"] == read(trained, name)["f01-s00-t00"]
    toy.assert_same_bits(
        members.load_best(members.folder_of(folder, Member(1))),
        members.load_best(members.folder_of(trained, Member(1))),
    )


def test_finished_members_are_passed_over(trained):
    before = read(trained, "done.json")
    with toy.compilations() as compiled:
        ended = small_run.train(trained)
    assert set(ended.statuses.values()) == {"ok"}
    assert not ended.stopped
    assert compiled == []
    assert read(trained, "done.json") == before


def test_programs_do_not_grow_with_folds(seat, tmp_path):
    run = members.open_run(write_run(tmp_path))
    members.train_member(run, Member(0), seat=seat)
    with toy.compilations() as compiled:
        for fold in (1, 2):
            members.train_member(run, Member(fold), seat=seat)
    assert compiled == []


def test_seeds_start_and_shuffle_differently(seat, tmp_path, trained):
    run = members.open_run(write_run(tmp_path))
    members.train_member(run, Member(1, seed=1), seat=seat)
    kernels = [
        members.load_best(members.folder_of(folder, member))["params"]["conv1"]
        for folder, member in ((trained, Member(1)), (tmp_path, Member(1, seed=1)))
    ]
    assert not np.array_equal(kernels[0]["kernel"], kernels[1]["kernel"])


def test_networks_predict_arrays_that_are_in_no_cohort(trained):
    cohort = schema.open_cohort(trained / "cohort")
    arrays = records.read_records(cohort, numbers=np.arange(64, 72))
    chosen = members.with_best(trained)
    assert chosen == members.of_study(folds=3, seeds=1)
    spans = np.array([[0, 4], [4, 4]])
    outcomes = members.predict_arrays(trained, chosen, arrays=arrays, spans=spans)
    for member, outcome in zip(chosen, outcomes, strict=True):
        _, rows = table(trained, member, "predictions.csv")
        expected = [float(row["score"]) for row in rows[-2:]]
        np.testing.assert_allclose(outcome.score, expected, rtol=1e-6)


def test_a_member_without_a_network_is_named(tmp_path):
    with pytest.raises(InputError, match=r"f04-s00-t00: no trained network here"):
        members.load_best(tmp_path / "f04-s00-t00")


def test_a_member_that_turns_non_finite_says_where_and_predicts_nothing(tmp_path):
    folder = write_run(tmp_path, learning_rate=1e30, schedule="constant")
    assert members.train_member(folder, Member(0)) == "non-finite"
    done = json.loads((members.folder_of(folder, Member(0)) / "done.json").read_text())
    assert done["status"] == "non-finite"
    assert done["failed_at"]["epoch"] == 0
    assert done["best_epoch"] is None
    assert not (members.folder_of(folder, Member(0)) / "predictions.csv").exists()
    assert members.with_best(folder) == ()


def test_a_stopped_member_goes_on_to_the_same_bytes(trained, seat, tmp_path):
    run, stop = members.open_run(write_run(tmp_path)), threading.Event()
    stop.set()
    assert members.train_member(run, Member(0), seat=seat, stop=stop) == "stopped"
    folder = members.folder_of(tmp_path, Member(0))
    assert (folder / "checkpoint").is_dir()
    assert not (folder / "done.json").exists()
    assert members.train_member(run, Member(0), seat=seat) == "ok"
    assert not (folder / "checkpoint").exists()
    assert (
        read(tmp_path, "predictions.csv")["f00-s00-t00"]
        == (read(trained, "predictions.csv")["f00-s00-t00"])
    )


def test_an_exception_stops_the_others_and_is_raised_then(tmp_path, monkeypatch):
    folder, seen = write_run(tmp_path, epochs=10_000), []
    original = members.train_member
    begun = members.folder_of(tmp_path, Member(0)) / "metrics.jsonl"

    def train_member(run, member, **options):
        if member.fold == 1:
            while not begun.exists():
                time.sleep(0.01)
            raise RuntimeError("planted")
        seen.append((member.fold, original(run, member, **options)))
        return seen[-1][1]

    monkeypatch.setattr(training, "train_member", train_member)
    with pytest.raises(RuntimeError, match="planted"):
        small_run.train(folder)
    assert seen == [(0, "stopped")]
    assert (begun.parent / "checkpoint").is_dir()


def test_fewer_training_records_than_a_batch_name_the_fold(tmp_path):
    folder = write_run(tmp_path, batch_size=64)
    with pytest.raises(InputError, match=r"fold 0: \d+ training rows are fewer"):
        small_run.train(folder)


def test_a_cohort_that_does_not_fit_stops_before_training(tmp_path):
    folder = write_run(tmp_path, data={"placement": "resident"})
    with pytest.raises(InputError, match=r"the cohort does not .*placement=stream"):
        members.train_members(
            folder, [Member(0)], groups=[(jax.devices()[0],)], available_bytes=1000
        )


def test_a_group_of_devices_trains_one_member_together(tmp_path):
    folder = write_run(tmp_path / "group")
    ended = members.train_members(
        folder, [Member(0)], groups=[tuple(jax.devices()[:2])]
    )
    assert ended.statuses == {Member(0): "ok"}
    done = files.read_json(members.folder_of(folder, Member(0)) / "done.json")
    assert done["environments"][0]["devices_a_member"] == 2
