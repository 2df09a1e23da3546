from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models.layers.drop_path import DropPath, drop_path_rates


def _apply(rate, x, *, train, seed=0):
    return DropPath(rate).apply(
        {}, x, train=train, rngs={"dropout": jax.random.key(seed)}
    )


def test_nothing_is_dropped_outside_training_or_at_rate_zero():
    x = jnp.ones((4, 2, 3))
    assert _apply(0.5, x, train=False) is x
    assert _apply(0.0, x, train=True) is x


def test_a_branch_is_dropped_whole_or_scaled_up():
    y = np.asarray(_apply(0.25, jnp.ones((4000, 2, 3)), train=True))
    kept = y[:, 0, 0] != 0
    np.testing.assert_array_equal(y[kept], np.float32(1 / 0.75))
    np.testing.assert_array_equal(y[~kept], 0)
    assert abs(kept.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 4000)


def test_images_differ_by_key_alone():
    x = jnp.ones((64, 1))
    first, again, other = (_apply(0.5, x, train=True, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_dropped_branch_has_no_gradient():
    x = jnp.ones((64, 3))
    y = _apply(0.5, x, train=True)
    g = jax.grad(lambda x: _apply(0.5, x, train=True).sum())(x)
    np.testing.assert_array_equal(g, y)


def test_half_precision_stays_half():
    assert _apply(0.5, jnp.ones((4, 2), jnp.bfloat16), train=True).dtype == jnp.bfloat16


def test_rates_rise_in_equal_steps():
    assert drop_path_rates(0.3, blocks=4) == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert drop_path_rates(0.3, blocks=1) == (0.0,)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match="drop_path must be in"):
        _apply(rate, jnp.ones((2, 2)), train=True)
