from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.stats

from liverjax.data.augment_settings import FOLDING_LIMIT, AugmentSettings
from liverjax.data.warp import (
    Warp,
    bspline_field,
    draw_warp,
    num_control_points,
    sample_linear,
    sample_nearest,
    warp_coordinates,
)

linear, nearest = jax.jit(sample_linear), jax.jit(sample_nearest)
coordinates_of = jax.jit(
    warp_coordinates, static_argnames=("stored_px", "crop_px", "grid_px")
)


@functools.cache
def many_draws(settings: AugmentSettings, num: int = 4000) -> Warp:
    draw = functools.partial(draw_warp, settings=settings, crop_px=40)
    return jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(7), num))


def planted(*, angle_deg=0.0, scale=1.0, mirror=(1.0, 1.0), crop_px=40, grid_px=16):
    points = num_control_points(crop_px, grid_px=grid_px)
    return Warp(
        jnp.float32(np.radians(angle_deg)),
        jnp.float32(scale),
        jnp.array(mirror, jnp.float32),
        jnp.zeros((points, points, 2)),
    )


def somewhere(rng, *, size_px, num=60):
    """Coordinates in and around an array, some on pixels, borders and midway."""
    spots = rng.uniform(-3, max(size_px) + 3, (2, num, num))
    halves = rng.random(spots.shape) < 0.3
    spots = np.where(halves, np.round(spots * 2) / 2, spots)
    spots[0, 0], spots[1, 1] = size_px[0] - 1, 0
    return spots.astype(np.float32)


@pytest.mark.parametrize(
    ("sample", "order", "dtype"),
    [
        (linear, 1, np.uint8),
        (linear, 1, np.float32),
        (nearest, 0, np.uint8),
        (nearest, 0, np.int16),
    ],
)
def test_sampling_agrees_with_scipy(sample, order, dtype):
    rng = np.random.default_rng(0)
    stored = rng.uniform(0, 255, (37, 50, 3)).astype(dtype)
    spots = somewhere(rng, size_px=(37, 50))
    found = sample(jnp.asarray(stored), jnp.asarray(spots))
    expected = np.stack(
        [
            scipy.ndimage.map_coordinates(
                stored[..., channel].astype(np.float64),
                spots.astype(np.float64),
                order=order,
                mode="constant",
                cval=0.0,
            )
            for channel in range(3)
        ],
        axis=-1,
    )
    assert (expected == 0).mean() > 0.05  # some are outside
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 if order else 0)


def test_an_array_of_one_pixel_can_be_sampled():
    nine, spots = jnp.full((1, 1, 1), 9, jnp.uint8), jnp.zeros((2, 1, 1))
    assert linear(nine, spots).item() == 9
    assert nearest(nine, spots).item() == 9


def test_linear_values_stay_within_their_neighbours():
    spots = jax.random.uniform(jax.random.key(0), (2, 99, 99), maxval=9.0)
    white = jnp.full((10, 10, 1), 255, jnp.uint8)
    assert np.all(linear(white, spots) == 255)


@pytest.mark.parametrize("stored_px", [(40, 40), (61, 52), (80, 41)])
def test_a_warp_that_changes_nothing_gives_the_pixels_of_the_crop(stored_px):
    spots = coordinates_of(planted(), stored_px=stored_px, crop_px=40, grid_px=16)
    top, left = ((side - 40) // 2 for side in stored_px)
    np.testing.assert_array_equal(spots, np.mgrid[top : top + 40, left : left + 40])


def test_a_positive_angle_turns_the_picture_clockwise():
    stored = np.zeros((21, 21, 1), np.uint8)
    stored[10, 18] = 255  # 3 o'clock
    spots = coordinates_of(
        planted(angle_deg=90, crop_px=21), stored_px=(21, 21), crop_px=21, grid_px=16
    )
    turned = np.round(linear(jnp.asarray(stored), spots))
    assert np.argwhere(turned[..., 0] > 200).tolist() == [[18, 10]]  # 6 o'clock


def test_scale_magnifies_about_the_centre():
    stored = np.zeros((41, 41, 1), np.uint8)
    stored[20, 20:25] = 255
    spots = coordinates_of(
        planted(scale=2.0, crop_px=21), stored_px=(41, 41), crop_px=21, grid_px=16
    )
    row = np.asarray(nearest(jnp.asarray(stored), spots))[10, :, 0]
    # Stored column 20 + k is seen at 10 + 2 k.
    assert np.flatnonzero(row).tolist() == list(range(9, 19))


@pytest.mark.parametrize(("mirror", "axis"), [((-1.0, 1.0), 0), ((1.0, -1.0), 1)])
def test_a_mirrored_axis_is_the_flipped_crop(mirror, axis):
    stored = np.random.default_rng(0).integers(0, 255, (60, 60, 2), np.uint8)
    spots = coordinates_of(
        planted(mirror=mirror), stored_px=(60, 60), crop_px=40, grid_px=16
    )
    expected = np.flip(stored[10:50, 10:50], axis)
    np.testing.assert_array_equal(nearest(jnp.asarray(stored), spots), expected)


def test_coordinates_agree_with_a_float64_reckoning():
    settings = AugmentSettings(elastic_grid_px=26, flip_columns_probability=0.5)
    warp = draw_warp(jax.random.key(3), settings=settings, crop_px=70)
    found = coordinates_of(warp, stored_px=(101, 90), crop_px=70, grid_px=26)
    shift = scipy_field(np.float64(warp.control_px), size_px=70, grid_px=26)
    spots = (np.mgrid[:70, :70] - 34.5 + shift) * np.float64(warp.mirror)[:, None, None]
    angle = float(warp.angle_rad)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ) / float(warp.scale)
    expected = np.einsum("ij,jyx->iyx", turn, spots)
    expected += np.array([15 + 34.5, 10 + 34.5])[:, None, None]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)


