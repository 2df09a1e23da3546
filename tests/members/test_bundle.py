from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from liverjax import members, merge, weights
from liverjax.cohort import files, records, schema
from liverjax.errors import InputError
from liverjax.members import Member
from liverjax.members.run_folder import open_run
from tests.members import small_run
from tests.members.small_run import write_run

TRIALS = {"learning_rate": (1e-2, 1e30), "l2": (0.0, 1e-2), "weight_decay": ()}


def frozen_run(folder):
    write_run(folder, seeds=2, trials=TRIALS, piece_s=5.0)
    values = json.loads((folder / "config.json").read_text())
    values["model"]["frozen"] = True
    files.write_json(folder / "config.json", values)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = frozen_run(tmp_path_factory.mktemp("bundle"))
    chosen = members.of_study(folds=small_run.FOLDS, seeds=2, trials=4)
    ended = members.train_members(folder, chosen, groups=[(jax.devices()[0],)])
    return folder, chosen, ended


def test_a_bundle_leaves_a_row_a_head_and_one_file_of_weights(bundle):
    folder, chosen, ended = bundle
    columns, rows = files.read_csv(folder / "members" / "heads" / "heads.csv")
    assert ",".join(columns) == (
        "fold,seed,trial,epochs,best_epoch,select_score,select_loss,finite"
    )
    assert [Member(*(int(r[n]) for n in columns[:3])) for r in rows] == list(chosen)
    assert {r["finite"] for r in rows if r["trial"] in "01"} == {"1"}
    assert {(r["finite"], r["best_epoch"]) for r in rows if r["trial"] in "23"} == {
        ("0", "")
    }
    assert set(ended.statuses.values()) == {"ok", "non-finite"}
    heads, meta = weights.load(folder / "members" / "heads" / "heads.safetensors")
    assert heads["params"]["fc"]["kernel"].shape == (24, 4, 1)
    assert meta.model == "toy"
    assert {path.name for path in (folder / "members" / "heads").iterdir()} == {
        "backbone.safetensors",
        "claim",
        "heads.csv",
        "heads.safetensors",
        "predictions.csv",
        "predictions_slices.csv",
    }


def test_trials_and_tables_come_from_the_heads(bundle):
    folder, chosen, _ = bundle
    run = open_run(folder)
    best = members.write_trials(folder, chosen, trials=run.trials)
    _, rows = files.read_csv(folder / "trials.csv")
    assert [row["non_finite"] for row in rows] == ["0", "0", "6", "6"]
    assert best in (0, 1)
    merge.write_predictions(folder, chosen, trial=best, task=run.task)
    _, merged = files.read_csv(folder / "predictions.csv")
    assert len(merged) == small_run.SUBJECTS + 2
    counted = {row["set"]: row["members"] for row in merged}
    assert counted == {"train": "2", "external": "6"}
    _, single = files.read_csv(folder / "predictions_members.csv")
    assert {row["trial"] for row in single} == {str(best)}
    own = [float(r["score"]) for r in single if r["subject"] == "e0"]
    outside = next(r for r in merged if r["subject"] == "e0")
    assert float(outside["score"]) == pytest.approx(np.mean(own))


def test_a_head_on_its_backbone_is_a_network(bundle):
    """What `liverjax.predict` does with any run gives the bundle's own predictions."""
    folder, *_ = bundle
    chosen = members.with_best(folder)
    assert len(chosen) == 2 * small_run.FOLDS
    cohort = schema.open_cohort(folder / "cohort")
    arrays = records.read_records(cohort, numbers=np.arange(64, 72))
    spans = np.array([[0, 4], [4, 4]])
    outcomes = members.predict_arrays(folder, chosen, arrays=arrays, spans=spans)
    _, rows = files.read_csv(folder / "members" / "heads" / "predictions.csv")
    for member, outcome in zip(chosen, outcomes, strict=True):
        expected = [
            float(row["score"])
            for row in rows
            if row["set"] == "external"
            and (row["fold"], row["seed"]) == (str(member.fold), str(member.seed))
        ]
        np.testing.assert_allclose(outcome.score, expected, rtol=1e-5)


def test_a_finished_bundle_is_passed_over(bundle):
    folder, chosen, _ = bundle
    before = (folder / "members" / "heads" / "heads.safetensors").stat().st_mtime_ns
    ended = members.train_members(folder, chosen, groups=[(jax.devices()[0],)])
    assert not ended.stopped
    path = folder / "members" / "heads" / "heads.safetensors"
    assert path.stat().st_mtime_ns == before


def test_heads_that_are_not_trained_are_named(tmp_path):
    folder = frozen_run(tmp_path)
    assert members.with_best(folder) == ()
    with pytest.raises(InputError, match="no trained heads here"):
        members.load_network(folder, Member(0))
