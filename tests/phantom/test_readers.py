"""What readers who look at one number reach on the phantom, against its ceiling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from liverjax.phantom.ceiling import compute_ceiling
from liverjax.phantom.subject import make_subject
from tests.phantom.conftest import TINY

NUMBER = 160


@pytest.fixture(scope="module")
def readings() -> dict[str, np.ndarray]:
    """One number an examination and reader, and the score."""
    options = dataclasses.replace(TINY, cut_share=0.0)
    rows = []
    for index in range(NUMBER):
        subject = make_subject(options, seed=9, index=index, only=("venous",))
        venous = subject.phases["venous"]
        body = venous.volume > -200
        rows.append(
            {
                "score": subject.truth.child_pugh,
                "mean_hu": venous.volume[body].mean(),
                "body_size": body.sum(),
                "liver_volume": venous.liver.sum(),
                "liver_hu": -np.median(venous.volume[venous.liver]),
                "spleen_volume": venous.spleen.sum(),
            }
        )
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def _tau(readings: dict[str, np.ndarray], name: str) -> float:
    return float(stats.kendalltau(readings[name], readings["score"]).statistic)


# The standard error of a tau of 160 examinations is about 0.055.
@pytest.mark.slow
def test_mean_brightness_and_size_do_not_solve_the_task(readings):
    ceiling = compute_ceiling(TINY).kendall_tau
    assert abs(_tau(readings, "mean_hu")) < 0.25
    assert abs(_tau(readings, "body_size")) < 0.25
    assert abs(_tau(readings, "liver_volume")) < 0.4
    for name in ("mean_hu", "body_size", "liver_volume", "liver_hu", "spleen_volume"):
        assert abs(_tau(readings, name)) < ceiling - 0.1


@pytest.mark.slow
def test_signs_that_are_measured_in_the_image_tell_something(readings):
    assert _tau(readings, "liver_hu") > 0.15
    assert _tau(readings, "spleen_volume") > 0.1
