"""Stages of a study that need no network."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from configs.cp_ct import get_config
from liverjax import config, experiment, members
from liverjax.cohort import files
from liverjax.errors import InputError
from tests.cohort.small import write_cohort


@pytest.fixture
def study(tmp_path):
    """A study on a prepared cohort of four patients."""
    images = np.zeros((4, 48, 48, 1), np.uint8)
    cohort = write_cohort(
        tmp_path / "cohort",
        images,
        subjects=["p1", "p2", "p3", "p4"],
        columns={"child_pugh": ["5", "6", "8", "11"]},
    )
    (cohort.path / "qc").mkdir()
    (cohort.path / "qc" / "status.csv").write_text("subject,visit,status\n")
    values = get_config("one_channel")
    values.cohort.path = str(cohort.path)
    return dataclasses.replace(config.from_config_dict(values), prepare=cohort.recipe)


def test_who_never_reached_the_manifest_is_told_in_the_run_folder(tmp_path, study):
    flow = "step,reason,n\nscreening,no contrast phase,7\n"
    (tmp_path / "cohort" / "exclusions.csv").write_text(flow)
    folder = tmp_path / "run"
    folder.mkdir()
    experiment.prepare(folder, study=study)
    assert (folder / "exclusions.csv").read_text() == flow
    assert files.sha256_file(folder / "cohort.json") == files.sha256_file(
        tmp_path / "cohort" / "cohort.json"
    )


def test_a_run_does_not_go_on_with_another_cohort(tmp_path, study):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "cohort.json").write_text("{}")
    with pytest.raises(InputError, match="not the cohort this run started with"):
        experiment.prepare(folder, study=study)


def test_a_cohort_of_another_recipe_says_where_it_differs(tmp_path, study):
    other = dataclasses.replace(study.prepare, window_width_hu=350.0)
    with pytest.raises(InputError, match="it differs in window_width_hu"):
        experiment.prepare(tmp_path, study=dataclasses.replace(study, prepare=other))


def test_the_next_start_may_say_anew_what_is_no_part_of_the_study(tmp_path, study):
    folder = tmp_path / "run"
    experiment.claim_folder(folder, study=study)
    data = dataclasses.replace(study.data, placement="stream", memory_gib=3.0)
    experiment.claim_folder(folder, study=dataclasses.replace(study, data=data))
    assert config.read_study(folder).data == data
    train = dataclasses.replace(study.train, epochs=1 + study.train.epochs)
    with pytest.raises(InputError, match=r"train\.epochs \(20 there, 21 here\)"):
        experiment.claim_folder(folder, study=dataclasses.replace(study, train=train))
    assert config.read_study(folder).data == data


def test_frozen_networks_say_that_a_cluster_does_not_train_them(
    tmp_path, study, monkeypatch, caplog
):
    monkeypatch.setattr(
        experiment.members, "train_members", lambda *a, **k: members.Ended({}, None)
    )
    monkeypatch.setattr(
        experiment.cluster, "connect", lambda scheduler: pytest.fail("not needed")
    )
    frozen = dataclasses.replace(study.model, frozen=True)
    experiment.train(
        tmp_path,
        (),
        study=dataclasses.replace(study, model=frozen),
        num_members=4,
        scheduler="tcp://host:8786",
    )
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "the cluster of --scheduler only prepares" in warning.getMessage()
