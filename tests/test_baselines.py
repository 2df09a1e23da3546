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


def column_run(folder, **more):
    """The folds of a run folder of 40 patients whose liver volume knows the score."""
    rows = 40
    rng = np.random.default_rng(4)
    points = rng.integers(5, 16, rows)
    columns = {
        "subject": [f"S{i:02d}" for i in range(rows)],
        "visit": ["1"] * rows,
        "set": ["train"] * rows,
        "site": [""] * rows,
        "child_pugh": points.tolist(),
        "liver_volume_ml": (1800 - 60 * points + rng.normal(0, 100, rows)).tolist(),
    } | more
    table = [{name: cells[i] for name, cells in columns.items()} for i in range(rows)]
    files.write_csv(folder / "examinations.csv", table, columns=list(columns))
    return splits.make_folds(
        dict.fromkeys(columns["subject"], 0), folds=4, select_fraction=0.25, seed=0
    )


def test_a_held_out_label_does_not_move_its_own_prediction(tmp_path):
    """Also where the network's epoch is picked on whom the fold holds out."""
    folds = tuple(
        splits.Fold(f.train + f.select, f.held_out, f.held_out)
        for f in column_run(tmp_path)
    )
    found = []
    for change in (0, 4):
        _, rows = files.read_csv(tmp_path / "examinations.csv")
        (row,) = [r for r in rows if r["subject"] == folds[2].held_out[0]]
        row["child_pugh"] = str(6 + change)
        files.write_csv(tmp_path / "examinations.csv", rows, columns=list(row))
        baselines.write_columns(tmp_path, study=a_study(), folds=folds)
        path = tmp_path / "models" / "liver_volume.csv"
        found.append(tables.read_predictions(path, task=a_study().task))
    own = found[0].fold == "2"
    np.testing.assert_array_equal(found[1].score[own], found[0].score[own])
    assert (found[1].score[~own] != found[0].score[~own]).all()


def test_labs_stand_beside_a_network_but_not_the_labels_own_items(tmp_path, caplog):
    labs = {
        "age_years": [60] * 40,
        "ast_u_per_l": [80 + i for i in range(40)],
        "alt_u_per_l": [64] * 39 + [""],
        "platelets_10e9_per_l": [100 + 3 * i for i in range(40)],
        "ascites_points": [1 + i % 3 for i in range(40)],
        "bilirubin_umol_per_l": [20 + i for i in range(40)],
        "albumin_g_per_l": [35] * 40,
    }
    folds = column_run(tmp_path, **labs)
    with caplog.at_level("INFO"):
        baselines.write_columns(tmp_path, study=a_study(), folds=folds)
    written = {path.stem for path in (tmp_path / "models").iterdir()}
    assert written == {"APRI", "FIB-4", "ascites_alone", "liver_volume", "platelets"}
    assert (
        "no baseline ALBI: child_pugh is made of bilirubin_umol_per_l, albumin_g_per_l"
    ) in caplog.text
    score = tables.read_predictions(
        tmp_path / "models" / "FIB-4.csv", task=a_study().task
    )
    assert len(score.subject) == 39  # the patient without ALT has no FIB-4


def test_labs_in_another_unit_are_no_baseline_and_say_so(tmp_path, caplog):
    folds = column_run(tmp_path, platelets_10e9_per_l=[150_000] * 40)
    baselines.write_columns(tmp_path, study=a_study(), folds=folds)
    assert not (tmp_path / "models" / "platelets.csv").exists()
    assert "no baseline platelets" in caplog.text
    assert "divide by 1000" in caplog.text


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
