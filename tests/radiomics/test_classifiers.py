from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif

from liverjax import crossfit
from liverjax.cohort import files, splits
from liverjax.errors import InputError
from liverjax.radiomics import classify
from liverjax.radiomics.classifiers import (
    CLASSIFIERS,
    UncorrelatedColumns,
    macro_auc,
    predict_fold,
)
from liverjax.report.tables import read_predictions
from liverjax.tasks import ChildPugh


def folds_of(truth, *, seed=0):
    names = {f"S{i:03d}": int(c) for i, c in enumerate(truth)}
    made = splits.make_folds(names, folds=5, select_fraction=0.2, seed=seed)
    rows = [{"subject": name, "set": "train"} for name in names]
    return made, crossfit.fold_rows(rows, folds=made)


def predicted(columns, *, groups, **options):
    return crossfit.cross_predict(
        functools.partial(predict_fold, columns, **options), groups=groups
    )


def null_area(rng, name, *, width, selected=None, keep=(10,)):
    truth = rng.permutation(np.arange(60) % 2)
    columns = rng.normal(size=(60, width))
    if selected:
        columns = SelectKBest(f_classif, k=selected).fit_transform(columns, truth)
    _, groups = folds_of(truth, seed=int(rng.integers(1 << 30)))
    probs = predicted(
        columns, groups=groups, truth=truth, name=name, num_classes=2, keep=keep
    )
    # Within folds: classes' shares differ between folds, which pooling would punish.
    areas = [
        macro_auc(probs[groups.fold == k], truth=truth[groups.fold == k])
        for k in range(5)
    ]
    return float(np.mean(areas))


def test_selection_outside_the_fold_finds_signs_in_noise():
    rng = np.random.default_rng(3)
    outside = [null_area(rng, "naive_bayes", width=500, selected=10) for _ in range(10)]
    inside = [null_area(rng, "naive_bayes", width=500) for _ in range(15)]
    assert np.mean(outside) > 0.65
    assert abs(np.mean(inside) - 0.5) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_null_labels_give_an_area_of_a_half(name, monkeypatch):
    """Also where a fold's ``select`` subjects choose between two candidates.

    A forest of 15 trees instead of 100 knows as little, sooner.
    """
    monkeypatch.setitem(
        CLASSIFIERS,
        "random_forest",
        lambda seed: RandomForestClassifier(15, min_samples_leaf=2, random_state=seed),
    )
    rng = np.random.default_rng(11)
    areas = [null_area(rng, name, width=20, keep=(2, 8)) for _ in range(50)]
    assert 0.47 <= np.mean(areas) <= 0.53


def test_correlated_and_constant_columns_are_dropped():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 200))
    columns = np.stack([one, np.ones(200), one * 3 + 0.01 * two, two], axis=1)
    assert UncorrelatedColumns().fit(columns).kept_.tolist() == [0, 3]


def test_a_held_out_row_changes_nothing_that_is_fitted():
    rng = np.random.default_rng(1)
    truth = np.arange(60) % 2
    columns = rng.normal(size=(60, 30))
    _, groups = folds_of(truth)
    changed = columns.copy()
    held_out = groups.fold == 0
    changed[np.flatnonzero(held_out)[0]] = 1e6
    one, two = (
        predicted(
            values,
            groups=groups,
            truth=truth,
            name="logistic_regression",
            num_classes=2,
        )
        for values in (columns, changed)
    )
    rest = np.flatnonzero(held_out)[1:]
    np.testing.assert_array_equal(one[rest], two[rest])


def write_study(folder, *, rng, subjects=60, channels=("native", "venous")):
    """A cohort's table, splits and features of which two know the score."""
    points = rng.integers(5, 16, subjects)
    made, _ = folds_of(ChildPugh().true_class(points))
    splits.write_splits(folder / "run" / "splits.json", made, seed=0)
    rows = [
        {"subject": f"S{i:03d}", "visit": 1, "set": "train", "site": ""}
        | {"child_pugh": int(value)}
        for i, value in enumerate(points)
    ]
    files.write_csv(folder / "cohort" / "examinations.csv", rows, columns=list(rows[0]))
    return [
        {"subject": row["subject"], "visit": 1, "channel": channel, "status": "ok"}
        | {
            f"f{k}": float(row["child_pugh"] * (k < 2) + rng.normal(0, 2))
            for k in range(6)
        }
        for row in rows
        for channel in channels
    ]


def classified(folder, signs, *more):
    columns = dict.fromkeys(name for row in signs for name in row)
    files.write_csv(folder / "features.csv", signs, columns=list(columns))
    words = [f"--features={folder / 'features.csv'}", f"--cohort={folder / 'cohort'}"]
    status = classify.main(
        [*words, "--task=child_pugh", f"--out={folder / 'run'}", *more]
    )
    assert status == 0
    return {
        path.stem: read_predictions(path, task=ChildPugh())
        for path in (folder / "run" / "models").iterdir()
    }


def test_seven_tables_that_the_report_reads(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(5))
    tables = classified(tmp_path, signs)
    assert sorted(tables) == sorted(CLASSIFIERS)
    for table in tables.values():
        truth = ChildPugh().true_class(table.target)
        assert macro_auc(table.probs, truth=truth) > 0.6
        np.testing.assert_allclose(table.score, table.probs @ np.arange(3))


@pytest.fixture
def one_classifier(monkeypatch):
    only = {"naive_bayes": CLASSIFIERS["naive_bayes"]}
    monkeypatch.setattr(classify, "CLASSIFIERS", only)


