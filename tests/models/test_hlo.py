"""No convolution that autodiff left in the compiled step of a loop."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from liverjax.models import make
from liverjax.models.layers.conv import conv
from tests.models.families import SMALLEST, small
from tests.models.hlo import count_convolutions, slow_convolutions


def _plain(x, kernel, *, strides, padding, groups=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides,) * 2,
        ((padding, padding),) * 2,
        feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _loop_text(objective, params, *data) -> str:
    """The compiled program of three gradient steps in a loop."""

    def body(_, params):
        gradients = jax.grad(objective)(params, *data)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradients)

    def loop(params, data):
        del data
        return lax.fori_loop(0, 3, body, params)

    return jax.jit(loop).lower(params, data).compile().as_text()


def _two_layers(function, params, x):
    y = jax.nn.relu(function(x, params[0], strides=2, padding=1))
    return jnp.square(function(y, params[1], strides=1, padding=1)).sum()


@pytest.mark.parametrize(("function", "slow"), [(_plain, True), (conv, False)])
def test_autodiff_leaves_slow_convolutions_and_conv_does_not(function, slow):
    x = jnp.ones((4, 48, 48, 20))
    params = (jnp.ones((3, 3, 20, 24)), jnp.ones((3, 3, 24, 24)))
    text = _loop_text(functools.partial(_two_layers, function), params, x)
    assert count_convolutions(text) >= 4
    assert bool(slow_convolutions(text)) is slow


def _depthwise(function, params, x):
    return jnp.square(function(x, params, strides=1, padding=3, groups=16)).sum()


@pytest.mark.parametrize(("function", "slow"), [(_plain, True), (conv, False)])
def test_depthwise_layers_are_no_grouped_convolutions(function, slow):
    x, params = jnp.ones((4, 12, 12, 16)), jnp.ones((7, 7, 1, 16))
    text = _loop_text(functools.partial(_depthwise, function), params, x)
    assert bool(slow_convolutions(text)) is slow


def test_a_window_larger_than_its_image_counts_as_slow():
    x, kernel = jnp.ones((2, 2, 2, 24)), jnp.ones((3, 3, 24, 24))
    text = jax.jit(_plain, static_argnames=("strides", "padding"))
    text = text.lower(x, kernel, strides=1, padding=1).compile().as_text()
    assert slow_convolutions(text)


def _step_text(model, size) -> str:
    image, target = jnp.ones((16, size, size, 3)), jnp.ones((16, 1))
    variables = jax.eval_shape(
        lambda key: model.init(key, image, train=False), jax.random.key(0)
    )
    variables = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), variables)
    stats = {key: value for key, value in variables.items() if key != "params"}

    def objective(params, image, target):
        logits, _ = model.apply(
            {"params": params, **stats},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
        return jnp.square(logits - target).mean()

    return _loop_text(objective, variables["params"], image, target)


def test_a_quarter_wide_resnet18_trains_without_slow_convolutions():
    text = _step_text(make("resnet18", num_outputs=1, width=16), 80)
    # At least the forward convolutions that are not matrix products.
    assert count_convolutions(text) >= 20
    assert slow_convolutions(text) == []


@pytest.mark.parametrize(
    "name", sorted({*SMALLEST} - {"resnet", "mobilenet_shortcuts"})
)
def test_each_family_trains_without_slow_convolutions(name):
    text = _step_text(small(name), 64)
    assert count_convolutions(text) >= 1
    assert slow_convolutions(text) == []
