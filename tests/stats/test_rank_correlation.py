from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from liverjax.stats.rank_correlation import (
    concordance_pairs,
    kendall_tau,
    kendall_tau_within_folds,
    resampled_tau,
)
from liverjax.stats.resampling import subject_weights


def cohort(seed: int, n: int = 60, folds: int = 5):
    rng = np.random.default_rng(seed)
    target = rng.integers(5, 16, n).astype(float)
    return rng, target + rng.normal(0, 4, n), target, np.arange(n) % folds


def test_pairs_by_hand():
    # pairs: (1,1)-(2,1) tied y, (1,1)-(2,3) C, (1,1)-(3,2) C, (2,1)-(2,3) tied x,
    # (2,1)-(3,2) C, (2,3)-(3,2) D
    found = concordance_pairs(np.array([1, 2, 2, 3]), y=np.array([1, 1, 3, 2]))
    counts = (found.concordant, found.discordant, found.tied_x, found.tied_y)
    assert counts == (3, 1, 1, 1)
    assert (found.tied_xy, found.pairs) == (0, 6)
    assert found.tau_b == pytest.approx((3 - 1) / np.sqrt(5 * 5))


def test_pairs_of_blocks_add_up(monkeypatch):
    _, score, target, fold = cohort(0, n=50)
    whole = concordance_pairs(score, y=target, group=fold)
    monkeypatch.setattr("liverjax.stats.rank_correlation._BLOCK", 3)
    assert concordance_pairs(score, y=target, group=fold) == whole


def test_tau_and_p_are_scipys():
    _, score, target, _ = cohort(1)
    for variant in "bc":
        found = kendall_tau(score, y=target, variant=variant)
        known = scipy.stats.kendalltau(score, target, variant=variant)
        assert found.estimate == pytest.approx(known.statistic, abs=1e-14)
        assert found.p == pytest.approx(known.pvalue, rel=1e-12)


def test_tau_depends_on_order_alone():
    _, score, target, _ = cohort(2)
    assert (
        kendall_tau(np.exp(score), y=target).estimate
        == kendall_tau(score, y=target).estimate
    )


def test_constant_scores_have_no_tau():
    found = kendall_tau(np.ones(4), y=np.arange(4))
    assert np.isnan([found.estimate, found.p]).all()
    within = kendall_tau_within_folds(
        np.random.default_rng(0), np.ones(4), target=np.arange(4), fold=np.zeros(4)
    )
    assert np.isnan([within.estimate, within.p]).all()


def test_one_row_has_no_tau():
    found = kendall_tau(np.ones(1), y=np.ones(1))
    assert np.isnan([found.estimate, found.p]).all()


def test_nan_and_the_exact_law_with_ties_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        kendall_tau(np.array([1.0, np.nan]), y=np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="without ties"):
        kendall_tau(np.array([1, 1, 2]), y=np.array([1, 2, 3]), method="exact")


def test_the_within_fold_tau_counts_pairs_of_one_fold_only():
    # Fold 0: one C. Fold 1: one D, one tied in y, one C.
    score = np.array([1.0, 2.0, 9.0, 8.0, 7.0])
    target = np.array([5, 6, 5, 6, 5])
    fold = np.array([0, 0, 1, 1, 1])
    found = kendall_tau_within_folds(
        np.random.default_rng(0), score, target=target, fold=fold, permutations=99
    )
    assert (found.concordant, found.discordant) == (2, 1)
    assert (found.pairs, found.tied_x, found.tied_y) == (4, 0, 1)
    assert found.estimate == pytest.approx((2 - 1) / np.sqrt((4 - 0) * (4 - 1)))
    assert found.folds == 2


def test_the_within_fold_tau_of_one_fold_is_the_pooled_one():
    rng, score, target, _ = cohort(3)
    found = kendall_tau_within_folds(
        rng, score, target=target, fold=np.zeros(60), permutations=9
    )
    assert found.estimate == kendall_tau(score, y=target).estimate


def test_the_within_fold_tau_does_not_see_how_folds_differ():
    _, score, target, fold = cohort(4)
    plain, shifted = (
        kendall_tau_within_folds(
            np.random.default_rng(7), values, target=target, fold=fold
        )
        for values in (score, score + 100.0 * fold)
    )
    assert shifted == plain
    assert plain.p == 1 / 10_000  # no permutation reaches it


def test_p_is_the_share_of_permutations_at_or_above():
    score = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    target = np.array([5, 6, 6, 7, 9])
    excess = [
        sum(
            np.sign((score[i] - score[j]) * (order[i] - order[j]))
            for i, j in itertools.combinations(range(5), 2)
        )
        for order in itertools.permutations(target)
    ]
    exact = np.mean(np.array(excess) >= excess[0])
    found = kendall_tau_within_folds(
        np.random.default_rng(0), score, target=target, fold=np.zeros(5)
    )
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000))


