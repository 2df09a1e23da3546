"""Grids: axis order, comparison, placing planes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging import grids
from liverjax.imaging.findings import ExaminationError

ARRAY = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations((0, 1, 2))
    for flips in itertools.product((False, True), repeat=3)
]


def axial(array: np.ndarray = ARRAY) -> sitk.Image:
    return grids.make_volume(
        array, origin_mm=(-10.0, 20.0, -30.0), spacing_mm=(3.0, 2.0, 1.5)
    )


def rotated(degrees: float) -> sitk.Image:
    """The axial volume turned about the patient's x axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    image = axial()
    image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    return image


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_all_48_axis_orders_come_back_to_the_same_volume(order, flips):
    stored = sitk.Flip(sitk.PermuteAxes(axial(), order), flips)
    image = grids.to_caudal_cranial(stored)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ARRAY)
    np.testing.assert_allclose(image.GetOrigin(), axial().GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-12)
    assert image.GetSpacing() == (1.5, 2.0, 3.0)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS[::5])
def test_an_oblique_volume_keeps_every_voxel_at_its_place(order, flips):
    tilted = rotated(12.0)
    image = grids.to_caudal_cranial(sitk.Flip(sitk.PermuteAxes(tilted, order), flips))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ARRAY)
    for index in ((0, 0, 0), (4, 3, 2), (1, 2, 1)):
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index),
            tilted.TransformIndexToPhysicalPoint(index),
            atol=1e-9,
        )


def test_axes_run_cranial_posterior_left():
    image = grids.to_caudal_cranial(sitk.Flip(axial(), (True, True, True)))
    first = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0)))
    steps = [
        np.array(image.TransformIndexToPhysicalPoint(index)) - first
        for index in ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    ]
    np.testing.assert_allclose(steps, [(0, 0, 3), (0, 2, 0), (1.5, 0, 0)])


@pytest.mark.parametrize(
    ("spacing_mm", "codes"),
    [
        ((3.0, 1.0, 1.0), []),
        ((21.0, 1.0, 1.0), ["impossible-spacing"]),
        ((3.0, 1.0, 1.02), ["anisotropic-pixels"]),
    ],
)
def test_spacings_are_judged(spacing_mm, codes):
    image = grids.make_volume(ARRAY, origin_mm=(0.0, 0.0, 0.0), spacing_mm=spacing_mm)
    assert [finding.code for finding in grids.check_grid(image)] == codes


@pytest.mark.parametrize(
    ("degrees", "levels"), [(0.5, []), (12, ["warning"]), (35, ["failed"])]
)
def test_tilted_volumes_are_warned_about_then_refused(degrees, levels):
    findings = grids.check_grid(rotated(degrees))
    assert [item.level for item in findings if item.code == "oblique"] == levels


def test_a_header_of_too_many_voxels_is_refused_before_reading():
    with pytest.raises(ExaminationError, match="2048 x 2048 x 2048") as caught:
        grids.check_size((2048, 2048, 2048))
    assert caught.value.finding.code == "too-large"


def test_one_grid_may_differ_by_rounding():
    other = axial()
    other.SetOrigin((-10.001, 20.0, -30.0))
    assert grids.grid_differences(axial(), other=other) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda image: image.SetSpacing((1.5, 2.0, 3.3)), "spacing"),
        (lambda image: image.SetOrigin((-10.0, 21.0, -30.0)), "origin"),
        (lambda image: image.SetDirection((1, 0, 0, 0, 0, -1, 0, 1, 0)), "direction"),
    ],
)
def test_grids_that_differ_name_the_field(change, field):
    other = axial()
    change(other)
    assert any(field in text for text in grids.grid_differences(axial(), other=other))


def test_grids_of_other_size_name_both_sizes():
    (text,) = grids.grid_differences(axial(), other=axial(ARRAY[:2]))
    assert text == "size (d, h, w) (2, 4, 5) instead of (3, 4, 5)"


def plane(**changes) -> grids.Plane:
    values = {
        "position_mm": (-10.0, 20.0, -27.0),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "spacing_mm": (2.0, 1.5),
    }
    return grids.Plane(**(values | changes))


def test_a_plane_is_written_where_its_position_says():
    volume = np.zeros((3, 4, 5), bool)
    placement = grids.place_plane(axial(), plane=plane(), shape=(4, 5))
    lost = placement.write(volume, np.eye(4, 5) > 0)
    assert lost == 0
    np.testing.assert_array_equal(volume[1], np.eye(4, 5) > 0)
    assert not volume[[0, 2]].any()


def test_a_sagittal_plane_is_written_across_the_slices():
    values = np.arange(12).reshape(3, 4)
    lying = plane(
        position_mm=(-8.5, 20.0, -24.0),
        orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        spacing_mm=(3.0, 2.0),
    )
    volume = np.zeros((3, 4, 5), int)
    grids.place_plane(axial(), plane=lying, shape=(3, 4)).write(volume, values)
    np.testing.assert_array_equal(volume[:, :, 1], values[::-1])


def test_pixels_outside_the_volume_are_counted():
    shifted = plane(position_mm=(-8.5, 20.0, -27.0))
    placement = grids.place_plane(axial(), plane=shifted, shape=(4, 5))
    assert placement.write(np.zeros((3, 4, 5), bool), np.ones((4, 5), bool)) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"position_mm": (-10.0, 20.0, -28.5)},
        {"spacing_mm": (2.0, 1.7)},
        {"orientation": (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)},
    ],
)
def test_a_plane_off_the_lattice_is_not_placed(changes):
    placed = grids.place_plane(axial(), plane=plane(**changes), shape=(4, 5))
    assert placed is None
