from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging import patches
from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.geometry import (
    euler_matrix,
    index_points,
    map_points,
    to_transform,
)

SHAPE = (20, 40, 50)
PLAN = {
    "slice_range": (0.2, 0.8),
    "slice_spacing_mm": None,
    "inplane_spacing_mm": None,
    "store_px": 32,
    "patch_px": 24,
    "center": "liver_centroid",
}


def image_of(array: np.ndarray, *, spacing=(0.8, 0.8, 2.0), tilt: float = 0.0):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin((-12.0, 7.0, 100.0))
    turn = euler_matrix(
        (tilt, 0.0, tilt), translation_mm=(0.0, 0.0, 0.0), centre_mm=(0.0, 0.0, 0.0)
    )
    image.SetDirection(turn[:3, :3].ravel().tolist())
    return image


def liver_of(*, low=(5, 10, 8), high=(16, 30, 24), **grid) -> sitk.Image:
    array = np.zeros(SHAPE, np.uint8)
    array[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 1
    return image_of(array, **grid)


def test_every_slice_in_the_range_is_kept_without_a_spacing():
    # Slices 10 to 20: a fifth of the extent is 2 slices.
    found = patches.choose_slices(
        10, 20, slice_mm=2.0, slice_range=(0.2, 0.8), spacing_mm=None
    )
    assert found == [12, 13, 14, 15, 16, 17, 18]


def test_the_papers_spacing_takes_every_third_slice():
    found = patches.choose_slices(
        0, 241, slice_mm=0.7, slice_range=(0.2, 0.8), spacing_mm=2.1
    )
    assert set(np.diff(found)) == {3}
    assert (found[0], len(found)) == (49, 48)  # 0.6 * 241 / 3 = 48.2


def test_the_nearest_existing_slice_is_taken_once_and_the_caudal_one_at_a_tie():
    # Places 0, 1.5, 3, 4.5, 6, ...: the ties 1.5 and 4.5 go down.
    found = patches.choose_slices(
        0, 9, slice_mm=2.0, slice_range=(0.0, 1.0), spacing_mm=3.0
    )
    assert found == [0, 1, 3, 4, 6, 7, 9]


def test_a_coarser_scan_keeps_every_slice():
    found = patches.choose_slices(
        3, 8, slice_mm=5.0, slice_range=(0.0, 1.0), spacing_mm=2.1
    )
    assert found == [3, 4, 5, 6, 7, 8]


def test_native_pixels_are_copied_as_they_are():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 100, SHAPE).astype(np.float32)
    planned = patches.plan_patches(liver_of(), **PLAN)
    squares = patches.cut(image_of(values), planned, side=32)
    # Centroid: row 19.5, column 15.5; the square starts 15.5 before it.
    assert planned[0].corner == (4, 0)
    assert np.array_equal(squares[0], values[planned[0].slice_number, 4:36, :32])


def test_beyond_the_scan_the_square_is_padded_and_says_how_much():
    planned = patches.plan_patches(liver_of(low=(5, 10, 0), high=(16, 30, 6)), **PLAN)
    squares = patches.cut(image_of(np.zeros(SHAPE, np.float32)), planned, side=32)
    # Centroid column 2.5: stored columns -13 to 18, used ones -9 to 14.
    assert (squares[0][:, :13] == -1024).all()
    assert (squares[0][:, 13:] == 0).all()
    assert planned[0].padded_share == pytest.approx(9 / 24)


def test_coverage_counts_the_liver_inside_the_used_square():
    planned = patches.plan_patches(liver_of(low=(5, 0, 0), high=(16, 40, 48)), **PLAN)
    assert planned[0].liver_coverage == pytest.approx(24 * 24 / (40 * 48))
    assert planned[0].liver_area_mm2 == pytest.approx(40 * 48 * 0.64)


def test_positions_and_fractions_follow_the_slices():
    planned = patches.plan_patches(liver_of(), **PLAN)
    assert [patch.slice_number for patch in planned] == [7, 8, 9, 10, 11, 12, 13]
    assert planned[0].liver_fraction == pytest.approx(0.2)
    assert planned[0].position_mm == pytest.approx(100 + 7 * 2)


@pytest.mark.parametrize("inplane_spacing_mm", [None, 0.5, 1.3])
@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_a_planted_landmark_is_found_at_its_place(inplane_spacing_mm, tilt):
    landmark = (9, 18, 21)
    away = np.indices(SHAPE) - np.array(landmark)[:, None, None, None]
    scan = 1000 * np.exp(-(away**2).sum(0) / (2 * 2.0**2))
    image = image_of(scan.astype(np.float32), tilt=tilt)
    plan = PLAN | {"inplane_spacing_mm": inplane_spacing_mm, "store_px": 64}
    planned = patches.plan_patches(liver_of(tilt=tilt), **plan)
    smooth = patches.smooth_in_plane(image, pixel_mm=inplane_spacing_mm)
    squares = patches.cut(smooth, planned, side=64, outside=0.0)
    (place,) = [i for i, patch in enumerate(planned) if patch.slice_number == 9]
    weights = squares[place]
    rows, columns = np.indices(weights.shape)
    pixel = [(axis * weights).sum() / weights.sum() for axis in (columns, rows)]
    found = map_points(planned[place].grid, np.array([[*pixel, 0.0]]))[0]
    truth = index_points(image, np.array([landmark]))[0]
    assert found == pytest.approx(truth, abs=0.02)


