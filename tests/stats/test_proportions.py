from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from liverjax.stats.proportions import no_information_rate_test, proportion


def test_published_p_of_the_child_pugh_study_comes_back():
    """148 of 259 right against 120/259 give the paper's 3.11e-4, no other count."""
    p = {}
    for right in (147, 148, 149):
        confusion = np.array(
            [[76, 0, 0], [259 - right - 63, right - 76, 0], [63, 0, 0]]
        )
        assert confusion.sum() == 259
        p[right] = no_information_rate_test(confusion).p
    assert p[148] == pytest.approx(3.11e-4, abs=5e-7)
    assert abs(p[147] - 3.11e-4) > 1e-4
    assert abs(p[149] - 3.11e-4) > 1e-4


def test_the_rate_is_the_largest_true_class_not_the_largest_predicted_one():
    found = no_information_rate_test(np.array([[1, 5], [0, 2]]))
    assert found.estimate == 6 / 8
    assert found.p == pytest.approx(scipy.stats.binom.sf(2, 8, 0.75))
    assert "3/8 right" in found.method


def test_no_rows_and_impossible_counts():
    assert np.isnan(proportion(0, n=0).estimate)
    assert np.isnan(no_information_rate_test(np.zeros((3, 3), int)).estimate)
    with pytest.raises(ValueError, match="5 successes in 4 trials"):
        proportion(5, n=4)
    with pytest.raises(ValueError, match="expected one of"):
        proportion(1, n=4, method="exact")


def test_wilson_by_hand():
    # (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), p = 1/2, n = 4
    z = scipy.stats.norm.ppf(0.975)
    half = z * np.sqrt(1 / 16 + z**2 / 64) / (1 + z**2 / 4)
    found = proportion(2, n=4)
    assert found.low == pytest.approx(0.5 - half, abs=1e-9)
    assert found.high == pytest.approx(0.5 + half, abs=1e-9)
    assert (found.n, found.method) == (4, "2/4, 95% Wilson interval")


def test_nineteen_in_twenty_wilson_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    found = [proportion(int(k), n=63) for k in rng.binomial(63, 0.27, 1_000)]
    held = np.mean([one.low <= 0.27 <= one.high for one in found])
    assert 0.93 <= held <= 0.975
