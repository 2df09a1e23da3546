"""Pooling of channels-last images by shifted slices, which XLA fuses into one loop."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.window import Window, output_size, scattered, shifted


def max_pool(
    x: Float[Array, "b h w c"], *, size: int, strides: int, padding: int = 0
) -> Float[Array, "b p q c"]:
    """The largest value in each window; outside the image is minus infinity.

    The gradient goes to the first of equal values in row order, as in PyTorch, and is a
    plain sum, so it is deterministic on every device.

    Args:
        x: Images.
        size: Height and width of the window.
        strides: Step of the window.
        padding: Rows added on each side, at most half of ``size``.

    Raises:
        ValueError: If the window does not fit into the padded image.
    """
    _checked(x.shape, size, strides, padding)
    # Rows of the window first, then columns: the gradient costs a third of one in two
    # axes, and the first of equal values stays the first in row order.
    edges = (padding, padding)
    x = _max_pool(x, Window((1, strides), ((0, 0), edges)), (1, size))
    return _max_pool(x, Window((strides, 1), (edges, (0, 0))), (size, 1))


def adaptive_average_pool(
    x: Float[Array, "b h w c"], *, size: int
) -> Float[Array, "b p q c"]:
    """Means of ``size`` by ``size`` windows that cover the image, as PyTorch cuts them.

    Window i of n pixels reaches from floor(i n / size) to ceil((i + 1) n / size), so
    windows may overlap, and an image of ``size`` pixels stays as it is. Accumulated in
    float32.

    Args:
        x: Images of any height and width.
        size: Height and width of the result.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for axis in (1, 2):
        if x.shape[axis] != size:
            windows = jnp.asarray(_windows(x.shape[axis], size), wide.dtype)
            wide = jnp.tensordot(wide, windows, (axis, 0), precision="highest")
            wide = jnp.moveaxis(wide, -1, axis)
    return wide.astype(x.dtype)


def _windows(length: int, size: int) -> np.ndarray:
    """Weights (length, size) of pixels in the means."""
    index, pixel = np.arange(size), np.arange(length)[:, None]
    first, end = index * length // size, -(-(index + 1) * length // size)
    return ((pixel >= first) & (pixel < end)) / (end - first)


def _checked(shape: Sequence[int], size: int, strides: int, padding: int) -> Window:
    window = Window((strides, strides), ((padding, padding),) * 2)
    fits = min(output_size(tuple(shape), taps=(size, size), window=window)) >= 1
    if not fits or not 0 <= 2 * padding <= size:
        raise ValueError(
            f"a window of {size} with padding {padding} does not fit "
            f"an image of {shape[1]} x {shape[2]}"
        )
    return window


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_pool(x: Array, window: Window, taps: tuple[int, int]) -> Array:
    return functools.reduce(
        jnp.maximum, shifted(x, taps=taps, window=window, fill=-jnp.inf)
    )


def _max_pool_forward(
    x: Array, window: Window, taps: tuple[int, int]
) -> tuple[Array, tuple[Array, tuple[int, ...]]]:
    seen = shifted(x, taps=taps, window=window, fill=-jnp.inf)
    y = functools.reduce(jnp.maximum, seen)
    last = len(seen) - 1
    chosen = jnp.full(y.shape, last, jnp.int8)
    for tap in reversed(range(last)):
        chosen = jnp.where(seen[tap] == y, jnp.int8(tap), chosen)
    return y, (chosen, x.shape)


def _max_pool_backward(
    window: Window,
    taps: tuple[int, int],
    kept: tuple[Array, tuple[int, ...]],
    g: Array,
) -> tuple[Array]:
    chosen, shape = kept
    parts = [jnp.where(chosen == tap, g, jnp.zeros_like(g)) for tap in range(max(taps))]
    return (scattered(parts, shape=shape, taps=taps, window=window),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
