from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import sklearn.calibration
import sklearn.linear_model
import sklearn.metrics

from liverjax.stats import calibration
from liverjax.stats.calibration_groups import calibration_bins, hosmer_lemeshow
from liverjax.stats.decision_curve import decision_curve
from liverjax.stats.regression import (
    SeparationError,
    logistic_regression,
    variance_inflation,
)
from liverjax.stats.resampling import subject_weights


def sample(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = scipy.special.expit(rng.normal(size=n))
    return p, rng.random(n) < p


def test_brier_and_log_loss_are_scikit_learns():
    p, positive = sample()
    both, truth = np.column_stack([1 - p, p]), positive.astype(int)
    brier = calibration.brier(p, positive=positive).estimate
    assert brier == pytest.approx(sklearn.metrics.brier_score_loss(truth, p))
    assert calibration.multiclass_brier(both, true_class=truth).estimate == (
        pytest.approx(2 * brier)
    )
    assert calibration.log_loss(both, true_class=truth).estimate == (
        pytest.approx(sklearn.metrics.log_loss(truth, p))
    )


def test_recalibration_undoes_a_known_distortion():
    """Log odds doubled and raised by 1: slope 1/2 of the undistorted slope."""
    p, positive = sample()
    plain = calibration.calibration_fit(p, positive=positive)
    bent = scipy.special.expit(2 * scipy.special.logit(p) + 1)
    fit = calibration.calibration_fit(bent, positive=positive)
    assert fit.slope.estimate == pytest.approx(plain.slope.estimate / 2)
    repaired = calibration.recalibrated(bent, fit=fit)
    again = calibration.calibration_fit(repaired, positive=positive)
    assert again.slope.estimate == pytest.approx(1)
    assert again.in_the_large.estimate == pytest.approx(0, abs=1e-9)


def test_perfect_separation_has_no_slope_and_no_penalty_makes_one_up():
    p = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    fit = calibration.calibration_fit(p, positive=p > 0.5)
    assert np.isnan([fit.slope.estimate, fit.intercept.estimate]).all()
    assert "no finite slope" in fit.slope.method
    assert np.isfinite(fit.in_the_large.estimate)


def test_probabilities_that_are_the_truth_have_no_finite_intercept():
    positive = np.arange(240) % 4 == 0
    fit = calibration.calibration_fit(positive.astype(float), positive=positive)
    assert np.isnan([fit.slope.estimate, fit.in_the_large.estimate]).all()
    assert "no finite intercept" in fit.in_the_large.method


def test_probabilities_of_0_and_1_are_clipped_and_counted():
    p, positive = sample()
    p = p.copy()
    p[:3] = [0, 1, 1]
    assert calibration.calibration_fit(p, positive=positive).clipped == 3


def test_what_is_no_probability_is_refused():
    positive = np.array([True, False])
    for wrong, message in ((np.nan, "NaN"), (1.2, "not in"), (-0.1, "not in")):
        with pytest.raises(ValueError, match=message):
            calibration.brier(np.array([0.5, wrong]), positive=positive)


def test_ties_merge_groups_of_hosmer_and_lemeshow():
    p = np.repeat([0.2, 0.4, 0.6, 0.8], 10)
    positive = np.arange(40) % 2 == 0
    found = hosmer_lemeshow(p, positive=positive, groups=10)
    assert (len(found.size), found.df) == (3, 1)
    external = hosmer_lemeshow(p, positive=positive, groups=10, external=True)
    assert external.df == 3
    with pytest.raises(ValueError, match="at least 3"):
        hosmer_lemeshow(np.repeat([0.2, 0.4], 20), positive=positive)


def test_bins_are_scikit_learns_and_carry_wilson_intervals():
    p, positive = sample()
    found = calibration_bins(p, positive=positive, bins=5)
    observed, predicted = sklearn.calibration.calibration_curve(
        positive, p, n_bins=5, strategy="quantile"
    )
    assert found.observed == pytest.approx(observed)
    assert found.predicted == pytest.approx(predicted)
    assert np.all((found.low < found.observed) & (found.observed < found.high))
    assert found.count.sum() == 300


def test_the_decision_curves_ends():
    """At threshold 0 all are treated; at 1 net benefit is undefined."""
    p, positive = sample()
    found = decision_curve(p, positive=positive, threshold=np.array([0, 0.5, 1]))
    assert found.net_benefit[0] == pytest.approx(positive.mean())
    assert np.isnan(found.avoided_per_100[0])
    assert np.isnan(found.net_benefit[2])
    called = p >= 0.5
    by_hand = np.mean(called & positive) - np.mean(called & ~positive)
    assert found.net_benefit[1] == pytest.approx(by_hand)


def test_net_benefit_gets_an_interval_from_resamples():
    p, positive = sample()
    weight = subject_weights(
        np.random.default_rng(0), subject=np.arange(300), resamples=300
    )
    found = decision_curve(
        p, positive=positive, threshold=np.array([0.3, 0.5]), weight=weight
    )
    assert np.all((found.low < found.net_benefit) & (found.net_benefit < found.high))


def test_logistic_regression_is_scikit_learns_without_penalty():
    rng = np.random.default_rng(0)
    x = rng.normal([50, 4], [10, 0.5], size=(200, 2))
    positive = rng.random(200) < scipy.special.expit((x[:, 0] - 50) / 10)
    found = logistic_regression(positive, columns={"age": x[:, 0], "alb": x[:, 1]})
    model = sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=5_000)
    model.fit((x - [50, 4]) / [10, 0.5], positive)
    assert found.coefficient[1:] == pytest.approx(model.coef_[0] / [10, 0.5], rel=1e-4)
    assert found.names == ("(Intercept)", "age", "alb")


def test_separation_and_collinearity_are_refused_by_name():
    x = np.arange(20.0)
    with pytest.raises(SeparationError, match="separate the classes perfectly"):
        logistic_regression(x > 9, columns={"x": x})
    with pytest.raises(ValueError, match="collinear or constant"):
        logistic_regression(x % 2 > 0, columns={"x": x, "y": 2 * x})
    with pytest.raises(ValueError, match="one class"):
        logistic_regression(x > 99, columns={"x": x})


def test_a_determined_column_has_infinite_inflation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    found = variance_inflation({"x": x, "y": y, "sum": x + y})
    assert list(found.values()) == [np.inf] * 3
    assert variance_inflation({"x": x}) == pytest.approx({"x": 1.0})
