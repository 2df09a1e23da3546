from __future__ import annotations

import numpy as np
import pytest

from liverjax.radiomics.reproducibility import ReproducibleColumns, icc, perturb

SPACING = (3.0, 1.0, 1.0)


def test_icc_of_the_example_of_shrout_and_fleiss():
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8]]
    ratings += [[7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc(np.array(ratings, float)[..., None])[0] == pytest.approx(0.17, abs=0.005)


def test_icc_is_the_share_of_variance_between_subjects():
    rng = np.random.default_rng(0)
    subjects = rng.normal(0, 2, (4000, 1, 1))
    repeats = subjects + rng.normal(0, 1, (4000, 3, 1))
    assert icc(repeats)[0] == pytest.approx(4 / 5, abs=0.02)


def test_the_filter_sees_training_subjects_only():
    rng = np.random.default_rng(1)
    repeats = rng.normal(size=(20, 1, 2)) + 0.01 * rng.normal(size=(20, 3, 2))
    repeats[10:, :, 1] = 100 * rng.normal(size=(10, 3))
    train = np.arange(20) < 10
    assert ReproducibleColumns(repeats).fit_subjects(train).kept_.tolist() == [0, 1]
    assert ReproducibleColumns(repeats).fit_subjects(~train).kept_.tolist() == [0]


@pytest.fixture
def cube():
    mask = np.zeros((5, 30, 30), bool)
    mask[1:4, 10:20, 10:20] = True
    return {"image": mask * 100.0, "mask": mask, "spacing_mm": SPACING}


def test_no_amount_changes_nothing(cube):
    image, mask = perturb(np.random.default_rng(0), **cube)
    np.testing.assert_array_equal(image, cube["image"])
    np.testing.assert_array_equal(mask, cube["mask"])


def test_image_and_mask_move_together(cube):
    rng = np.random.default_rng(2)
    image, mask = perturb(rng, **cube, shift_mm=2.0, rotation_degrees=5.0)
    assert (mask != cube["mask"]).any()
    np.testing.assert_array_equal(mask, image >= 50)
    assert mask.sum() == pytest.approx(cube["mask"].sum(), rel=0.05)


def test_the_contour_moves_by_the_drawn_distance(cube):
    reach = np.random.default_rng(4).normal(0, 3.0)
    _, mask = perturb(np.random.default_rng(4), **cube, contour_mm=3.0)
    along = np.flatnonzero(mask[2, 15])
    assert len(along) == 10 + 2 * int(reach)