def test_a_moving_phase_is_read_through_its_map_in_one_interpolation():
    ramp = np.broadcast_to(np.arange(50.0), SHAPE).astype(np.float32)
    still = image_of(ramp)
    matrix = euler_matrix(
        (0.0, 0.0, 0.0), translation_mm=(1.0, 0.0, 0.0), centre_mm=(0.0, 0.0, 0.0)
    )
    planned = patches.plan_patches(liver_of(), **PLAN)
    squares = patches.cut(still, planned, side=32, matrix=matrix)
    # 1 mm is 1.25 columns further on.
    assert squares[0][0, :30] == pytest.approx(np.arange(30) + 1.25, abs=1e-4)


def test_the_map_goes_from_the_reference_to_the_phase():
    values = np.random.default_rng(0).normal(0, 100, SHAPE)
    smooth = sitk.DiscreteGaussian(image_of(values.astype(np.float32)), 4.0)
    matrix = euler_matrix(
        (0.03, -0.02, 0.05),
        translation_mm=(2.0, 1.0, -1.5),
        centre_mm=(0.0, 7.0, 120.0),
    )
    expected = sitk.Resample(smooth, smooth, to_transform(matrix), sitk.sitkLinear)
    planned = patches.plan_patches(liver_of(), **PLAN)
    ours = patches.cut(smooth, planned, side=32, matrix=matrix)
    theirs = patches.cut(expected, planned, side=32)
    middle = (slice(None), slice(8, 24), slice(8, 24))
    assert ours[middle] == pytest.approx(theirs[middle], abs=1e-3)


def test_labels_are_read_without_mixing():
    liver = liver_of()
    plan = PLAN | {"inplane_spacing_mm": 1.1}
    planned = patches.plan_patches(liver, **plan)
    labels = patches.cut(liver * 2, planned, side=32, nearest=True, outside=0.0)
    assert set(np.unique(labels)) == {0, 2}


@pytest.mark.parametrize(
    ("center", "expected"),
    [("liver_centroid", 17.9), ("slice_centroid", 34.5), ("liver_box", 24.5)],
)
def test_the_centre_is_where_the_recipe_says(center, expected):
    array = np.zeros(SHAPE, np.uint8)
    array[5:16, 10:30, 10:20] = 1  # columns around 14.5, ten slices
    array[12, 10:30, :] = 0
    array[12, 10:30, 30:40] = 1  # slice 12 lies elsewhere, around 34.5
    array[5:16, 20, 10:40] = 1
    plan = PLAN | {"center": center, "store_px": 24, "inplane_spacing_mm": 0.8}
    planned = patches.plan_patches(image_of(array), **plan)
    (patch,) = [patch for patch in planned if patch.slice_number == 12]
    scan = index_points(image_of(array), np.array([[12, 0, 0]]))[0]
    middle = map_points(patch.grid, np.array([[11.5, 11.5, 0.0]]))[0]
    column = (middle - scan)[0] / 0.8
    inside = np.argwhere(array[12] if center == "slice_centroid" else array)
    by_hand = inside[:, -1].mean() if center != "liver_box" else (10 + 39) / 2
    assert column == pytest.approx(by_hand, abs=1e-6)
    assert column == pytest.approx(expected, abs=1.5)


def test_smoothing_for_coarser_pixels_averages_noise_away():
    rng = np.random.default_rng(0)
    noise = image_of(rng.normal(0, 10, (4, 100, 100)).astype(np.float32))
    smooth = patches.smooth_in_plane(noise, pixel_mm=2.4)
    assert sitk.GetArrayFromImage(smooth).std() < 5
    for pixel_mm in (None, 0.5, 0.8):
        same = patches.smooth_in_plane(noise, pixel_mm=pixel_mm)
        assert np.array_equal(
            sitk.GetArrayFromImage(same), sitk.GetArrayFromImage(noise)
        )


def test_a_liver_without_a_slice_in_the_range_is_an_error():
    with pytest.raises(ExaminationError, match="spans 2 slices, none of them between"):
        patches.plan_patches(liver_of(low=(5, 10, 8), high=(7, 30, 24)), **PLAN)


def test_an_empty_liver_is_an_error():
    with pytest.raises(ExaminationError, match="the liver mask is empty"):
        patches.plan_patches(image_of(np.zeros(SHAPE, np.uint8)), **PLAN)
