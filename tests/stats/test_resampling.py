from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from liverjax.stats.rank_correlation import resampled_tau
from liverjax.stats.resampling import (
    basic_interval,
    bca_interval,
    exchange_test,
    index_weights,
    percentile_interval,
    permutation_p,
    shuffles,
    sign_flip_test,
    subject_weights,
    weighted_mean,
)


def test_rows_of_a_subject_are_drawn_together():
    subject = np.array(["a", "b", "a", "c", "b"])
    weight = subject_weights(np.random.default_rng(0), subject=subject, resamples=50)
    assert np.array_equal(weight[:, 0], weight[:, 2])
    assert np.array_equal(weight[:, 1], weight[:, 4])
    by_subject = weight[:, [0, 1, 3]]
    assert np.all(by_subject.sum(axis=1) == 3)
    assert len(np.unique(by_subject, axis=0)) > 5


def test_every_resample_keeps_the_size_of_each_stratum():
    stratum = np.array(["x"] * 3 + ["y"] * 5)
    weight = subject_weights(
        np.random.default_rng(1), subject=np.arange(8), stratum=stratum, resamples=40
    )
    assert np.all(weight[:, :3].sum(axis=1) == 3)
    assert np.all(weight[:, 3:].sum(axis=1) == 5)


def test_a_subject_in_two_strata_is_refused():
    with pytest.raises(ValueError, match="two strata"):
        subject_weights(
            np.random.default_rng(0),
            subject=np.array(["a", "a"]),
            stratum=np.array([0, 1]),
        )


def test_weights_of_a_mean_have_the_spread_of_its_standard_error():
    values = np.random.default_rng(2).normal(size=400)
    weight = subject_weights(np.random.default_rng(3), subject=np.arange(400))
    means = weighted_mean(values, weight=weight)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.08)


def test_shuffles_keep_the_values_and_reach_every_order():
    table = shuffles(np.random.default_rng(0), np.array([1, 2, 3]), number=600)
    assert np.all(np.sort(table, axis=0) == np.array([[1], [2], [3]]))
    orders, counts = np.unique(table.T, axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 60  # 100 expected each


def test_the_interval_leaves_out_undefined_draws_until_they_are_many():
    draws = np.append(np.arange(95.0), [np.nan] * 5)
    assert percentile_interval(draws, conf=0.5) == (23.5, 70.5)
    assert np.isnan(percentile_interval(np.append(draws, [np.nan] * 20))).all()


def test_replayed_resamples_are_counted():
    weight = index_weights(np.array([[0, 0, 2], [1, 2, 2]]), n=3)
    assert weight.tolist() == [[2, 0, 1], [0, 1, 2]]
    with pytest.raises(ValueError, match="not in"):
        index_weights(np.array([[3]]), n=3)


def test_a_basic_interval_mirrors_the_percentiles():
    draws = np.arange(101.0)
    assert basic_interval(draws, estimate=40.0) == (80 - 97.5, 80 - 2.5)


def test_bca_without_skew_and_bias_is_the_percentile_interval():
    draws = np.linspace(-3, 3, 2_001)
    jackknife = np.linspace(-1, 1, 21)
    found = bca_interval(draws, estimate=0.0, jackknife=jackknife)
    assert (found.z0, found.acceleration) == pytest.approx((0, 0), abs=1e-9)
    assert (found.low, found.high) == pytest.approx(percentile_interval(draws))


def test_a_constant_statistic_has_no_bca_interval():
    found = bca_interval(np.ones(50), estimate=1.0, jackknife=np.ones(10))
    assert np.isnan([found.low, found.high]).all()
    assert found.z0 == 0
    below = bca_interval(np.ones(50), estimate=1.0, jackknife=np.ones(10), ties="below")
    assert below.z0 == -np.inf


def test_a_bca_interval_leaves_undefined_resamples_out():
    draws, jackknife = np.linspace(-3, 3, 2_001), np.linspace(-1, 2, 21) ** 2
    whole = bca_interval(draws, estimate=0.1, jackknife=jackknife)
    few = np.append(draws, np.full(100, np.nan))
    assert bca_interval(few, estimate=0.1, jackknife=jackknife) == whole
    many = np.append(draws, np.full(500, np.nan))
    found = bca_interval(many, estimate=0.1, jackknife=jackknife)
    assert np.isnan([found.low, found.high]).all()


def test_a_permutation_p_is_never_0_and_counts_equal_values():
    assert permutation_p(np.zeros(9), observed=1.0) == 0.1
    assert permutation_p(np.array([0.3, 0.1 + 0.2, 0.2]), observed=0.3) == 3 / 4


def test_signs_flip_by_subject():
    """Four subjects, all above 0: 2 of 16 sign patterns are as extreme."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(4), 3)
    p = sign_flip_test(rng, np.ones(12), subject=subject, permutations=20_000)
    assert p == pytest.approx(2 / 16, abs=0.01)
    rows = sign_flip_test(rng, np.ones(12), subject=np.arange(12), permutations=20_000)
    assert rows < 0.002


def exchanged_tau(rng, one, two, *, target, subject, permutations=1_999):
    """The p of two models' equal taus, as a report asks for it."""
    ranks = np.concatenate([scipy.stats.rankdata(one), scipy.stats.rankdata(two)])
    return exchange_test(
        rng,
        lambda weight: resampled_tau(ranks, y=np.tile(target, 2), weight=weight),
        subject=subject,
        permutations=permutations,
    )


def test_exchanges_of_ranks_are_those_of_all_coins():
    """Four subjects of two rows: all 16 exchanges by hand, taus by SciPy."""
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(4), 2)
    target = np.arange(8) // 3
    one, two = target + 0.4 * rng.normal(size=8), 100 * rng.normal(size=8)
    ranks = scipy.stats.rankdata(one), scipy.stats.rankdata(two)
    gaps = []
    for coins in itertools.product([False, True], repeat=4):
        swap = np.array(coins)[subject]
        pair = np.where(swap, ranks[::-1], ranks)
        taus = [scipy.stats.kendalltau(score, target).statistic for score in pair]
        gaps.append(abs(taus[0] - taus[1]))
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    assert 0.1 < expected < 0.5
    p = exchanged_tau(
        rng, one, two, target=target, subject=subject, permutations=20_000
    )
    assert p == pytest.approx(expected, abs=0.01)


