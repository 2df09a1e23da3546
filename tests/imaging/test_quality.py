from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from liverjax.imaging import quality
from liverjax.imaging.geometry import euler_matrix, map_points, translation_matrix
from liverjax.phantom.motion import rigid_matrix
from tests.imaging.pairs import BODY, pair


def agreement(after: np.ndarray | None = None, **options) -> quality.LiverAgreement:
    """Of the true body map followed, in the fixed frame, by an error."""
    fixed, moving, liver, _ = pair(**options)
    error = np.eye(4) if after is None else after
    return quality.liver_agreement(fixed, moving, BODY @ error, liver=liver)


def test_the_true_map_leaves_nothing_at_the_liver():
    found = agreement()
    assert found.residual_mm < 0.6
    assert found.findings(channel="native") == ()
    assert found.covered > 0.95


@pytest.mark.parametrize("breathing_mm", [-8.0, 8.0])
def test_breathing_is_measured_with_its_direction(breathing_mm):
    found = agreement(breathing_mm=breathing_mm)
    assert found.shift_mm == pytest.approx((0, 0, breathing_mm), abs=1.0)
    assert found.residual_mm == pytest.approx(8, abs=1.0)
    assert found.best_information > found.information


def test_a_map_that_misses_the_whole_body_is_measured_too():
    found = agreement(translation_matrix((3.0, -4.0, 0.0)))
    assert found.residual_mm == pytest.approx(5, abs=0.8)
    assert map_points(found.correction, np.zeros((1, 3)))[0] == pytest.approx(
        (-3, 4, 0), abs=2.0
    )


def test_a_rotation_of_the_liver_is_not_overlooked():
    _, _, liver, _ = pair()
    centre = quality.index_points(liver, np.array([[24, 40, 30]]))[0]
    turned = rigid_matrix(
        rotation_deg=(0.0, 0.0, 6.0),
        translation_mm=(0.0, 0.0, 0.0),
        center_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
    )
    found = agreement(turned)
    assert found.residual_mm > quality.LARGEST_RESIDUAL_MM


def test_edges_and_information_fall_when_the_liver_is_missed():
    right, wrong = agreement(), agreement(breathing_mm=8.0)
    assert wrong.edges < right.edges
    assert wrong.information < right.information


def test_a_finding_says_how_far_and_which_way():
    found = dataclasses.replace(
        agreement(), residual_mm=6.2, shift_mm=(0.1, -0.9, -6.1)
    )
    (finding,) = found.findings(channel="arterial")
    assert finding.code == "liver-motion-not-recovered"
    assert finding.level == "warning"
    assert "arterial: the liver is seen 6.2 mm" in finding.text
    assert "x +0.1, y -0.9, z -6.1 mm" in finding.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"best_information": 0.01}, "hardly agree at the liver"),
        ({"covered": 0.3}, "70% of the liver's shell was not scanned"),
    ],
)
def test_other_reasons_to_look_are_named(change, words):
    found = dataclasses.replace(agreement(), residual_mm=0.1, **change)
    (finding,) = found.findings(channel="native")
    assert words in finding.text


def test_rigid_between_gives_back_a_rigid_motion():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 40, (6, 3))
    matrix = euler_matrix(
        (0.1, -0.2, 0.3), translation_mm=(4.0, 5.0, 6.0), centre_mm=(1.0, 2.0, 3.0)
    )
    found = quality.rigid_between(points, map_points(matrix, points))
    assert found == pytest.approx(matrix)


def test_motion_is_the_angle_and_the_way_of_a_point():
    matrix = euler_matrix(
        (0.0, 0.0, np.radians(90.0)),
        translation_mm=(0.0, 0.0, 0.0),
        centre_mm=(0.0, 0.0, 0.0),
    )
    found = quality.motion_of(matrix, at_mm=np.array([3.0, 4.0, 0.0]))
    assert found.rotation_deg == pytest.approx(90)
    assert found.translation_mm == pytest.approx(50**0.5)  # (3, 4) goes to (-4, 3)
