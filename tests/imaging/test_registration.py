from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.registration import breathing_cases, corner_errors, read_chaos
from liverjax.imaging import registration
from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.geometry import map_points
from tests.imaging.pairs import error_mm, pair

MAP = {
    "Transform": ("EulerTransform",),
    "TransformParameters": ("0.1", "-0.2", "0.3", "4", "5", "6"),
    "CenterOfRotationPoint": ("10", "20", "30"),
    "InitialTransformParameterFileName": ("NoInitialTransform",),
    "ComputeZYX": ("false",),
}


def test_an_elastix_map_is_read_as_itk_reads_it():
    transform = sitk.Euler3DTransform((10, 20, 30), 0.1, -0.2, 0.3, (4, 5, 6))
    matrix = registration.matrix_from_map(MAP)
    point = (7.0, -8.0, 9.0)
    found = map_points(matrix, np.array([point]))[0]
    assert found == pytest.approx(transform.TransformPoint(point))


def test_another_transform_is_refused():
    with pytest.raises(ValueError, match=r"AffineTransform.*expected EulerTransform"):
        registration.matrix_from_map(MAP | {"Transform": ("AffineTransform",)})
    chained = MAP | {"InitialTransformParameterFileName": ("before.txt",)}
    with pytest.raises(ValueError, match="EulerTransform after before"):
        registration.matrix_from_map(chained)


def test_transforms_go_from_fixed_points_to_moving_points(shared):
    folder = shared / "data" / "elastix-lung-registration"
    parameters = {}
    name = "TransformParameters_3DCT_lung.NC.euler.ASGD.001.txt"
    for line in (folder / name).read_text().splitlines():
        if line.startswith("("):
            key, *values = line.strip("()").replace('"', "").split()
            parameters[key] = values
    fixed, moving = (
        np.loadtxt(folder / f"3DCT_lung_{name}.txt", skiprows=2)
        for name in ("baseline_landmarks", "groundtruth_point")
    )
    matrix = registration.matrix_from_map(parameters)

    def distance(points):
        return np.linalg.norm(points - moving, axis=1).mean()

    there = distance(map_points(matrix, fixed))
    back = distance(map_points(np.linalg.inv(matrix), fixed))
    assert distance(fixed) == pytest.approx(34.27, abs=0.01)
    assert there < 15 < 34 < back


def test_a_known_motion_of_the_body_comes_back():
    fixed, moving, liver, motion = pair()
    found = registration.register(fixed, moving, seed=0)
    assert error_mm(found.matrix, liver=liver, motion=motion) < 0.5
    assert found.attempt == 1
    assert found.agreement > found.agreement_before


def test_what_was_registered_before_changes_nothing():
    fixed, moving, _, _ = pair()
    once = registration.register(fixed, moving, seed=3)
    registration.register(moving, fixed, seed=1)
    again = registration.register(fixed, moving, seed=3)
    assert np.array_equal(once.matrix, again.matrix)
    other = registration.register(fixed, moving, seed=4)
    assert not np.array_equal(once.matrix, other.matrix)


def test_headers_without_overlap_are_brought_together():
    fixed, moving, liver, motion = pair()
    away = sitk.Image(moving)
    away.SetOrigin(np.add(moving.GetOrigin(), (900, 0, 0)).tolist())
    found = registration.register(fixed, away, seed=0)
    assert found.attempt == 3
    back = np.eye(4)
    back[0, 3] = -900
    assert error_mm(back @ found.matrix, liver=liver, motion=motion) < 0.5


def test_a_failed_registration_is_an_error_and_never_identity():
    fixed, moving, _, _ = pair()
    with pytest.raises(ExaminationError, match="no rigid map was found in 3 attempts"):
        registration.register(fixed, moving * 0 - 1000, seed=0)


def test_the_margin_reaches_as_far_as_it_says():
    voxel = np.zeros((21, 21, 21), np.uint8)
    voxel[10, 10, 10] = 1
    image = sitk.GetImageFromArray(voxel)
    image.SetSpacing((2.0, 2.0, 2.0))
    inside = sitk.GetArrayFromImage(registration.liver_margin(image, margin_mm=10.0))
    assert np.flatnonzero(inside[10, 10]).tolist() == list(range(5, 16))


@pytest.mark.slow
def test_breathing_is_noticed_and_the_liver_margin_undoes_it():
    cases = breathing_cases(seeds=[1], breathing_mm=[0.0, 20.0], phases=["arterial"])
    whole, margin = (
        {case.breathing_mm: case for case in cases if case.region == region}
        for region in ("whole_image", "liver_margin")
    )
    assert not whole[0.0].warned
    assert not margin[0.0].warned
    assert whole[20.0].warned
    assert margin[20.0].error_mm < 2 < whole[20.0].error_mm


@pytest.mark.slow
def test_no_error_above_3_mm_passes_and_resting_livers_are_ok():
    cases = breathing_cases(
        seeds=[10, 11], breathing_mm=[0.0, 5.0, 20.0], phases=["native"]
    )
    assert not any(case.warned for case in cases if case.breathing_mm == 0)
    assert all(case.warned for case in cases if case.error_mm > 3)
    margin = [
        case.error_mm
        for case in cases
        if case.breathing_mm == 5 and case.region == "liver_margin"
    ]
    assert np.median(margin) < 1
    missed = [abs(case.error_mm - case.residual_mm) for case in cases]
    assert max(missed) < 1


@pytest.mark.slow
def test_motions_of_a_real_scan_come_back_at_the_livers_corners(shared):
    scan, liver = read_chaos(shared / "data" / "chaos-ct-set3")
    assert max(corner_errors(scan, liver, seeds=range(2))) < 0.3
