from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging import geometry

ANGLES, SHIFT, CENTRE = (0.2, -0.3, 0.4), (5.0, -7.0, 11.0), (10.0, 20.0, -30.0)


def image_of(array: np.ndarray, *, spacing=(1.0, 2.0, 3.0), direction=None):
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin((4.0, -5.0, 6.0))
    if direction is not None:
        image.SetDirection(np.asarray(direction).ravel().tolist())
    return image


@pytest.mark.parametrize("zyx", [False, True])
def test_euler_matrix_moves_points_as_itk_does(zyx):
    transform = sitk.Euler3DTransform(CENTRE, *ANGLES, SHIFT)
    transform.SetComputeZYX(zyx)
    matrix = geometry.euler_matrix(
        ANGLES, translation_mm=SHIFT, centre_mm=CENTRE, zyx=zyx
    )
    point = np.array([[1.0, 2.0, 3.0]])
    expected = transform.TransformPoint(point[0].tolist())
    assert geometry.map_points(matrix, point)[0] == pytest.approx(expected)


def test_rotation_deg_is_the_angle_about_any_axis():
    matrix = geometry.euler_matrix(
        (0.0, np.radians(30.0), 0.0), translation_mm=SHIFT, centre_mm=CENTRE
    )
    assert geometry.rotation_deg(matrix) == pytest.approx(30)
    assert geometry.rotation_deg(np.eye(4)) == 0


def test_ijk_to_lps_agrees_with_itk_for_an_oblique_image():
    tilt = geometry.euler_matrix(
        ANGLES, translation_mm=(0.0, 0.0, 0.0), centre_mm=(0.0, 0.0, 0.0)
    )
    image = image_of(np.zeros((4, 5, 6)), direction=tilt[:3, :3])
    expected = image.TransformIndexToPhysicalPoint((3, 2, 1))
    found = geometry.index_points(image, np.array([[1, 2, 3]]))
    assert found[0] == pytest.approx(expected)


def test_moved_places_a_voxel_where_the_map_takes_it_from():
    image = image_of(np.zeros((4, 5, 6)))
    matrix = geometry.euler_matrix(ANGLES, translation_mm=SHIFT, centre_mm=CENTRE)
    placed = geometry.moved(image, matrix)
    voxel = np.array([[1, 2, 3]])
    there = geometry.map_points(matrix, geometry.index_points(placed, voxel))
    assert there == pytest.approx(geometry.index_points(image, voxel), abs=1e-6)


def test_resampling_reads_the_moving_image_where_the_matrix_points():
    ramp = np.broadcast_to(np.arange(20.0), (10, 12, 20))
    image = image_of(ramp, spacing=(1.0, 1.0, 1.0))
    values = geometry.resample(
        image,
        grid=geometry.ijk_to_lps(image),
        shape=(10, 12, 20),
        matrix=geometry.translation_matrix((2.5, 0.0, 0.0)),
        outside=-1.0,
    )
    assert values[5, 5, :10] == pytest.approx(np.arange(10) + 2.5)
    assert values[5, 5, -1] == -1


def test_nearest_resampling_keeps_the_labels():
    labels = np.zeros((4, 4, 4))
    labels[1, 2, 3] = 7
    image = image_of(labels)
    grid = geometry.ijk_to_lps(image)
    values = geometry.resample(
        image, grid=grid, shape=(4, 4, 4), nearest=True, outside=0.0
    )
    assert np.array_equal(values, labels)


def test_coarsened_voxels_lie_in_the_middle_of_their_blocks():
    ramp = np.broadcast_to(np.arange(8.0), (4, 6, 8))
    image = image_of(ramp, spacing=(0.7, 0.7, 2.0))
    coarse = geometry.coarsen(image, spacing_mm=1.5)
    assert coarse.GetSpacing() == pytest.approx((1.4, 1.4, 2.0))
    assert coarse.GetOrigin()[0] == pytest.approx(4.0 + 0.35)
    assert sitk.GetArrayFromImage(coarse)[0, 0] == pytest.approx([0.5, 2.5, 4.5, 6.5])


def test_coarsening_leaves_coarse_images_alone():
    image = image_of(np.zeros((4, 6, 8)), spacing=(3.0, 3.0, 3.0))
    assert geometry.coarsen(image, spacing_mm=1.5).GetSize() == (8, 6, 4)
    assert geometry.coarsen(image, spacing_mm=None).GetSize() == (8, 6, 4)
