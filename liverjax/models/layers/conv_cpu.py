"""A convolution and its two gradients in the forms that XLA runs well on a CPU.

XLA hands a convolution to a fast kernel only if it is an ordinary one: channels last
(``b01f_01io->b01f``), no reversed window, no dilated input, no groups. Whatever is
written here is such a convolution or a matrix product. All choices depend on static
shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

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
_CACHED_BYTES = 4 << 20  # of image columns; 2 to 8 MiB measured alike

Total = TypeVar("Total")


def forward(x: Array, kernel: Array, *, window: Window) -> Array:
    """The convolution (b, h', w', o) of ``x`` (b, h, w, c) with ``kernel``."""
    dtype = x.dtype
    x, kernel = _accumulating(x), _accumulating(kernel)
    if window.groups > 1:
        return _grouped_forward(x, kernel, window).astype(dtype)
    h, w = output_size(x.shape, taps=kernel.shape, window=window)
    if _is_product(x.shape[0] * h * w, x.shape[1:3], kernel.shape, kernel.shape[3]):
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
    if (
        _is_product(rows, (h, w), kernel.shape, inputs)
        or (strided and rows < 1024)
        or (strided and max(window.dilation) > 1)
    ):
        taps = kernel.reshape(-1, inputs, o).transpose(2, 0, 1).reshape(o, -1)
        columns = (g.reshape(-1, o) @ taps).reshape(b, h, w, -1, inputs)
        parts = [columns[:, :, :, t] for t in range(columns.shape[3])]
        dx = scattered(parts, shape=shape, taps=kernel.shape, window=window)
    else:
        dx = _by_phases(g, kernel, shape, window)
    return dx.astype(dtype)


def _by_phases(g: Array, kernel: Array, shape: Shape, window: Window) -> Array:
    """The image's gradient, one ordinary convolution for each remainder by the strides.

    Pixels whose position leaves the same remainder have seen the same taps, so their
    gradient is a convolution of ``g`` with those taps, flipped, in and out exchanged.
    Without strides that is the whole image at once.
    """
    sh, sw = window.strides
    size = (-(-shape[1] // sh), -(-shape[2] // sw))
    rows, columns = (_phases(g, kernel, shape, window, axis) for axis in (0, 1))
    parts = []
    for rows_taken, rows_edge in rows:
        for columns_taken, columns_edge in columns:
            taps = kernel[rows_taken, columns_taken][::-1, ::-1].transpose(0, 1, 3, 2)
            if 0 in taps.shape:
                parts.append(jnp.zeros((shape[0], *size, shape[3]), g.dtype))
                continue
            # A convolution's own padding is fast but may not be negative.
            edges = (rows_edge, columns_edge)
            cut = [(min(low, 0), min(high, 0), 0) for low, high in edges]
            padding = tuple((max(low, 0), max(high, 0)) for low, high in edges)
            seen = lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), *cut, (0, 0, 0)])
            one = Window((1, 1), padding, window.dilation)
            parts.append(forward(seen, taps, window=one))
    if len(parts) == 1:
        return parts[0]
    dx = jnp.stack(parts).reshape(sh, sw, shape[0], *size, shape[3])
    dx = dx.transpose(2, 3, 0, 4, 1, 5)
    dx = dx.reshape(shape[0], size[0] * sh, size[1] * sw, shape[3])
    return dx[:, : shape[1], : shape[2]]


def _phases(
    g: Array, kernel: Array, shape: Shape, window: Window, axis: int
) -> list[tuple[slice, tuple[int, int]]]:
    """For each remainder: the taps that were seen, and the padding of ``g``."""
    stride, low = window.strides[axis], window.padding[axis][0]
    length = -(-shape[1 + axis] // stride)
    found = []
    for remainder in range(stride):
        first = (remainder + low) % stride
        count = len(range(first, kernel.shape[axis], stride))
        reach = (count - 1) * window.dilation[axis]
        before = reach - (remainder + low - first) // stride
        after = length + reach - before - g.shape[1 + axis]
        found.append((slice(first, None, stride), (before, after)))
    return found


def kernel_gradient(x: Array, g: Array, *, shape: Shape, window: Window) -> Array:
    """Gradient with respect to the kernel of ``shape``, given the output's, ``g``."""
    dtype = x.dtype
    x, g = _accumulating(x), _accumulating(g)
    if window.groups > 1:
        return _grouped_kernel_gradient(x, g, shape, window).astype(dtype)
    b, h, w, o = g.shape
    row_bytes = b * w * math.prod(shape[:3]) * x.dtype.itemsize  # of columns
    if _is_product(b * h * w, x.shape[1:3], shape, o):
        dk = _columns(x, shape, window).reshape(b * h * w, -1).T @ g.reshape(-1, o)
    elif h * row_bytes > _CACHED_BYTES:
        dk = _product_by_strips(x, g, shape, window, row_bytes=row_bytes)
    else:
        dk = _exchanged(x, g, shape, window)
    return dk.reshape(shape).astype(dtype)


