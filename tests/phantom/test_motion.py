from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import transform

from liverjax.phantom.motion import PhaseMotion, draw_motion, rigid_matrix
from liverjax.phantom.options import PhantomOptions

MOTION = PhaseMotion(
    matrix=rigid_matrix(rotation_deg=(3.0, -4.0, 5.0), translation_mm=(6.0, -7.0, 8.0)),
    liver_shift_mm=(1.0, 2.0, -12.0),
    bend_mm=1.5,
    bend_phase=(0.3, 1.2, 2.1),
)


def test_a_quarter_turn_about_z_takes_x_to_y_about_its_centre():
    matrix = rigid_matrix(
        rotation_deg=(0.0, 0.0, 90.0),
        translation_mm=(0.0, 0.0, 5.0),
        center_mm=(10.0, 0.0, 0.0),
    )
    np.testing.assert_allclose(matrix @ [12, 0, 0, 1], [10, 2, 5, 1], atol=1e-12)


def test_the_liver_breathes_first_and_moves_with_the_body_after():
    motion = PhaseMotion(matrix=MOTION.matrix, liver_shift_mm=(0.0, 0.0, 4.0))
    point = np.array([[10.0, 20.0, 30.0]])
    expected = motion.move_body(np.array([[10.0, 20.0, 34.0]]))
    np.testing.assert_allclose(motion.move_liver(point), expected)


def test_undoing_the_breathing_brings_liver_points_back():
    rng = np.random.default_rng(0)
    points = rng.uniform(-80, 80, size=(50, 3))
    moved = MOTION.move_liver(points)
    inverse = np.linalg.inv(MOTION.matrix)
    still = moved @ inverse[:3, :3].T + inverse[:3, 3]
    back = np.stack(MOTION.unmove_liver(list(still.astype(np.float32).T)), axis=-1)
    np.testing.assert_allclose(back, points, atol=0.01)


def test_bending_stays_within_its_bound():
    axes = list(
        np.random.default_rng(0).uniform(-200, 200, (3, 1000)).astype(np.float32)
    )
    assert np.abs(MOTION.bend(axes)).max() <= 1.5


def test_drawn_motions_keep_to_the_limits_and_the_venous_phase_stands_still():
    options = PhantomOptions(
        max_rotation_deg=10.0, max_translation_mm=20.0, max_breathing_mm=15.0
    )
    drawn = [draw_motion(options, seed=1, index=i) for i in range(100)]
    angles, lengths, breaths = [], [], []
    for motions in drawn:
        assert (motions["venous"].matrix == np.eye(4)).all()
        for phase in ("native", "arterial"):
            matrix = motions[phase].matrix
            turn = transform.Rotation.from_matrix(matrix[:3, :3]).magnitude()
            angles.append(np.rad2deg(turn))
            lengths.append(np.linalg.norm(matrix[:3, 3]))
            breaths.append(abs(motions[phase].liver_shift_mm[2]))
    for values, limit in ((angles, 10), (lengths, 20), (breaths, 15)):
        assert max(values) <= limit + 1e-9
        assert np.mean(values) == pytest.approx(limit / 2, rel=0.15)
