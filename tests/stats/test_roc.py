from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from liverjax.stats import roc, roc_curve, roc_multiclass, roc_tests
from liverjax.stats.resampling import index_weights, subject_weights


def sample(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    positive = rng.random(n) < 0.4
    return np.round(rng.normal(size=n) + positive, 1), positive


def test_the_area_is_scikit_learns():
    score, positive = sample()
    found = roc.auc(score, positive=positive)
    assert found.estimate == pytest.approx(
        sklearn.metrics.roc_auc_score(positive, score), abs=1e-12
    )
    assert (found.n, found.positives) == (60, positive.sum())


def test_the_direction_is_never_flipped():
    score, positive = sample()
    right = roc.auc(score, positive=positive).estimate
    assert roc.auc(-score, positive=positive).estimate == pytest.approx(1 - right)


def test_perfect_separation_gets_an_exact_interval_and_says_so():
    """Of 3 and 5 rows the smaller class: Clopper-Pearson of 3 of 3."""
    score = np.arange(8.0)
    found = roc.auc(score, positive=score > 4)
    assert (found.estimate, found.se, found.degenerate) == (1.0, 0.0, True)
    assert found.low == pytest.approx(0.025 ** (1 / 3))
    assert found.high == 1.0
    assert "3 rows of the smaller class" in found.method
    assert (found.wald_low, found.wald_high) == (1.0, 1.0)


def test_one_class_and_missing_scores_are_refused():
    score = np.arange(4.0)
    with pytest.raises(ValueError, match="no negative row among 4"):
        roc.auc(score, positive=np.ones(4, bool))
    with pytest.raises(ValueError, match="no positive row"):
        roc_curve.roc_curve(score, positive=np.zeros(4, bool))
    with pytest.raises(ValueError, match="NaN"):
        roc.auc(np.array([0.1, np.nan]), positive=np.array([True, False]))


def test_a_class_of_one_row_has_an_area_but_no_interval():
    found = roc.auc(np.array([1.0, 3.0, 2.0]), positive=np.array([False, False, True]))
    assert found.estimate == 0.5
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_intervals_by_name_and_unknown_names():
    score, positive = sample()
    found = {
        method: roc.auc(score, positive=positive, method=method)
        for method in ("delong", "logit", "hanley_mcneil", "exact_binomial")
    }
    for one in found.values():
        assert 0 < one.low < one.estimate < one.high < 1
    with pytest.raises(ValueError, match="expected one of"):
        roc.auc(score, positive=positive, method="normal")
    with pytest.raises(ValueError, match="needs `weight`"):
        roc.auc(score, positive=positive, method="bootstrap")


def test_a_resample_is_the_area_of_its_rows():
    score, positive = sample()
    rng = np.random.default_rng(1)
    index = rng.integers(60, size=(20, 60))
    weight = index_weights(index, n=60)
    draws = roc.resampled_auc(score, positive=positive, weight=weight)
    direct = [sklearn.metrics.roc_auc_score(positive[i], score[i]) for i in index]
    assert draws == pytest.approx(direct, abs=1e-12)


def test_a_resample_without_a_class_is_undefined():
    score, positive = np.array([1.0, 2.0]), np.array([False, True])
    draws = roc.resampled_auc(
        score, positive=positive, weight=np.array([[2, 0], [1, 1]])
    )
    assert np.isnan(draws[0])
    assert draws[1] == 1


def test_clustered_variance_is_delongs_for_one_row_a_subject():
    score, positive = sample()
    plain = roc.auc(score, positive=positive)
    clustered = roc.auc(score, positive=positive, subject=np.arange(60))
    assert clustered.se == pytest.approx(plain.se, rel=1e-12)


def test_rows_twice_widen_nothing_when_clustered():
    """Each subject twice: the same information, which the plain variance doubles."""
    score, positive = sample(400)
    twice = np.repeat(np.arange(400), 2)
    once = roc.auc(score, positive=positive)
    clustered = roc.auc(score[twice], positive=positive[twice], subject=twice)
    naive = roc.auc(score[twice], positive=positive[twice])
    assert clustered.se == pytest.approx(once.se, rel=0.01)
    assert naive.se == pytest.approx(once.se / np.sqrt(2), rel=0.01)


def test_bootstraps_of_subjects_and_clustered_delong_agree():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(150), 2)
    positive = subject < 60
    score = rng.normal(size=150)[subject] + 0.5 * rng.normal(size=300) + positive
    weight = subject_weights(rng, subject=subject, stratum=positive, resamples=2_000)
    draws = roc.resampled_auc(score, positive=positive, weight=weight)
    clustered = roc.auc(score, positive=positive, subject=subject)
    assert draws.std() == pytest.approx(clustered.se, rel=0.1)


def test_identical_scores_are_equal_and_a_difference_without_variance_has_no_p():
    score, positive = sample()
    same = roc_tests.compare_paired(score, other=score, positive=positive)
    assert (same.estimate, same.z, same.p) == (0.0, 0.0, 1.0)
    perfect, constant = positive.astype(float), np.zeros(60)
    unlike = roc_tests.compare_paired(perfect, other=constant, positive=positive)
    assert unlike.estimate == 0.5
    assert np.isnan(unlike.p)


def test_several_best_cut_offs_are_all_told():
    score, positive = np.arange(1.0, 7), np.array([0, 0, 1, 0, 1, 1]) > 0
    found = roc_curve.youden_cutoff(score, positive=positive)
    assert list(found.midpoints) == [2.5, 4.5]
    assert list(found.observed) == [3, 5]
    assert found.threshold == 2.5
    observed = roc_curve.youden_cutoff(score, positive=positive, rule="observed")
    assert observed.threshold == 3


def test_the_macro_curves_area_is_not_the_mean_area():
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 4
    probability = rng.dirichlet(np.ones(4), size=40) + 0.3 * np.eye(4)[truth]
    found = roc_multiclass.multiclass_auc(probability, true_class=truth)
    curve = roc_multiclass.macro_curve(probability, true_class=truth)
    assert roc_multiclass.area_under(curve) > found.macro
    with pytest.raises(ValueError, match="every class of"):
        roc_multiclass.multiclass_auc(probability, true_class=truth % 3)