def test_ties_in_the_score_count_neither_way_in_a_permutation():
    score = np.array([1.0, 1.0, 2.0, 2.0])
    target = np.array([5, 6, 7, 8])  # C - D = 4; of 24 orders 4 reach it
    found = kendall_tau_within_folds(
        np.random.default_rng(0), score, target=target, fold=np.zeros(4)
    )
    assert found.p == pytest.approx(4 / 24, abs=0.015)


def test_a_weight_is_a_number_of_copies():
    _, score, target, _ = cohort(5, n=12)
    weight = subject_weights(
        np.random.default_rng(0), subject=np.arange(12), resamples=5
    )
    drawn = resampled_tau(score, y=target, weight=weight)
    for row, tau in zip(weight, drawn, strict=True):
        copied = kendall_tau(np.repeat(score, row), y=np.repeat(target, row))
        assert tau == pytest.approx(copied.estimate, abs=1e-6)


def test_the_interval_lies_around_the_estimate():
    rng, score, target, fold = cohort(6)
    weight = subject_weights(rng, subject=np.arange(60), stratum=fold)
    pooled = kendall_tau(score, y=target, weight=weight)
    within = kendall_tau_within_folds(
        rng, score, target=target, fold=fold, weight=weight
    )
    for found in (pooled, within):
        assert found.low < found.estimate < found.high
        assert 0.1 < found.high - found.low < 0.6


def test_within_fold_p_is_uniform_where_the_pooled_tau_is_biased():
    """Networks that predict their training mean: nothing is learned, folds differ."""
    rng = np.random.default_rng(11)
    fold = np.arange(60) % 10
    p, pooled = [], []
    for _ in range(400):
        target = rng.integers(5, 16, 60).astype(float)
        held_out = np.array([target[fold == k].mean() for k in range(10)])
        training_mean = (target.sum() - 6 * held_out[fold]) / 54
        score = training_mean + rng.normal(0, 0.05, 60)
        pooled.append(kendall_tau(score, y=target).estimate)
        found = kendall_tau_within_folds(
            rng, score, target=target, fold=fold, permutations=199
        )
        p.append(found.p)
    assert np.mean(pooled) < -0.1
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.085


def test_nine_in_ten_intervals_hold_the_true_tau():
    """Normal pairs with correlation r have tau 2/pi arcsin(r)."""
    rng = np.random.default_rng(12)
    correlation, held = 0.6, 0
    true_tau = 2 / np.pi * np.arcsin(correlation)
    for _ in range(150):
        x, noise = rng.normal(size=(2, 80))
        y = correlation * x + np.sqrt(1 - correlation**2) * noise
        weight = subject_weights(rng, subject=np.arange(80), resamples=200)
        found = kendall_tau(x, y=y, weight=weight)
        held += found.low <= true_tau <= found.high
    assert 0.88 <= held / 150 <= 0.985


def test_the_bound_of_p_is_that_of_permuted_statistics_stretched():
    """Two folds of 4, each with C - D = 4, in all 8.

    Of 24 orders C - D is 6, 4, 2, 0, ... in 1, 3, 5, 6, ...: of 576 pairs of orders 26
    have a sum of 8 or more and 68 one of 6 or more. Stretched by the root of 2, 6 is
    above 8; by the root of 1.7 it is not.
    """
    score, target = np.tile([1.0, 2, 3, 4], 2), np.tile([1.0, 2, 4, 3], 2)
    fold = np.repeat([0, 1], 4)
    found = {
        share: kendall_tau_within_folds(
            np.random.default_rng(0),
            score,
            target=target,
            fold=fold,
            permutations=40_000,
            reciprocity=share,
        )
        for share in (0.7, 1.0)
    }
    assert found[1.0].concordant - found[1.0].discordant == 8
    assert found[1.0].p == pytest.approx(26 / 576, abs=0.004)
    assert found[1.0].p_bound == pytest.approx(68 / 576, abs=0.006)
    assert found[0.7].p_bound == found[0.7].p


def test_of_a_linear_learner_the_null_variance_is_twice_the_permuted_one():
    """Two folds teach each other: scores of one are sums over the other's labels."""
    rng = np.random.default_rng(0)
    likeness = rng.normal(size=(30, 30))
    y = rng.normal(size=(4_000, 60))
    first, second = y[:, 30:] @ likeness.T, y[:, :30] @ likeness
    drawn = (first * y[:, :30] + second * y[:, 30:]).sum(axis=1)
    fresh = rng.normal(size=(4_000, 60))  # labels that taught nobody
    permuted = (first * fresh[:, :30] + second * fresh[:, 30:]).sum(axis=1)
    assert drawn.var() / permuted.var() == pytest.approx(2, rel=0.12)
