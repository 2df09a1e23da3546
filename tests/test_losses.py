from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.losses import LOSSES, binary_cross_entropy, cross_entropy, mse


def test_mse_is_the_squared_difference_of_each_example():
    outputs, target = jnp.array([[1.0], [3.0]]), jnp.array([2.0, 7.0])
    np.testing.assert_array_equal(mse(outputs, target), [1.0, 16.0])


def test_cross_entropy_is_minus_the_log_probability_of_the_class():
    probs = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    loss = cross_entropy(jnp.log(jnp.array(probs)), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(loss, -np.log([0.5, 0.1]), rtol=1e-6)


def test_binary_cross_entropy_is_finite_for_sure_answers():
    outputs = jnp.array([[0.0], [200.0], [-200.0]])
    loss = binary_cross_entropy(outputs, jnp.array([1, 1, 1]))
    np.testing.assert_allclose(loss, [np.log(2), 0.0, 200.0], atol=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_is_that_of_finite_differences(name):
    width = 3 if name == "cross_entropy" else 1
    outputs = np.random.default_rng(0).normal(size=(4, width))
    target = jnp.array([0.0, 1.0, 1.0, 0.0])
    with jax.enable_x64(True):

        def mean(x):
            return LOSSES[name](jnp.asarray(x), target).mean()

        slope = np.asarray(jax.grad(mean)(jnp.asarray(outputs)))
        change = np.zeros_like(outputs)
        change[2, 0] = 1e-6
        numeric = (mean(outputs + change) - mean(outputs - change)) / 2e-6
    assert slope[2, 0] == pytest.approx(float(numeric), rel=1e-6)
