from __future__ import annotations

import numpy as np

from liverjax.phantom.grid import Grid, Points
from liverjax.phantom.motion import rigid_matrix

GRID = Grid((5, 6, 7), (4.0, 2.0, 3.0), (-9.0, -5.0, 10.0))


def test_the_matrix_maps_column_row_slice_to_millimetres():
    assert (GRID.ijk_to_lps @ [1, 2, 3, 1]).tolist() == [-6.0, -1.0, 22.0, 1.0]


def test_points_are_the_matrix_at_every_voxel():
    turn = rigid_matrix(rotation_deg=(10.0, -5.0, 20.0), translation_mm=(1.0, 2.0, 3.0))
    points = Points(matrix=turn @ GRID.ijk_to_lps, shape=(2, 6, 7), start=(3, 0, 0))
    k, j, i = 4, 5, 2
    expected = points.matrix @ [i, j, k, 1]
    found = [axis[k - 3, j, i] for axis in points.axes()]
    np.testing.assert_allclose(found, expected[:3], rtol=1e-6, atol=1e-5)


def test_a_box_holds_every_voxel_of_its_ball():
    turn = rigid_matrix(
        rotation_deg=(20.0, 10.0, -30.0), translation_mm=(0.0, 0.0, 0.0)
    )
    grid = Grid((20, 20, 20), (2.0, 2.0, 2.0), (-20.0, -20.0, -20.0))
    points = Points(matrix=turn @ grid.ijk_to_lps, shape=grid.shape)
    center, radius = (5.0, -3.0, 2.0), 6.0
    gaps = [a - c for a, c in zip(points.axes(), center, strict=True)]
    inside = np.linalg.norm(gaps, axis=0) <= radius
    box = points.box_around(center, radius_mm=radius)
    assert inside[box].sum() == inside.sum() > 50


def test_a_ball_outside_the_block_has_no_box():
    points = Points(matrix=GRID.ijk_to_lps, shape=GRID.shape)
    assert points.box_around((500.0, 0.0, 0.0), radius_mm=10.0) is None