def test_exchanges_of_losses_are_changes_of_sign():
    rng = np.random.default_rng(2)
    subject = np.repeat(np.arange(9), 2)
    losses = rng.normal(size=(2, 18)) + np.array([[0.4], [0.0]])
    p = exchange_test(
        rng,
        lambda weight: weighted_mean(losses.ravel(), weight=weight),
        subject=subject,
        permutations=20_000,
    )
    signs = sign_flip_test(
        rng, losses[0] - losses[1], subject=subject, permutations=20_000
    )
    assert p == pytest.approx(signs, abs=0.015)


def test_one_model_twice_has_a_p_of_1_and_a_constant_one_has_none():
    rng = np.random.default_rng(3)
    score, target = rng.normal(size=(2, 12))
    same = {"target": target, "subject": np.arange(12), "permutations": 99}
    assert exchanged_tau(rng, score, 10 * score, **same) == 1
    assert np.isnan(exchanged_tau(rng, score, np.ones(12), **same))


@pytest.mark.slow
@pytest.mark.parametrize("visits", [1, 2])
def test_exchanges_reject_one_true_null_in_twenty_and_find_a_gain(visits):
    """Scores that know the truth equally well, then one that knows it better."""
    rng = np.random.default_rng(4)
    subjects, cohorts = 40, 250
    rejected = np.zeros(2)
    for _ in range(cohorts):
        subject = np.repeat(np.arange(subjects), visits)
        truth, shared = rng.normal(size=(2, subjects))[:, subject]
        own = rng.normal(size=(2, subjects))[:, subject]
        own = 0.5 * own + 0.3 * rng.normal(size=(2, len(subject)))
        one, two = 0.6 * truth + 0.5 * shared + own
        for place, gain in enumerate((0.0, 0.4)):
            p = exchanged_tau(
                rng,
                one + gain * truth,
                two,
                target=truth,
                subject=subject,
                permutations=199,
            )
            rejected[place] += p <= 0.05
    size, power = rejected / cohorts
    assert 0.009 < size < 0.091  # 5 %, less and plus three standard errors
    assert power > 0.35


def test_sites_can_be_resampled_whole():
    site = np.repeat(["a", "b", "c"], [5, 2, 3])
    weight = subject_weights(np.random.default_rng(0), subject=site, resamples=20)
    for name in "abc":
        assert np.ptp(weight[:, site == name], axis=1).max() == 0
