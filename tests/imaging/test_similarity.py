from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from liverjax.imaging import similarity


def draws(seed: int, *, size: int = 4000) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 32, size).astype(np.uint8)


def test_information_is_one_for_any_renaming_of_the_values():
    first = draws(0)
    assert similarity.symmetric_information(first, (31 - first).astype(np.uint8)) == (
        pytest.approx(1)
    )


def test_information_agrees_with_scikit_learn():
    first = draws(0)
    second = np.where(draws(1) < 16, first, draws(2)).astype(np.uint8)
    shared = mutual_info_score(first, second)
    entropies = mutual_info_score(first, first) + mutual_info_score(second, second)
    found = similarity.symmetric_information(first, second)
    assert found == pytest.approx(2 * shared / entropies)


def test_information_of_a_constant_image_is_zero():
    assert similarity.symmetric_information(draws(0), np.zeros(4000, np.uint8)) == 0


def test_parts_histograms_add_up_to_the_whole():
    first, second = draws(0), draws(1)
    part = np.arange(4000) % 3
    parts = similarity.joint_histograms(first, second, part=part, parts=3)
    whole = similarity.joint_histograms(first, second, part=part * 0, parts=1)
    assert np.array_equal(parts.sum(0), whole[0])


def test_quantise_by_hand():
    hu = np.array([-2000, -160, -147, 40, 239, 240, 3000], np.float32)
    assert similarity.quantise(hu).tolist() == [0, 0, 1, 16, 31, 31, 31]


def test_edges_agree_whatever_the_contrast_and_not_when_turned():
    ramp = np.broadcast_to(np.linspace(0, 290, 30), (30, 30, 30))
    everywhere = np.ones(ramp.shape, bool)
    same = similarity.edge_agreement(ramp, -0.6 * ramp, where=everywhere)
    turned = similarity.edge_agreement(
        ramp, np.swapaxes(ramp, 0, 2).copy(), where=everywhere
    )
    # Slopes of 10 and 6 HU a voxel against a noise of 10.
    assert same == pytest.approx(100 * 36 / ((100 + 100) * (36 + 100)))
    assert turned == pytest.approx(0, abs=1e-12)
