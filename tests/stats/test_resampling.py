from __future__ import annotations

import numpy as np
import pytest

from liverjax.stats.resampling import (
    percentile_interval,
    shuffles,
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
