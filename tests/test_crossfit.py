"""Who teaches a fold's models, who is predicted by them, and what is written."""

from __future__ import annotations

import numpy as np
import pytest

from liverjax import crossfit
from liverjax.cohort.splits import Fold
from liverjax.report.tables import read_predictions
from liverjax.tasks import ChildPugh, Outcome


def rows_of(names, *, external=()):
    return [
        {"subject": name, "visit": "1", "set": "train", "site": "", "child_pugh": "7"}
        | ({"set": "test"} if name in external else {})
        for name in names
    ]


ROWS = rows_of("abcdef", external="f")
FOLDS = (Fold(("a",), ("b",), ("c", "d")), Fold(("c", "d"), ("a",), ("b",)))


def test_rows_are_mapped_to_train_select_fold_and_judged():
    groups = crossfit.fold_rows(ROWS, folds=FOLDS)
    assert groups.train.astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]]
    assert groups.select.astype(int).tolist() == [[0, 1, 0, 0, 0, 0], [1] + [0] * 5]
    assert groups.fold.tolist() == [-1, 1, 0, 0, -1, -1]
    assert groups.judged.tolist() == [False, True, True, True, False, True]
    assert groups.used.tolist() == [True, True, True, True, False, True]


def test_no_fold_learns_from_whom_it_holds_out_even_where_it_selects_on_them():
    folds = (Fold(("a", "b"), ("c", "d"), ("c", "d")),)
    groups = crossfit.fold_rows(ROWS, folds=folds)
    assert groups.train[0].astype(int).tolist() == [1, 1, 0, 0, 0, 0]
    assert not groups.select.any()


def test_a_split_that_holds_nobody_out_judges_other_sets_alone():
    groups = crossfit.fold_rows(ROWS, folds=(Fold(("a", "b", "c"), ("d", "e"), ()),))
    assert groups.fold.tolist() == [-1] * 6
    assert groups.judged.tolist() == [False] * 5 + [True]
    assert groups.used.all()


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_a_held_out_row_has_its_folds_prediction_and_any_other_the_mean(shape):
    def predict(*, train, select):
        return np.full(shape, float(train.sum() + 10 * select.sum()))

    groups = crossfit.fold_rows(ROWS, folds=FOLDS)
    found = crossfit.cross_predict(predict, groups=groups)
    assert found.shape == shape
    expected = [11.5, 12, 11, 11, 11.5, 11.5]
    np.testing.assert_array_equal(found.reshape(6, -1)[:, 0], expected)


def test_judged_rows_with_a_score_are_written(tmp_path):
    groups = crossfit.fold_rows(ROWS, folds=FOLDS)
    score = np.array([5.0, 6.0, np.nan, 8.0, 9.0, 10.0])
    crossfit.write_model(
        tmp_path / "one.csv",
        rows=ROWS,
        groups=groups,
        task=ChildPugh(),
        outcome=Outcome(score),
        classes=np.array([0, 0, 1, 1, 1, 2]),
    )
    table = read_predictions(tmp_path / "one.csv", task=ChildPugh())
    assert table.subject.tolist() == ["b", "d", "f"]
    assert table.fold.tolist() == ["1", "0", ""]
    assert table.members.tolist() == [1, 1, 2]
    assert table.score.tolist() == [6, 8, 10]
    assert table.predicted_class.tolist() == [0, 1, 2]
