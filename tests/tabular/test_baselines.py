from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from liverjax.tabular.baselines import (
    BASELINES,
    circular_columns,
    fit_linear,
    needed_columns,
    predict_fold,
    read_columns,
)
from liverjax.tabular.units import ImplausibleValueError
from liverjax.tasks import ChildPugh


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


def test_scores_are_computed_from_the_cohorts_columns():
    labs = {
        "age_years": np.array([60.0, 50.0]),
        "ast_u_per_l": np.array([80.0, np.nan]),
        "alt_u_per_l": np.array([64.0, 30.0]),
        "platelets_10e9_per_l": np.array([100.0, 200.0]),
    }
    found = read_columns("FIB-4", table=labs)
    np.testing.assert_allclose(found, [[60 * 80 / (100 * 8)], [np.nan]])
    assert read_columns("APRI", table=labs)[0, 0] == pytest.approx(2.0)
    limit = {"ast_uln_u_per_l": np.array([50.0, 50.0])}
    assert read_columns("APRI", table=labs | limit)[0, 0] == pytest.approx(1.6)
    np.testing.assert_array_equal(
        read_columns("platelets", table=labs)[:, 0], labs["platelets_10e9_per_l"]
    )


def test_platelets_in_another_unit_are_refused():
    with pytest.raises(ImplausibleValueError, match="divide by 1000"):
        read_columns("platelets", table={"platelets_10e9_per_l": np.array([150e3])})


def test_what_the_label_is_made_of_is_no_baseline_but_ascites_which_images_show():
    circular = {
        name: circular_columns(needed_columns(name), label_items=ChildPugh.label_items)
        for name in BASELINES
    }
    assert circular.pop("ALBI") == ["bilirubin_umol_per_l", "albumin_g_per_l"]
    assert set(map(tuple, circular.values())) == {()}
    assert "ascites_points" in ChildPugh.label_items
    assert needed_columns("ascites alone") == ("ascites_points",)
    assert circular_columns(needed_columns("ALBI"), label_items=()) == []
