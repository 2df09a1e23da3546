from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from liverjax.tabular.baselines import cross_predict, fit_linear


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    columns = rng.normal([1500, 250], [300, 80], (40, 2))
    return columns, columns @ [-0.002, 0.01] + rng.normal(8, 1, 40)


def test_least_squares_agrees_with_scikit_learn(table):
    columns, target = table
    ours = fit_linear(columns, target=target).predict(columns)
    theirs = LinearRegression().fit(columns, target).predict(columns)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_rows_with_a_missing_value_fit_nothing_and_are_not_predicted(table):
    columns, target = table
    broken = columns.copy()
    broken[0, 1] = np.nan
    model = fit_linear(broken, target=target)
    whole = fit_linear(columns[1:], target=target[1:])
    np.testing.assert_array_equal(model.weight, whole.weight)
    assert np.isnan(model.predict(broken)[0])


def test_a_held_out_row_does_not_move_its_own_prediction(table):
    columns, target = table
    fold = np.arange(40) % 4
    fitted_on = np.stack([fold != k for k in range(4)])
    before = cross_predict(columns, target=target, fitted_on=fitted_on, fold=fold)
    changed = target.copy()
    changed[7] += 100
    after = cross_predict(columns, target=changed, fitted_on=fitted_on, fold=fold)
    assert after[7] == before[7]
    assert (after[fold != 3] != before[fold != 3]).all()


def test_rows_of_other_sets_get_the_mean_of_all_folds(table):
    columns, target = table
    fold = np.where(np.arange(40) < 36, np.arange(40) % 2, -1)
    fitted_on = np.stack([(fold != k) & (fold >= 0) for k in range(2)])
    found = cross_predict(columns, target=target, fitted_on=fitted_on, fold=fold)
    one, two = (
        fit_linear(columns[r], target=target[r]).predict(columns) for r in fitted_on
    )
    np.testing.assert_allclose(found[36:], (one + two)[36:] / 2)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="3 whole rows cannot fit 2 columns"):
        fit_linear(np.eye(3)[:, :2], target=np.arange(3.0))
