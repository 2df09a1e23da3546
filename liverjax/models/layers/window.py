"""How windows walk over images: sizes, what each tap sees, and its transpose."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

Shape = tuple[int, ...]


class Window(NamedTuple):
    """How a 2-D kernel walks over an image; hashable, so that it may be static."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1


def extent(taps: Shape, *, window: Window, axis: int) -> int:
    """Pixels between the first and the last tap along ``axis``, both counted."""
    return (taps[axis] - 1) * window.dilation[axis] + 1


def output_size(shape: Shape, *, taps: Shape, window: Window) -> tuple[int, int]:
    """Height and width of the result; below 1 where the window does not fit.

    Args:
        shape: Of the image, (b, h, w, c).
        taps: Height and width of the window; further numbers are not read.
        window: Strides, padding and dilation.
    """
    h, w = (
        (shape[1 + i] + sum(window.padding[i]) - extent(taps, window=window, axis=i))
        // window.strides[i]
        + 1
        for i in range(2)
    )
    return h, w


def fitted(
    x: Array, *, size: tuple[int, int], taps: Shape, window: Window, fill: float = 0.0
) -> Array:
    """``x`` padded by ``fill``, or cut at its end, to what ``size`` windows cover."""
    edges = [(0, 0, 0)]
    for i in range(2):
        covered = (size[i] - 1) * window.strides[i]
        covered += extent(taps, window=window, axis=i)
        low = window.padding[i][0]
        edges.append((low, covered - x.shape[1 + i] - low, 0))
    return lax.pad(x, jnp.asarray(fill, x.dtype), [*edges, (0, 0, 0)])


def shifted(x: Array, *, taps: Shape, window: Window, fill: float = 0.0) -> list[Array]:
    """What each tap sees, in row order: arrays (b, h', w', c), ``fill`` outside."""
    h, w = output_size(x.shape, taps=taps, window=window)
    x = fitted(x, size=(h, w), taps=taps, window=window, fill=fill)
    (sh, sw), (dh, dw) = window.strides, window.dilation
    return [
        x[
            :,
            i * dh : i * dh + (h - 1) * sh + 1 : sh,
            j * dw : j * dw + (w - 1) * sw + 1 : sw,
        ]
        for i in range(taps[0])
        for j in range(taps[1])
    ]


def scattered(
    parts: list[Array], *, shape: Shape, taps: Shape, window: Window
) -> Array:
    """The transpose of :func:`shifted`: each tap's part added where it was read."""
    places = [(i, j) for i in range(taps[0]) for j in range(taps[1])]
    total = jnp.zeros(shape, parts[0].dtype)
    for place, part in zip(places, parts, strict=True):
        edges = [(0, 0, 0)]
        for i in range(2):
            first = place[i] * window.dilation[i] - window.padding[i][0]
            last = first + (part.shape[1 + i] - 1) * window.strides[i]
            edges.append((first, shape[1 + i] - 1 - last, window.strides[i] - 1))
        total += lax.pad(part, jnp.zeros((), part.dtype), [*edges, (0, 0, 0)])
    return total
