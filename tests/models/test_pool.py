from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from liverjax.models.layers.pool import adaptive_average_pool, max_pool


def test_max_pool_equals_xla_reduce_window():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 7, 9, 3)), jnp.float32)
    padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
    expected = lax.reduce_window(
        x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding
    )
    np.testing.assert_array_equal(max_pool(x, size=3, strides=2, padding=1), expected)


def test_padding_never_wins():
    x = jnp.full((1, 2, 2, 1), -5.0)
    np.testing.assert_array_equal(max_pool(x, size=3, strides=2, padding=1), -5.0)


def test_gradient_goes_to_the_first_of_equal_values_in_row_order():
    rows = [[0.0, 2.0, 1.0], [2.0, 2.0, 0.0], [2.0, 0.0, 0.0]]
    x = jnp.asarray(rows)[None, :, :, None]
    g = jax.grad(lambda x: max_pool(x, size=3, strides=1).sum())(x)
    np.testing.assert_array_equal(g[0, :, :, 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_gradients_of_overlapping_windows_add_up():
    x = jnp.asarray([[0.0, 0.0, 9.0, 0.0, 0.0]] * 5)[None, :, :, None]
    g = jax.grad(lambda x: max_pool(x, size=3, strides=2).sum())(x)
    # Four windows; 9 is in all, at the top of the first two and of the last two.
    expected = np.zeros((5, 5))
    expected[0, 2] = expected[2, 2] = 2
    np.testing.assert_array_equal(g[0, :, :, 0], expected)


def test_gradient_of_max_pool_equals_autodiff_where_no_values_are_equal():
    x = jnp.asarray(np.random.default_rng(0).permutation(2 * 7 * 9).reshape(2, 7, 9, 1))
    x = x.astype(jnp.float32)
    g = jnp.asarray(np.random.default_rng(1).standard_normal((2, 4, 5, 1)), jnp.float32)

    def plain(x):
        padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
        return lax.reduce_window(
            x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding
        )

    ours = jax.vjp(lambda x: max_pool(x, size=3, strides=2, padding=1), x)[1](g)[0]
    np.testing.assert_allclose(ours, jax.vjp(plain, x)[1](g)[0], rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"size": 5, "strides": 1}, {"size": 2, "strides": 1, "padding": 2}]
)
def test_a_window_that_does_not_fit_is_refused(options):
    with pytest.raises(ValueError, match="does not fit"):
        max_pool(jnp.zeros((1, 4, 4, 1)), **options)


def test_adaptive_windows_cover_the_image_as_pytorch_cuts_them():
    x = jnp.arange(8, dtype=jnp.float32)[None, :, None, None].repeat(3, axis=2)
    y = adaptive_average_pool(x, size=7)
    # Windows of two rows each: 0-1, 1-2, ..., 6-7; three columns to seven: 0 or 0-1 ...
    np.testing.assert_allclose(y[0, :, 0, 0], np.arange(7) + 0.5)
    assert y.shape == (1, 7, 7, 1)


def test_adaptive_pool_equals_windows_written_out():
    x = np.random.default_rng(0).standard_normal((2, 6, 17, 3)).astype(np.float32)
    y = np.asarray(adaptive_average_pool(jnp.asarray(x), size=7))
    for i in range(7):
        for j in range(7):
            rows = slice(i * 6 // 7, -(-(i + 1) * 6 // 7))
            columns = slice(j * 17 // 7, -(-(j + 1) * 17 // 7))
            expected = x[:, rows, columns].mean((1, 2))
            np.testing.assert_allclose(y[:, i, j], expected, rtol=1e-5, atol=1e-6)


def test_adaptive_pool_leaves_an_image_of_its_size_alone():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 7, 7, 2)), jnp.float32)
    np.testing.assert_array_equal(adaptive_average_pool(x, size=7), x)
