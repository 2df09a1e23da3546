"""Baselines that a study's config names, on a phantom's images."""

from __future__ import annotations

import numpy as np
import pytest

from configs.cp_ct import get_config
from liverjax import baselines, config, report
from liverjax.cohort import files, splits
from liverjax.errors import InputError
from liverjax.radiomics.classifiers import CLASSIFIERS, macro_auc
from liverjax.report import tables
from tests import whole_path


def a_study(**changes):
    values = get_config("one_channel")
    for name, value in changes.items():
        values.baselines.radiomics[name] = value
    return config.from_config_dict(values)


def test_radiomics_need_images_with_masks_or_features():
    baselines.check(a_study())
    with pytest.raises(InputError, match="a prepared cohort keeps no whole images"):
        baselines.check(a_study(run=True))


def test_a_table_of_features_that_is_missing_is_named(tmp_path):
    study = a_study(run=True, features=str(tmp_path / "features.csv"))
    with pytest.raises(InputError, match=r"features\.csv is missing"):
        baselines.check(study)


def test_a_setting_that_radiomics_do_not_have_is_refused():
    with pytest.raises(InputError, match=r"baselines\.radiomics: .*unknown \['bins'\]"):
        a_study(settings={"bins": 3})


def test_a_channel_that_the_study_does_not_have_is_refused(tmp_path):
    (tmp_path / "features.csv").write_text("")
    study = a_study(
        run=True, channels=("late",), features=str(tmp_path / "features.csv")
    )
    with pytest.raises(InputError, match=r"\['late'\] unknown"):
        baselines.check(study)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run after its network: 60 patients of the phantom, predictions of chance."""
    folder = tmp_path_factory.mktemp("run")
    made = whole_path.run(
        "data_prep.phantom",
        f"--out={folder / 'phantom'}",
        *("--subjects=60", "--seed=0", "--size=tiny", "--workers=2"),
    )
    assert made.returncode == 0, made.stderr
    values = get_config("one_channel")
    values.cohort.manifest = str(folder / "phantom" / "manifest.csv")
    values.cohort.path = str(folder / "prepared_elsewhere")
    values.baselines.radiomics.run = True
    study = config.from_config_dict(values)
    _, rows = files.read_csv(folder / "phantom" / "manifest.csv")
    columns = ["subject", "visit", "set", "site", "child_pugh"]
    files.write_csv(
        folder / "examinations.csv",
        [{name: row[name] for name in columns} for row in rows],
        columns=columns,
    )
    points = np.array([float(row["child_pugh"]) for row in rows])
    truth = study.task.true_class(points)
    folds = splits.make_folds(
        {row["subject"]: int(c) for row, c in zip(rows, truth, strict=True)},
        folds=5,
        select_fraction=0.2,
        seed=0,
    )
    splits.write_splits(folder / "splits.json", folds, seed=0)
    fold = {s: k for k, one in enumerate(folds) for s in one.held_out}
    score = np.random.default_rng(0).uniform(5, 15, len(rows))
    network = [
        {name: row[name] for name in columns[:-1]}
        | {"fold": str(fold[row["subject"]]), "target": points[i]}
        | {"score": float(score[i])}
        | {"class": study.task.classes[int(study.task.true_class(score[i : i + 1])[0])]}
        for i, row in enumerate(rows)
    ]
    tables.write_predictions(folder / "predictions.csv", network, task=study.task)
    baselines.write(folder, study=study, folds=folds)
    return folder, study


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_each_classifier_sees_signs_in_the_phantoms_images(run_folder, name):
    folder, study = run_folder
    table = tables.read_predictions(folder / "models" / f"{name}.csv", task=study.task)
    assert len(table.subject) == 60
    assert macro_auc(table.probs, truth=study.task.true_class(table.target)) > 0.6


@pytest.mark.slow
def test_the_report_compares_each_with_the_network_on_the_same_rows(run_folder):
    folder, study = run_folder
    metrics = report.judge_run(folder, task=study.task)
    assert set(CLASSIFIERS) <= set(metrics["models"])
    for name in CLASSIFIERS:
        block = metrics["models"][name]
        tested = {n: m for n, m in block.items() if n.endswith("_difference")}
        assert tested["kendall_tau_difference"]["estimate"] < 0  # chance beside signs
        for metric in tested.values():
            assert metric["low"] < metric["high"]


@pytest.mark.slow
def test_a_second_start_measures_nothing_again(run_folder, monkeypatch):
    folder, study = run_folder
    before = (folder / "models" / "naive_bayes.csv").read_bytes()
    monkeypatch.setattr(baselines, "run_child", None)
    baselines.write(
        folder, study=study, folds=splits.read_splits(folder / "splits.json")
    )
    assert (folder / "models" / "naive_bayes.csv").read_bytes() == before