def _exchanged(x: Array, g: Array, shape: Shape, window: Window) -> Array:
    """The kernel's gradient, a convolution of the image with the output's gradient.

    Batch and channels of the image change places, strides and dilation do. Rows that no
    window reached are cut off first.
    """
    x = fitted(x, size=g.shape[1:3], taps=shape, window=window)
    dk = _plain(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        ((0, 0), (0, 0)),
        window.dilation,
        window.strides,
    )
    return dk.transpose(1, 2, 0, 3)


def _product_by_strips(
    x: Array, g: Array, shape: Shape, window: Window, *, row_bytes: int
) -> Array:
    """The kernel's gradient (taps * c, o), a sum of products of image columns.

    A strip's columns stay in the cache. A convolution whose window is as large as the
    image ran up to six times slower (`_exchanged`; 32 images of 224 pixels).
    """
    b, h, w, o = g.shape
    divisors = [n for n in range(1, h + 1) if h % n == 0]
    rows = max([n for n in divisors if n * row_bytes <= _CACHED_BYTES], default=1)

    def add(total: Array, seen_by: list[Array], out: Array) -> Array:
        columns = jnp.concatenate(seen_by, axis=-1)
        return total + columns.reshape(b * rows * w, -1).T @ out.reshape(-1, o)

    none = jnp.zeros((math.prod(shape[:3]), o), g.dtype)
    return _over_strips(add, none, x, g, rows=rows, shape=shape, window=window)


def _over_strips(
    add: Callable[[Total, list[Array], Array], Total],
    start: Total,
    x: Array,
    g: Array,
    *,
    rows: int,
    shape: Shape,
    window: Window,
) -> Total:
    """What ``add`` makes of one strip of ``g`` after the other.

    Args:
        add: From the total, what each tap saw (b, rows, w, c), and the strip of ``g``.
        start: The first total.
        x: Images (b, h, w, c).
        g: The output's gradient, rows on its second axis.
        rows: Of a strip; divides the rows of ``g``.
        shape: Of the kernel.
        window: How it walked over ``x``.
    """
    h, w = g.shape[1:3]
    x = fitted(x, size=(h, w), taps=shape, window=window)
    stride = window.strides[0]
    reach = extent(shape, window=window, axis=0) + (rows - 1) * stride
    inside = window._replace(padding=((0, 0), (0, 0)))

    def step(i: Array, total: Total) -> Total:
        strip = lax.dynamic_slice_in_dim(x, i * rows * stride, reach, axis=1)
        out = lax.dynamic_slice_in_dim(g, i * rows, rows, axis=1)
        return add(total, shifted(strip, taps=shape, window=inside), out)

    return lax.fori_loop(0, h // rows, step, start)


def _accumulating(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _is_product(rows: int, size: Shape, taps: Shape, wide: int) -> bool:
    """Whether a matrix product of image columns is at least as fast as a convolution.

    Measured with 2 to 56 pixels and 16 to 512 channels. A window larger than its image
    makes XLA leave its fast kernels: 2 pixels by 3x3 taps ran 70 times slower.
    """
    larger = taps[0] > size[0] or taps[1] > size[1]
    return taps[0] * taps[1] == 1 or larger or rows <= 2 * wide


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
    if kernel.shape[2:] == (1, groups) and max(window.strides) == 1:
        # The same window, flipped, over the gradient: slices of one padded image run
        # and compile faster than a sum of as many padded images.
        padding = []
        for axis, (low, _) in enumerate(window.padding):
            before = extent(kernel.shape, window=window, axis=axis) - 1 - low
            padding.append((before, shape[1 + axis] - g.shape[1 + axis] + low))
        if min(map(min, padding)) >= 0:
            back = window._replace(padding=tuple(padding))
            return _grouped_forward(g, kernel[::-1, ::-1], back)
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
        return _depthwise_kernel_gradient(x, g, shape, window)
    alone = window._replace(groups=1)
    shape = (*shape[:3], shape[3] // groups)
    parts = zip(
        jnp.split(x, groups, axis=-1), jnp.split(g, groups, axis=-1), strict=True
    )
    return jnp.concatenate(
        [kernel_gradient(a, b, shape=shape, window=alone) for a, b in parts], axis=-1
    )


def _depthwise_kernel_gradient(
    x: Array, g: Array, shape: Shape, window: Window
) -> Array:
    """A loop over the rows of ``g``, which adds products up and sums them at its end.

    A sum over whole images for each tap makes XLA write every product out.
    """
    g = g.reshape(*g.shape[:3], window.groups, -1)

    def add(totals: list[Array], seen_by: list[Array], out: Array) -> list[Array]:
        return [
            total + jnp.broadcast_to(seen[..., None], out.shape) * out
            for total, seen in zip(totals, seen_by, strict=True)
        ]

    none = [jnp.zeros((g.shape[0], 1, *g.shape[2:]), g.dtype)] * (shape[0] * shape[1])
    totals = _over_strips(add, none, x, g, rows=1, shape=shape, window=window)
    return jnp.stack([total.sum((0, 1, 2)) for total in totals]).reshape(shape)
