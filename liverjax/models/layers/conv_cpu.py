"""A convolution and its two gradients in the forms that XLA runs well on a CPU.

XLA hands a convolution to a fast kernel only if it is an ordinary one: channels last
(``b01f_01io->b01f``), no reversed window, no dilated input, no groups. Whatever is
written here is such a convolution or a matrix product. All choices depend on static
shapes.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array, lax

from liverjax.models.layers.window import (
    Shape,
    Window,
    extent,
    fitted,
    output_size,
    scattered,
    shifted,
)

_LABELS = ("NHWC", "HWIO", "NHWC")


def forward(x: Array, kernel: Array, *, window: Window) -> Array:
    """The convolution (b, h', w', o) of ``x`` (b, h, w, c) with ``kernel``."""
    dtype = x.dtype
    x, kernel = _accumulating(x), _accumulating(kernel)
    if window.groups > 1:
        return _grouped_forward(x, kernel, window).astype(dtype)
    h, w = output_size(x.shape, taps=kernel.shape, window=window)
    if _as_product(x.shape[0] * h * w, h, w, kernel.shape[:2], kernel.shape[3]):
        columns = _columns(x, kernel.shape, window)
        y = columns.reshape(-1, columns.shape[-1]) @ kernel.reshape(-1, kernel.shape[3])
        return y.reshape(x.shape[0], h, w, -1).astype(dtype)
    y = _plain(x, kernel, window.padding, window.strides, window.dilation)
    return y.astype(dtype)


def input_gradient(g: Array, kernel: Array, *, shape: Shape, window: Window) -> Array:
    """Gradient with respect to the image of ``shape``, given the output's, ``g``."""
    dtype = g.dtype
    g, kernel = _accumulating(g), _accumulating(kernel)
    if window.groups > 1:
        return _grouped_input_gradient(g, kernel, shape, window).astype(dtype)
    b, h, w, o = g.shape
    rows, inputs = b * h * w, kernel.shape[2]
    strided = max(window.strides) > 1
    if _as_product(rows, h, w, kernel.shape[:2], inputs) or (strided and rows < 4096):
        taps = kernel.reshape(-1, inputs, o).transpose(2, 0, 1).reshape(o, -1)
        columns = (g.reshape(-1, o) @ taps).reshape(b, h, w, -1, inputs)
        return scattered(
            [columns[:, :, :, t] for t in range(columns.shape[3])],
            shape=shape,
            taps=kernel.shape,
            window=window,
        ).astype(dtype)
    # The flipped kernel with in and out exchanged runs over the output's gradient; its
    # strides become zeros between the rows, written out because XLA is slower if told.
    edges = []
    for i in range(2):
        reach, low = extent(kernel.shape, window=window, axis=i), window.padding[i][0]
        used = (g.shape[1 + i] - 1) * window.strides[i] + 1
        edges.append(
            (reach - 1 - low, shape[1 + i] + low - used, window.strides[i] - 1)
        )
    g = lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return _plain(g, flipped, ((0, 0), (0, 0)), (1, 1), window.dilation).astype(dtype)


def kernel_gradient(x: Array, g: Array, *, shape: Shape, window: Window) -> Array:
    """Gradient with respect to the kernel of ``shape``, given the output's, ``g``."""
    dtype = x.dtype
    x, g = _accumulating(x), _accumulating(g)
    if window.groups > 1:
        return _grouped_kernel_gradient(x, g, shape, window).astype(dtype)
    b, h, w, o = g.shape
    if _as_product(b * h * w, h, w, shape[:2], o):
        columns = _columns(x, shape, window)
        dk = columns.reshape(-1, columns.shape[-1]).T @ g.reshape(-1, o)
        return dk.reshape(shape).astype(dtype)
    # Batch and channels of the image change places, the output's gradient is the
    # kernel, strides and dilation change places. Rows that no window reached are cut
    # off first.
    x = fitted(x, size=(h, w), taps=shape, window=window)
    dk = _plain(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        ((0, 0), (0, 0)),
        window.dilation,
        window.strides,
    )
    return dk.transpose(1, 2, 0, 3).astype(dtype)


def _accumulating(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _as_product(rows: int, h: int, w: int, taps: Shape, wide: int) -> bool:
    """Whether a matrix product of image columns beats the convolution (measured)."""
    return math.prod(taps) == 1 or h * w <= 4 or rows <= 2 * wide


def _plain(
    x: Array,
    kernel: Array,
    padding: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_LABELS,
    )


def _columns(x: Array, taps: Shape, window: Window) -> Array:
    """What each window sees, in one row: (b, h', w', taps * c)."""
    return jnp.concatenate(shifted(x, taps=taps, window=window), axis=-1)


def _is_depthwise(kernel_shape: Shape) -> bool:
    return kernel_shape[2] == 1


def _multiplied(kernel: Array, groups: int) -> list[Array]:
    """Depthwise taps (c, m) in row order; output channel c * m + q belongs to c."""
    return list(kernel.reshape(-1, groups, kernel.shape[3] // groups))


def _over(taps: Array, shape: Shape) -> Array:
    """Numbers a channel, spread over images of ``shape`` (rank promotion is off)."""
    return jnp.broadcast_to(taps, shape)


def _grouped_forward(x: Array, kernel: Array, window: Window) -> Array:
    groups = window.groups
    if _is_depthwise(kernel.shape):
        taps = _multiplied(kernel, groups)
        b, h, w = x.shape[0], *output_size(x.shape, taps=kernel.shape, window=window)
        total = jnp.zeros((b, h, w, *taps[0].shape), x.dtype)
        seen_by = shifted(x, taps=kernel.shape, window=window)
        for seen, tap in zip(seen_by, taps, strict=True):
            seen = jnp.broadcast_to(seen[..., None], total.shape)
            total += seen * _over(tap, total.shape)
        return total.reshape(b, h, w, -1)
    alone = window._replace(groups=1)
    parts = zip(
        jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True
    )
    return jnp.concatenate([forward(a, k, window=alone) for a, k in parts], axis=-1)


def _grouped_input_gradient(
    g: Array, kernel: Array, shape: Shape, window: Window
) -> Array:
    groups = window.groups
    if _is_depthwise(kernel.shape):
        g = g.reshape(*g.shape[:3], groups, -1)
        parts = [(g * _over(t, g.shape)).sum(-1) for t in _multiplied(kernel, groups)]
        return scattered(parts, shape=shape, taps=kernel.shape, window=window)
    alone = window._replace(groups=1)
    shape = (*shape[:3], shape[3] // groups)
    parts = zip(
        jnp.split(g, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True
    )
    return jnp.concatenate(
        [input_gradient(a, k, shape=shape, window=alone) for a, k in parts], axis=-1
    )


def _grouped_kernel_gradient(x: Array, g: Array, shape: Shape, window: Window) -> Array:
    groups = window.groups
    if _is_depthwise(shape):
        g = g.reshape(*g.shape[:3], groups, -1)
        parts = [
            (jnp.broadcast_to(seen[..., None], g.shape) * g).sum((0, 1, 2))
            for seen in shifted(x, taps=shape, window=window)
        ]
        return jnp.stack(parts).reshape(shape)
    alone = window._replace(groups=1)
    shape = (*shape[:3], shape[3] // groups)
    parts = zip(
        jnp.split(x, groups, axis=-1), jnp.split(g, groups, axis=-1), strict=True
    )
    return jnp.concatenate(
        [kernel_gradient(a, b, shape=shape, window=alone) for a, b in parts], axis=-1
    )
