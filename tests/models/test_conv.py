from __future__ import annotations

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from liverjax.models.layers.conv import Conv, conv

_LABELS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}


def _reference(x, kernel, *, strides, padding, dilation=1, groups=1):
    axes = x.ndim - 2
    pairs = ((padding, padding),) * axes if isinstance(padding, int) else padding
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides,) * axes,
        pairs,
        rhs_dilation=(dilation,) * axes,
        feature_group_count=groups,
        dimension_numbers=_LABELS[axes],
    )


def _difference(shape, kernel_shape, **options) -> float:
    """Of output and both gradients from XLA's own, float64, relative."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.standard_normal(shape))
        kernel = jnp.asarray(rng.standard_normal(kernel_shape))
        out = jax.eval_shape(lambda x, k: _reference(x, k, **options), x, kernel)
        g = jnp.asarray(rng.standard_normal(out.shape))

        @jax.jit
        def both(x, kernel, g):
            found = []
            for f in (conv, _reference):
                y, pullback = jax.vjp(lambda x, k, f=f: f(x, k, **options), x, kernel)
                found.append((y, *pullback(g)))
            return found

        ours, theirs = both(x, kernel, g)
    assert [a.shape for a in ours] == [a.shape for a in theirs]
    return max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300))
        for a, b in zip(ours, theirs, strict=True)
    )


_CASES = {
    "stem": ((2, 14, 11, 3), (7, 7, 3, 20), {"strides": 2, "padding": 3}),
    "plain": ((2, 9, 8, 4), (3, 3, 4, 3), {"strides": 1, "padding": 1}),
    "patches": ((2, 9, 8, 3), (4, 4, 3, 2), {"strides": 4, "padding": 0}),
    "taps_in_corners": (
        (2, 9, 12, 3),
        (2, 2, 3, 2),
        {"strides": 1, "padding": ((1, 2), (0, 3)), "dilation": 2},
    ),
    "pixel_by_pixel": ((2, 5, 6, 4), (1, 1, 4, 3), {"strides": 2, "padding": 0}),
    "window_over_image": ((2, 2, 2, 4), (3, 3, 4, 3), {"strides": 1, "padding": 1}),
    "strided_and_dilated": (
        (2, 9, 8, 3),
        (3, 3, 3, 2),
        {"strides": 2, "padding": 2, "dilation": 2},
    ),
    "depthwise": (
        (2, 9, 8, 4),
        (3, 3, 1, 8),
        {"strides": 2, "padding": 1, "groups": 4},
    ),
    "depthwise_of_large_taps": (
        (2, 6, 7, 4),
        (7, 7, 1, 4),
        {"strides": 1, "padding": 3, "groups": 4},
    ),
    "depthwise_by_uneven_edges": (
        (2, 9, 8, 4),
        (3, 3, 1, 4),
        {"strides": 1, "padding": ((0, 3), (1, 2)), "dilation": 2, "groups": 4},
    ),
    "depthwise_of_much_padding": (
        (2, 5, 6, 4),
        (3, 3, 1, 4),
        {"strides": 1, "padding": 4, "groups": 4},
    ),
    "two_groups": (
        (2, 9, 8, 4),
        (3, 3, 2, 6),
        {"strides": 1, "padding": 1, "groups": 2},
    ),
    "causal_sequence": (
        (2, 13, 4),
        (4, 1, 4),
        {"strides": 1, "padding": ((3, 0),), "groups": 4},
    ),
    "strided_sequence": ((2, 13, 4), (5, 4, 3), {"strides": 2, "padding": 2}),
    # Enough rows that a strided gradient is taken by phases: 2 * 24 * 23 > 1024.
    "by_phases": ((2, 47, 46, 2), (3, 3, 2, 2), {"strides": 2, "padding": 1}),
    "by_phases_of_large_taps": (
        (2, 95, 94, 2),
        (7, 7, 2, 2),
        {"strides": 4, "padding": 3},
    ),
    "by_phases_with_unseen_rows": (
        (4, 98, 99, 2),
        (2, 2, 2, 2),
        {"strides": 4, "padding": 0},
    ),
    # Columns of more than 4 MiB: strips of five rows of 45, of six rows of 30.
    "by_strips": ((4, 45, 64, 32), (3, 3, 32, 4), {"strides": 1, "padding": 1}),
    "by_strips_of_uneven_edges": (
        (4, 61, 132, 32),
        (3, 3, 32, 4),
        {"strides": 2, "padding": ((1, 2), (0, 3)), "dilation": 2},
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_conv_and_its_gradients_equal_xla_autodiff_in_float64(case):
    shape, kernel_shape, options = _CASES[case]
    assert _difference(shape, kernel_shape, **options) < 1e-13


def _grid():
    cases = []
    for size, strides, taps, padding, dilation, groups in itertools.product(
        (5, 8, 40), (1, 2, 4), (1, 2, 3, 4, 5, 7), (0, 1, 3, ((1, 2), (0, 3))), (1, 2),
        (1, 2, 4),
    ):  # fmt: skip
        low = padding if isinstance(padding, int) else 0
        if size + 2 * low >= (taps - 1) * dilation + 1:
            options = {"strides": strides, "padding": padding}
            options |= {"dilation": dilation, "groups": groups}
            shape, kernel = (2, size + 3, size, 4), (taps, taps, 4 // groups, 8)
            cases.append((shape, kernel, options))
    return random.Random(0).sample(cases, 30)


@pytest.mark.slow
@pytest.mark.parametrize("case", _grid(), ids=str)
def test_conv_equals_xla_over_a_grid(case):
    shape, kernel_shape, options = case
    assert _difference(shape, kernel_shape, **options) < 1e-13


def _objective(x, kernel):
    y = conv(x, kernel, strides=1, padding=1)
    return jnp.square(jax.nn.relu(y)).sum()


def _arrays(dtype=jnp.float32):
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.standard_normal((2, 6, 6, 4)), dtype)
    return x, jnp.asarray(rng.standard_normal((3, 3, 4, 4)), dtype)


def test_half_precision_is_accumulated_in_single():
    x, kernel = _arrays(jnp.bfloat16)
    y = conv(x, kernel, strides=1, padding=1)
    wide = conv(x.astype(jnp.float32), kernel.astype(jnp.float32), strides=1, padding=1)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, wide.astype(jnp.bfloat16))
    gradients = jax.grad(_objective, (0, 1))(x, kernel)
    assert [g.dtype for g in gradients] == [jnp.bfloat16] * 2


def test_gradients_under_vmap_are_those_of_each_member():
    x, kernel = _arrays()
    kernels = jnp.stack([kernel, 2 * kernel])
    together = jax.jit(jax.vmap(jax.grad(_objective, 1), (None, 0)))(x, kernels)
    alone = jnp.stack([jax.grad(_objective, 1)(x, k) for k in kernels])
    np.testing.assert_allclose(together, alone, rtol=2e-5, atol=1e-3)


def test_a_loop_has_the_same_bits_as_its_steps():
    x, kernel = _arrays()

    @jax.jit
    def step(kernel, x):
        return kernel - 1e-3 * jax.grad(_objective, 1)(x, kernel)

    @jax.jit
    def loop(kernel, x, stop):
        return lax.fori_loop(0, stop, lambda _, k: step(k, x), kernel)

    stepped = kernel
    for _ in range(3):
        stepped = step(stepped, x)
    np.testing.assert_array_equal(loop(kernel, x, 3), stepped)


def test_every_cpu_device_gives_the_same_bits():
    if len(jax.devices()) < 2:
        pytest.skip("one device")
    x, kernel = _arrays()
    gradient = jax.jit(jax.grad(_objective, (0, 1)))
    found = [
        gradient(*jax.device_put((x, kernel), device)) for device in jax.devices()[:2]
    ]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_forward_mode_is_refused():
    x, kernel = _arrays()
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(_objective, (x, kernel), (x, kernel))


@pytest.mark.parametrize(
    ("kernel_shape", "options", "message"),
    [
        ((3, 3, 3, 4), {}, "4 channels do not fit"),
        ((3, 3, 2, 3), {"groups": 2}, "do not fit"),
        ((9, 9, 4, 4), {}, "larger than the image"),
        ((3, 4, 4), {}, "takes"),
        ((3, 3, 4, 4), {"strides": 0}, "at least 1"),
        ((3, 3, 4, 4), {"padding": ((1, 1),)}, "2 pairs"),
    ],
)
def test_what_does_not_fit_is_refused(kernel_shape, options, message):
    x = jnp.zeros((1, 6, 6, 4))
    options = {"strides": 1, "padding": 0} | options
    with pytest.raises(ValueError, match=message):
        conv(x, jnp.zeros(kernel_shape), **options)


def test_the_layer_keeps_float32_parameters_and_adds_its_bias():
    layer = Conv(5, (3, 3), padding=1, use_bias=True, dtype=jnp.bfloat16)
    x = jnp.ones((1, 4, 4, 2))
    variables = layer.init(jax.random.key(0), x)
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    bias = variables["params"]["bias"] + 2
    variables = {"params": {**variables["params"], "bias": bias}}
    y = layer.apply(variables, jnp.zeros_like(x))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(y, np.float32), 2)
