from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest, f_classif

from liverjax.cohort import files, splits
from liverjax.radiomics import classify
from liverjax.radiomics.classifiers import (
    CLASSIFIERS,
    UncorrelatedColumns,
    cross_predict,
    macro_auc,
)
from liverjax.report.tables import read_predictions
from liverjax.tasks import ChildPugh


def folds_of(truth, *, seed=0):
    names = {f"S{i:03d}": int(c) for i, c in enumerate(truth)}
    made = splits.make_folds(names, folds=5, select_fraction=0.2, seed=seed)
    rows = np.array(list(names))
    fold = np.full(len(rows), -1)
    for number, one in enumerate(made):
        fold[np.isin(rows, one.held_out)] = number
    return made, {
        "train": np.array([np.isin(rows, one.train) for one in made]),
        "select": np.array([np.isin(rows, one.select) for one in made]),
        "fold": fold,
    }


def null_area(rng, name, *, width, selected=None, keep=(10,)):
    truth = rng.permutation(np.arange(60) % 2)
    columns = rng.normal(size=(60, width))
    if selected:
        columns = SelectKBest(f_classif, k=selected).fit_transform(columns, truth)
    _, groups = folds_of(truth, seed=int(rng.integers(1 << 30)))
    probs = cross_predict(
        columns, truth=truth, name=name, num_classes=2, keep=keep, **groups
    )
    # Within folds: classes' shares differ between folds, which pooling would punish.
    areas = [
        macro_auc(probs[groups["fold"] == k], truth=truth[groups["fold"] == k])
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
def test_null_labels_give_an_area_of_a_half(name):
    rng = np.random.default_rng(11)
    areas = [null_area(rng, name, width=20, keep=(5,)) for _ in range(50)]
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
    held_out = groups["fold"] == 0
    changed[np.flatnonzero(held_out)[0]] = 1e6
    one, two = (
        cross_predict(
            values,
            truth=truth,
            name="logistic_regression",
            num_classes=2,
            **groups,
        )
        for values in (columns, changed)
    )
    rest = np.flatnonzero(held_out)[1:]
    np.testing.assert_array_equal(one[rest], two[rest])


def test_seven_tables_that_the_report_reads(tmp_path):
    rng = np.random.default_rng(5)
    points = rng.integers(5, 16, 60)
    task = ChildPugh()
    made, _ = folds_of(task.true_class(points))
    run, cohort = tmp_path / "run", tmp_path / "cohort"
    splits.write_splits(run / "splits.json", made, seed=0)
    rows = [
        {"subject": f"S{i:03d}", "visit": 1, "set": "train", "site": ""}
        | {"child_pugh": int(value)}
        for i, value in enumerate(points)
    ]
    files.write_csv(cohort / "examinations.csv", rows, columns=list(rows[0]))
    signs = [
        {"subject": row["subject"], "visit": 1, "channel": channel}
        | {
            f"f{k}": float(row["child_pugh"] * (k < 2) + rng.normal(0, 2))
            for k in range(6)
        }
        for row in rows
        for channel in ("native", "venous")
    ]
    files.write_csv(tmp_path / "features.csv", signs, columns=list(signs[0]))
    status = classify.main(
        [
            f"--features={tmp_path / 'features.csv'}",
            f"--cohort={cohort}",
            "--task=child_pugh",
            f"--out={run}",
        ]
    )
    assert status == 0
    written = sorted(path.stem for path in (run / "models").iterdir())
    assert written == sorted(CLASSIFIERS)
    for name in written:
        table = read_predictions(run / "models" / f"{name}.csv", task=task)
        truth = task.true_class(table.target)
        assert macro_auc(table.probs, truth=truth) > 0.6
        np.testing.assert_allclose(table.score, table.probs @ np.arange(3))