def scipy_field(control, *, size_px, grid_px):
    knots = np.arange(-3.0, control.shape[0] + 1)
    spots = np.arange(size_px) / grid_px
    rows = scipy.interpolate.BSpline(knots, control, 3)(spots)
    both = scipy.interpolate.BSpline(knots, np.swapaxes(rows, 0, 1), 3)(spots)
    return np.moveaxis(both, (0, 1, 2), (2, 1, 0))


@pytest.mark.parametrize(("size_px", "grid_px"), [(40, 16), (33, 16), (32, 16), (9, 1)])
def test_the_elastic_field_is_the_cubic_b_spline_of_its_grid(size_px, grid_px):
    points = num_control_points(size_px, grid_px=grid_px)
    control = np.random.default_rng(1).normal(size=(points, points, 2))
    field = functools.partial(bspline_field, size_px=size_px, grid_px=grid_px)
    found = jax.jit(field)(jnp.asarray(control, jnp.float32))
    expected = scipy_field(control, size_px=size_px, grid_px=grid_px)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_the_strongest_elastic_field_never_folds():
    grid_px, size_px = 16, 48
    points = num_control_points(size_px, grid_px=grid_px)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (300, points, points, 2))
    control = jnp.asarray(signs * FOLDING_LIMIT * grid_px, jnp.float32)
    field = functools.partial(bspline_field, size_px=size_px, grid_px=grid_px)
    shift = np.float64(jax.jit(jax.vmap(field))(control))
    rows_by_row, rows_by_column = np.gradient(shift[:, 0], axis=(1, 2))
    columns_by_row, columns_by_column = np.gradient(shift[:, 1], axis=(1, 2))
    area = (1 + rows_by_row) * (1 + columns_by_column) - rows_by_column * columns_by_row
    assert area.min() > 0
    assert area.min() < 0.3  # the limit is not idle


def test_the_elastic_field_has_the_stated_spread():
    settings = AugmentSettings(elastic_px=(10.0, 10.0))
    field = functools.partial(bspline_field, size_px=40, grid_px=32)
    shift = jax.jit(jax.vmap(field))(many_draws(settings, 1000).control_px)
    assert np.std(shift[:, :, 4:36, 4:36]) == pytest.approx(2.8, abs=0.1)


def test_without_elastic_deformation_there_is_no_field():
    none = AugmentSettings(elastic_probability=0.0)
    warp = draw_warp(jax.random.key(0), settings=none, crop_px=40)
    assert warp.control_px.shape == (0, 0, 2)
    still = warp._replace(control_px=planted().control_px)
    found = [
        coordinates_of(each, stored_px=(60, 60), crop_px=40, grid_px=16)
        for each in (warp, still)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_draws_fill_their_ranges_evenly():
    warps = many_draws(AugmentSettings(rotation_deg=(-10.0, 30.0), scale=(0.5, 2.0)))
    angle_deg = np.degrees(warps.angle_rad)
    shares = {
        "angle": (angle_deg + 10) / 40,
        "scale": (np.log2(warps.scale) + 1) / 2,
        "limit": np.abs(warps.control_px).max(axis=(1, 2, 3)) / 12,
    }
    for name, share in shares.items():
        assert share.min() >= -1e-6, name
        assert share.max() <= 1 + 1e-6, name
    for name in ("angle", "scale"):
        assert scipy.stats.kstest(shares[name], "uniform").pvalue > 0.01
    together = scipy.stats.spearmanr(np.stack(list(shares.values())), axis=1)
    assert np.abs(together.statistic - np.eye(3)).max() < 0.05


def test_each_transform_acts_as_often_as_its_probability():
    warps = many_draws(
        AugmentSettings(
            rotation_probability=0.2,
            scale_probability=0.5,
            elastic_probability=0.8,
            flip_rows_probability=0.3,
            flip_columns_probability=0.0,
        )
    )
    shares = [
        np.mean(warps.angle_rad != 0),
        np.mean(warps.scale != 1),
        np.mean(np.any(warps.control_px != 0, axis=(1, 2, 3))),
        np.mean(warps.mirror[:, 0] == -1),
        np.mean(warps.mirror[:, 1] == -1),
    ]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.8, 0.3, 0.0], atol=0.03)