def test_who_is_held_out_teaches_nothing_where_the_split_selects_on_them(
    tmp_path, one_classifier
):
    signs = write_study(tmp_path, rng=np.random.default_rng(5), channels=("venous",))
    path, table = tmp_path / "run" / "splits.json", tmp_path / "cohort/examinations.csv"
    folds = [
        splits.Fold(f.train + f.select, f.held_out, f.held_out)
        for f in splits.read_splits(path)
    ]
    splits.write_splits(path, folds, seed=0)
    (before,) = classified(tmp_path, signs).values()
    header, rows = files.read_csv(table)
    who = set(folds[0].held_out)
    changed = [
        row | {"child_pugh": str(20 - int(row["child_pugh"]))}
        if row["subject"] in who
        else row
        for row in rows
    ]
    files.write_csv(table, changed, columns=header)
    (after,) = classified(tmp_path, signs).values()
    own = before.fold == "0"
    np.testing.assert_array_equal(after.probs[own], before.probs[own])
    assert (after.probs[~own] != before.probs[~own]).any()


@pytest.mark.parametrize("held_out", [20, 0])
def test_a_fixed_split_is_learnt_from_and_other_sets_are_predicted(
    tmp_path, one_classifier, held_out
):
    signs = write_study(tmp_path, rng=np.random.default_rng(5), channels=("venous",))
    header, rows = files.read_csv(tmp_path / "cohort" / "examinations.csv")
    rows = [row | {"set": "external"} for row in rows[:10]] + rows[10:]
    files.write_csv(tmp_path / "cohort" / "examinations.csv", rows, columns=header)
    names = [row["subject"] for row in rows]
    fold = splits.Fold(
        tuple(names[10 : 50 - held_out]),
        tuple(names[50:]),
        tuple(names[50 - held_out : 50]),
    )
    splits.write_splits(tmp_path / "run" / "splits.json", [fold], seed=0)
    (table,) = classified(tmp_path, signs).values()
    judged = names[:10] + names[50 - held_out : 50]
    assert sorted(table.subject) == sorted(judged)
    assert macro_auc(table.probs, truth=ChildPugh().true_class(table.target)) > 0.6


def test_features_that_do_not_repeat_are_not_learnt_from(
    tmp_path, one_classifier, caplog
):
    caplog.set_level("INFO")
    rng = np.random.default_rng(6)
    signs = write_study(tmp_path, rng=rng, channels=("venous",))
    shaken = [
        row
        | {"repeat": repeat}
        | {f"f{k}": row[f"f{k}"] + 0.1 * rng.normal() for k in range(6)}
        | {f"f{k}": rng.normal() for k in range(2) if repeat}
        for row in signs
        for repeat in range(3)
    ]
    (known,) = classified(tmp_path, signs).values()
    (blind,) = classified(tmp_path, shaken).values()
    assert "4 to 4 of 6 features reach an ICC of 0.75, by fold" in caplog.text
    (loose,) = classified(tmp_path, shaken, "--min-icc=-1").values()
    truth = ChildPugh().true_class(known.target)
    areas = [macro_auc(table.probs, truth=truth) for table in (known, blind, loose)]
    assert areas[0] > 0.7 > 0.6 > areas[1]
    assert areas[2] == pytest.approx(areas[0], abs=0.05)


def test_a_failed_examination_is_left_out_and_named(tmp_path, one_classifier, caplog):
    signs = write_study(tmp_path, rng=np.random.default_rng(7), channels=("venous",))
    lost = {"subject": "S003", "visit": 1, "channel": "venous"}
    signs[3] = lost | {"status": "failed", "reason": "the mask is empty"}
    (table,) = classified(tmp_path, signs).values()
    assert len(table.subject) == 59
    assert "leaves out 1 failed examinations: ['S003/1']" in caplog.text


def test_an_examination_without_a_row_is_an_error(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(8), channels=("venous",))
    with pytest.raises(InputError, match="no features of 1 examinations"):
        classified(tmp_path, signs[1:])


def test_the_cohorts_own_columns_are_no_features(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(9), channels=("venous",))
    leaking = [row | {"child_pugh": 7} for row in signs]
    with pytest.raises(InputError, match=r"\['child_pugh'\] are columns of the cohort"):
        classified(tmp_path, leaking)


def test_an_examination_that_stands_there_twice_is_an_error(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(9), channels=("venous",))
    with pytest.raises(InputError, match="line 62: S000 stands there twice"):
        classified(tmp_path, [*signs, signs[0]])


def test_a_cell_that_is_no_number_is_named_with_its_column(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(9), channels=("venous",))
    signs[4]["f2"] = "NA"
    with pytest.raises(InputError, match="line 6, column f2: 'NA' is no number; leave"):
        classified(tmp_path, signs)


def test_a_folder_without_splits_is_answered_with_what_out_must_be(tmp_path):
    signs = write_study(tmp_path, rng=np.random.default_rng(9), channels=("venous",))
    (tmp_path / "run" / "splits.json").unlink()
    with pytest.raises(InputError, match="--out is the folder of a run"):
        classified(tmp_path, signs)


def test_an_impossible_correlation_is_refused(tmp_path):
    with pytest.raises(InputError, match="--min-icc 75: expected -1 to 1"):
        classified(tmp_path, [{"subject": "S0", "f": 1.0}], "--min-icc=75")
