from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from liverjax.stats.detection import (
    Matches,
    box_iou,
    froc,
    generalised_box_iou,
    lesion_sensitivity,
    match_boxes,
    match_points,
)
from liverjax.stats.segmentation import overlap, surface_distances, surface_points_mm


def blob(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(14, 20, 18))
    return scipy.ndimage.gaussian_filter(noise, 3) > 0.02


def test_distances_are_those_of_a_distance_transform():
    """A cube's surface from a mask's erosion; SciPy's transform with spacing."""
    one, two, spacing = blob(0), blob(1), (3.0, 0.8, 1.1)

    def border(mask: np.ndarray) -> np.ndarray:
        return mask & ~scipy.ndimage.binary_erosion(mask)

    there = scipy.ndimage.distance_transform_edt(~border(two), sampling=spacing)
    back = scipy.ndimage.distance_transform_edt(~border(one), sampling=spacing)
    there, back = there[border(one)], back[border(two)]
    found = surface_distances(one, truth=two, spacing_mm=spacing)
    assert found.hd_mm == pytest.approx(max(there.max(), back.max()))
    directed = [np.percentile(d, 95) for d in (there, back)]
    assert found.hd95_mm == pytest.approx(max(directed))
    assert found.assd_mm == pytest.approx(np.concatenate([there, back]).mean())


def test_a_mask_at_the_images_border_has_its_surface_there():
    mask = np.ones((3, 3, 3), bool)
    assert len(surface_points_mm(mask, spacing_mm=(1, 1, 1))) == 26


def test_empty_masks_are_told_apart():
    empty, full = np.zeros((4, 4), bool), np.eye(4) > 0
    both = overlap(empty, truth=empty, spacing_mm=(1, 1))
    assert np.isnan([both.dice, both.jaccard, both.relative_volume_difference]).all()
    assert np.isnan(surface_distances(empty, truth=empty, spacing_mm=(1, 1)).hd_mm)
    for one, two in ((empty, full), (full, empty)):
        assert overlap(one, truth=two, spacing_mm=(1, 1)).dice == 0
        found = surface_distances(one, truth=two, spacing_mm=(1, 1))
        assert (found.hd95_mm, found.surface_dice) == (np.inf, 0)
    assert overlap(full, truth=empty, spacing_mm=(1, 1)).relative_volume_difference == (
        np.inf
    )


def test_masks_and_spacing_must_fit():
    mask = np.ones((4, 4), bool)
    with pytest.raises(ValueError, match="voxels"):
        overlap(mask, truth=mask[:2], spacing_mm=(1, 1))
    with pytest.raises(ValueError, match="positive one for each of 2 axes"):
        surface_distances(mask, truth=mask, spacing_mm=(1, 1, 1))


def test_a_distance_equal_to_the_tolerance_counts():
    one, two = np.zeros((2, 5, 5), bool)
    one[2, 1] = two[2, 4] = True
    for tolerance, share in ((2.9, 0.0), (3.0, 1.0)):
        found = surface_distances(
            one, truth=two, spacing_mm=(1.0, 1.0), tolerance_mm=tolerance
        )
        assert found.surface_dice == share


def test_boxes_apart_and_equal():
    box = np.array([[0.0, 0, 2, 2]])
    other = np.array([[0.0, 0, 2, 2], [4, 0, 6, 2]])
    assert box_iou(box, other=other)[0] == pytest.approx([1, 0])
    assert generalised_box_iou(box, other=other)[0] == pytest.approx([1, -1 / 3])
    with pytest.raises(ValueError, match="no extent"):
        box_iou(box, other=np.array([[2.0, 2, 0, 0]]))


def test_several_hits_on_a_lesion_count_once_and_are_no_false_alarms():
    lesions = np.array([[1, 1, 0], [0, 0, 2]])
    found = match_points(
        np.array([0.9, 0.6, 0.3]),
        index=np.array([[0, 0], [0, 1], [1, 0]]),
        lesions=lesions,
    )
    assert list(found.hit) == [0.9, 0.0]
    assert list(found.false_alarm) == [0.3]
    assert found.lesions == 2
    with pytest.raises(ValueError, match="outside the label map"):
        match_points(np.array([0.9]), index=np.array([[5, 0]]), lesions=lesions)


def test_boxes_hit_by_overlap():
    truth = np.array([[0.0, 0, 4, 4]])
    box = np.array([[1.0, 1, 4, 4], [3.5, 3.5, 9, 9]])
    found = match_boxes(box, score=np.array([0.7, 0.8]), truth=truth, least_iou=0.3)
    assert list(found.hit) == [0.7]
    assert list(found.false_alarm) == [0.8]
    nothing = match_boxes(np.zeros((0, 4)), score=np.zeros(0), truth=truth)
    assert list(nothing.hit) == [0.0]


def test_froc_by_hand():
    """Two cases, three lesions; false alarms at 0.8 and 0.4."""
    matches = [
        Matches(np.array([0.9, 0.0]), np.array([0.8]), 2),
        Matches(np.array([0.5]), np.array([0.4]), 1),
    ]
    found = froc(matches)
    assert list(found.threshold) == [0.4, 0.5, 0.8, 0.9, np.inf]
    assert list(found.false_per_case) == [1.0, 0.5, 0.5, 0.0, 0.0]
    assert found.sensitivity == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3, 0])
    assert lesion_sensitivity(matches, threshold=0.5).estimate == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no case has a lesion"):
        froc([Matches(np.zeros(0), np.array([0.5]), 0)])
    with pytest.raises(ValueError, match="not above 0"):
        match_boxes(np.zeros((1, 4)), score=np.array([0.0]), truth=np.zeros((0, 4)))
