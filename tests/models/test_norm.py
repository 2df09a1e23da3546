from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from liverjax.models.layers.norm import BatchNorm, LayerNorm, _normalised


def _train(x, **options):
    norm = BatchNorm(**options)
    variables = norm.init(jax.random.key(0), x, train=False)
    return norm.apply(variables, x, train=True, mutable=["batch_stats"])


def test_running_variance_is_the_unbiased_one():
    x = jnp.asarray([1.0, 2.0, 3.0, 6.0]).reshape(4, 1, 1, 1)
    y, updated = _train(x)
    # Mean 3, squares 4 + 1 + 0 + 9 = 14: biased 14 / 4, unbiased 14 / 3.
    stats = updated["batch_stats"]
    np.testing.assert_allclose(stats["mean"], [0.3], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], [0.9 + 0.1 * 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(
        y.ravel(), np.array([-2, -1, 0, 3]) / np.sqrt(3.5 + 1e-5), rtol=1e-6, atol=1e-7
    )


def test_evaluation_uses_the_running_statistics():
    norm, x = BatchNorm(), jnp.full((1, 2, 2, 1), 7.0)
    variables = {
        "params": {"scale": jnp.array([2.0]), "bias": jnp.array([1.0])},
        "batch_stats": {"mean": jnp.array([3.0]), "var": jnp.array([4.0])},
    }
    y = norm.apply(variables, x, train=False)
    np.testing.assert_allclose(y, 1 + 2 * 4 / np.sqrt(4 + 1e-5), rtol=1e-6)


def test_gradient_equals_autodiff_of_the_formula():
    rng = np.random.default_rng(0)

    def plain(x, scale, bias):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        spread = [jnp.broadcast_to(a, x.shape) for a in (mean, var, scale, bias)]
        y = (x - spread[0]) / jnp.sqrt(spread[1] + 1e-5) * spread[2] + spread[3]
        return y, mean, var

    with jax.enable_x64(True):
        x = jnp.asarray(rng.standard_normal((3, 4, 5, 2)) + 3)
        scale, bias = jnp.asarray([0.7, -1.3]), jnp.asarray([0.1, 2.0])
        out = plain(x, scale, bias)
        cotangents = tuple(jnp.asarray(rng.standard_normal(a.shape)) for a in out)
        ours, pullback = jax.vjp(lambda *a: _normalised(*a, 1e-5), x, scale, bias)
        gradients = pullback(cotangents)
        expected = jax.vjp(plain, x, scale, bias)[1](cotangents)
    for a, b in zip((*ours, *gradients), (*out, *expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_large_mean_does_not_spoil_the_variance():
    x = np.random.default_rng(0).standard_normal((4, 8, 8, 1)) + 10_000
    x = jnp.asarray(x, jnp.float32)
    y, _ = _train(x)
    assert abs(float(y.std()) - 1) < 1e-3


def test_half_precision_has_single_precision_statistics():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((8, 16, 16, 2)))
    x = x.astype(jnp.bfloat16)
    y, updated = _train(x)
    exact = np.asarray(x, np.float64).var((0, 1, 2), ddof=1)
    assert y.dtype == jnp.bfloat16
    assert updated["batch_stats"]["var"].dtype == jnp.float32
    np.testing.assert_allclose(
        updated["batch_stats"]["var"], 0.9 + 0.1 * exact, rtol=1e-6
    )


def test_a_sharded_batch_has_the_statistics_of_the_whole_batch():
    if len(jax.devices()) < 2:
        pytest.skip("one device")
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3, 3, 2)), jnp.float32)
    x = x + jnp.arange(4.0).reshape(4, 1, 1, 1) * jnp.ones_like(x)
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    whole, sharded = jax.jit(_train)(x), jax.jit(_train)(spread)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(sharded), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_value_a_channel_is_refused_in_training():
    with pytest.raises(ValueError, match="at least two values"):
        _train(jnp.zeros((1, 1, 1, 3)))


def _layer_norm(x, **options):
    layer = LayerNorm(**options)
    return layer.apply(layer.init(jax.random.key(0), x), x)


def test_layer_norm_equals_flax_with_slow_variance():
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 8)).astype(np.float32) + 3
    flax_layer = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)
    rng = np.random.default_rng(1)
    params = {"scale": rng.standard_normal(8), "bias": rng.standard_normal(8)}
    variables = {"params": jax.tree.map(jnp.float32, params)}
    ours = LayerNorm(1e-5).apply(variables, jnp.asarray(x))
    np.testing.assert_allclose(ours, flax_layer.apply(variables, x), atol=2e-6)


def test_layer_norm_sees_its_epsilon():
    x = jnp.asarray([[0.0, 0.002]])
    np.testing.assert_allclose(_layer_norm(x, eps=3e-6)[0], [-0.5, 0.5], rtol=1e-5)


def test_layer_norm_of_half_precision_has_single_statistics():
    x = jnp.asarray([[256.0, 258.0] * 4], jnp.bfloat16)
    y = _layer_norm(x, eps=1e-6)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y[0].astype(jnp.float32), [-1.0, 1.0] * 4)
