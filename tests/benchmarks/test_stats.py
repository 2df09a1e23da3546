from __future__ import annotations

import numpy as np
import pytest

from benchmarks import stats


@pytest.mark.slow
def test_the_stand_in_is_as_large_as_a_liver():
    mask, spacing_mm = stats.liver_mask(None, label=5)
    litres = mask.sum() * np.prod(spacing_mm) / 1e6
    assert 1.0 < litres < 4.5


def test_a_rival_that_answers_otherwise_is_not_raced():
    with pytest.raises(AssertionError):
        stats.agree(1.0, 1.1, atol=1e-3)


def test_a_ratio_and_our_seconds_come_out_of_a_race():
    ratios, measures = stats.compared(
        "toy", {"ours": lambda: 1, "rival": lambda: sum(range(100_000))}, rounds=3
    )
    assert ratios["toy, rival"]["ratio"] > 1
    assert list(measures) == ["toy, ours_s"]
