from __future__ import annotations

import numpy as np
import pytest

from liverjax.phantom.shapes import (
    LATTICE,
    ellipsoid,
    random_lattice,
    sample_lattice,
    smooth_max,
    smooth_min,
    superellipse,
    tube,
)

RNG = np.random.default_rng(0)
POINTS = [a.astype(np.float32) for a in RNG.uniform(-40, 40, size=(3, 500))]


def test_a_sphere_is_the_ellipsoid_of_equal_radii():
    distance = ellipsoid(POINTS, center=(1.0, 2.0, 3.0), radii=(9.0, 9.0, 9.0))
    gap = [a - c for a, c in zip(POINTS, (1, 2, 3), strict=True)]
    np.testing.assert_allclose(distance, np.linalg.norm(gap, axis=0) - 9, atol=1e-3)


def test_a_tilted_ellipsoid_reaches_along_its_turned_axis():
    # Half axis 10 along x, turned by 90 degrees: along y.
    axes = [np.float32([0.0, 11.0]), np.float32([9.0, 0.0]), np.float32([0.0, 0.0])]
    tilted = ellipsoid(
        axes, center=(0.0, 0.0, 0.0), radii=(10.0, 2.0, 2.0), tilt_deg=90.0
    )
    assert tilted[0] < 0 < tilted[1]


def test_a_tube_of_one_radius_is_a_capsule():
    axes = [np.float32([0, 5, 14]), np.float32([3, 0, 0]), np.float32([0, 0, 0])]
    distance = tube(axes, start=(0.0, 0.0, 0.0), end=(10.0, 0.0, 0.0), radii=(2.0, 2.0))
    assert distance == pytest.approx([1.0, -2.0, 2.0])


def test_a_superellipse_of_power_2_is_zero_on_the_ellipse():
    angle = np.linspace(0, 6, 20, dtype=np.float32)
    x, y = 30 * np.cos(angle), 20 * np.sin(angle)
    edge = superellipse(x, y, half_widths=(30.0, 20.0), power=2.0)
    np.testing.assert_allclose(edge, 0, atol=1e-4)


def test_smooth_joins_touch_the_sharp_ones_away_from_the_seam():
    a, b = POINTS[0], POINTS[1]
    union, common = smooth_min(a, b, width=6.0), smooth_max(a, b, width=6.0)
    far = np.abs(a - b) >= 6
    np.testing.assert_allclose(union[far], np.minimum(a, b)[far])
    np.testing.assert_allclose(common[far], np.maximum(a, b)[far])
    assert (np.minimum(a, b) - union).max() <= 6 / 4
    assert (union <= np.minimum(a, b)).all()
    assert (common >= np.maximum(a, b)).all()


def test_a_lattice_has_mean_0_and_sd_1_and_repeats():
    lattice = random_lattice(np.random.default_rng(1), smoothing_knots=(1.0, 1.0, 1.0))
    assert lattice.mean() == pytest.approx(0, abs=1e-5)
    assert lattice.std() == pytest.approx(1, abs=1e-5)
    here = sample_lattice(lattice, axes=POINTS, knot_mm=5.0)
    shifted = [POINTS[0] + np.float32(LATTICE * 5.0), POINTS[1], POINTS[2]]
    np.testing.assert_allclose(
        sample_lattice(lattice, axes=shifted, knot_mm=5.0), here, atol=1e-3
    )


def test_a_lattice_is_read_exactly_at_its_knots():
    lattice = random_lattice(np.random.default_rng(1), smoothing_knots=(1.0, 1.0, 1.0))
    x, y, z = (np.float32([v]) for v in (3 * 5.0, 4 * 5.0, 7 * 5.0))
    assert sample_lattice(lattice, axes=[x, y, z], knot_mm=5.0)[0] == pytest.approx(
        lattice[7, 4, 3]
    )
