from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from liverjax.tabular.baselines import fit_linear, predict_fold


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


def test_a_folds_line_is_fitted_on_train_and_select(table):
    columns, target = table
    train, select = np.arange(40) < 20, np.arange(40) >= 30
    found = predict_fold(columns, target=target, train=train, select=select)
    rows = train | select
    whole = fit_linear(columns[rows], target=target[rows]).predict(columns)
    np.testing.assert_array_equal(found, whole)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="3 whole rows cannot fit 2 columns"):
        fit_linear(np.eye(3)[:, :2], target=np.arange(3.0))
