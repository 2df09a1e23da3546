"""The geometric part of augmentation: one smooth random field, one gather.

A warp answers, for each pixel of the crop, where in the stored array it comes from.
The field is made of a rotation, a scaling and mirrorings about the crop's centre and of
a coarse grid of random shifts, joined by cubic B-splines. Only the pixels of the crop
are computed.

Coordinates are pixels of the stored array, (row, column), 0 at the centre of the first
pixel. Everything is float32 whatever the compute type of the network.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped, UInt32

from liverjax.data.augment_settings import AugmentSettings

PRNGKey = Key[Array, ""] | UInt32[Array, "2"]


class Warp(NamedTuple):
    """One example's draw.

    Attributes:
        angle_rad: Rotation in plane.
        scale: Magnification of what is seen.
        mirror: -1 where the axis (rows, columns) is mirrored, else 1.
        control_px: Shift of each control point along rows and columns; without any
            point (shape ``(0, 0, 2)``) the program holds no elastic field.
    """

    angle_rad: Float[Array, ""]
    scale: Float[Array, ""]
    mirror: Float[Array, "axis=2"]
    control_px: Float[Array, "gh gw 2"]


def draw_warp(key: PRNGKey, *, settings: AugmentSettings, crop_px: int) -> Warp:
    """The random warp that belongs to a key.

    Args:
        key: A threefry key of this example alone.
        settings: Ranges and probabilities.
        crop_px: Side of the square crop that the grid of control points covers.
    """
    points = 0
    if settings.elastic_probability:
        points = num_control_points(crop_px, grid_px=settings.elastic_grid_px)
    # One call for all: threefry is most of what XLA compiles here.
    draws = jax.random.uniform(key, (8 + points * points * 2,), jnp.float32)
    chance, position, shifts = draws[:5], draws[5:8], draws[8:]

    def within(value, low, high):
        return low + value * (high - low)

    angle_rad = jnp.where(
        chance[0] < settings.rotation_probability,
        within(position[0], *np.radians(settings.rotation_deg).tolist()),
        0.0,
    )
    scale = jnp.where(
        chance[1] < settings.scale_probability,
        jnp.exp(within(position[1], *np.log(settings.scale).tolist())),
        1.0,
    )
    limit_px = jnp.where(
        chance[2] < settings.elastic_probability,
        within(position[2], *settings.elastic_px),
        0.0,
    )
    flips = np.array(
        [settings.flip_rows_probability, settings.flip_columns_probability], np.float32
    )
    mirror = jnp.where(chance[3:] < flips, -1.0, 1.0)
    control_px = limit_px * (2 * shifts.reshape(points, points, 2) - 1)
    return Warp(angle_rad, scale, mirror.astype(jnp.float32), control_px)


def num_control_points(crop_px: int, *, grid_px: int) -> int:
    """How many control points a side of `crop_px` pixels needs."""
    return -(-crop_px // grid_px) + 3


def warp_coordinates(
    warp: Warp, *, stored_px: tuple[int, int], crop_px: int, grid_px: int
) -> Float[Array, "2 y x"]:
    """Where in the stored array each pixel of the crop comes from.

    The crop lies at ``(stored - crop) // 2``; a warp that changes nothing gives exactly
    the coordinates of its pixels.

    Args:
        warp: The draw of `draw_warp`.
        stored_px: Height and width of the stored array.
        crop_px: Side of the square crop.
        grid_px: Distance of the control points.
    """
    half = (crop_px - 1) / 2
    centred = jnp.arange(crop_px, dtype=jnp.float32) - half
    row, column = centred[:, None], centred[None, :]
    if warp.control_px.size:
        shift = bspline_field(warp.control_px, size_px=crop_px, grid_px=grid_px)
        row, column = row + shift[0], column + shift[1]
    row, column = row * warp.mirror[0], column * warp.mirror[1]
    cosine = jnp.cos(warp.angle_rad) / warp.scale
    sine = jnp.sin(warp.angle_rad) / warp.scale
    middle = [(side - crop_px) // 2 + half for side in stored_px]
    return jnp.stack(
        [
            cosine * row - sine * column + middle[0],
            sine * row + cosine * column + middle[1],
        ]
    )


def bspline_field(
    control: Float[Array, "gh gw 2"], *, size_px: int, grid_px: int
) -> Float[Array, "2 y x"]:
    """The smooth field of a coarse grid: uniform cubic B-splines along both axes.

    Pixel p lies at ``p / grid_px + 1`` on the grid of control points.

    Args:
        control: Shifts at the control points, `num_control_points` along each side.
        size_px: Side of the field.
        grid_px: Distance of the control points in pixels.
    """
    basis = _bspline_basis(size_px, grid_px=grid_px)
    coarse = jnp.moveaxis(control, -1, 0)
    # Sums of outer products, not two dots: as fast, and a dot adds in another order for
    # another batch size, so that an example would not have the same bits in any batch.
    points = range(basis.shape[1])
    rows = functools.reduce(
        jnp.add, (coarse[:, None, p, :] * basis[None, :, p, None] for p in points)
    )
    # Without the barrier the first sum is computed anew in each term of the second.
    rows = jax.lax.optimization_barrier(rows)
    return functools.reduce(
        jnp.add, (rows[:, :, p, None] * basis[None, None, :, p] for p in points)
    )


def _bspline_basis(size_px: int, *, grid_px: int) -> Float[np.ndarray, "p g"]:
    """The weight of each control point at each pixel of one axis."""
    position = np.arange(size_px) / grid_px
    cell = position.astype(int)
    t = position - cell
    basis = np.zeros((size_px, num_control_points(size_px, grid_px=grid_px)))
    weights = (
        (1 - t) ** 3,
        3 * t**3 - 6 * t**2 + 4,
        -3 * t**3 + 3 * t**2 + 3 * t + 1,
        t**3,
    )
    for tap, weight in enumerate(weights):
        basis[np.arange(size_px), cell + tap] = weight / 6
    return basis.astype(np.float32)


def sample_linear(
    stored: Shaped[Array, "h w c"], coordinates: Float[Array, "2 y x"]
) -> Float[Array, "y x c"]:
    """Bilinear values of an array in its own units, 0 outside.

    Outside means beyond the centres of the border pixels, as in
    `scipy.ndimage.map_coordinates` with ``mode="constant"``.

    Args:
        stored: An array of any number type.
        coordinates: Rows and columns.
    """
    height, width, channels = stored.shape
    inside = is_inside(coordinates, size_px=(height, width))
    corner = [
        jnp.clip(jnp.floor(position), 0, size - 1)
        for position, size in zip(coordinates, (height, width), strict=True)
    ]
    down, right = (
        (position - low)[..., None]
        for position, low in zip(coordinates, corner, strict=True)
    )
    # Single numbers are gathered, not pixels of c: measured 1.6 times as fast on CPU.
    index = corner[0].astype(jnp.int32) * width + corner[1].astype(jnp.int32)
    index = (
        index[..., None] * channels + np.arange(channels, dtype=np.int32)[None, None]
    )
    values = stored.reshape(-1)

    def tap(pixels: int) -> Array:
        # On the last row and column the next pixel is another one or clipped, and has
        # weight 0.
        taken = values.at[index + pixels * channels].get(mode="clip")
        return taken.astype(jnp.float32)

    # In this form weight 0 returns the pixel's own bits, and a value never leaves the
    # range of whole-numbered pixels.
    first, below = tap(0), tap(width)
    upper = first + right * (tap(1) - first)
    lower = below + right * (tap(width + 1) - below)
    value = upper + down * (lower - upper)
    return jnp.where(inside[..., None], value, 0.0)


def sample_nearest(
    stored: Shaped[Array, "h w c"], coordinates: Float[Array, "2 y x"]
) -> Shaped[Array, "y x c"]:
    """Values of the nearest pixel in the array's own type, 0 outside.

    A coordinate midway between two pixels takes the one further down or right
    (``floor(x + 0.5)``), as `scipy.ndimage.map_coordinates` does with ``order=0``.
    Outside is the same as for `sample_linear`, so a mask ends where its image does.

    Args:
        stored: An array of any type.
        coordinates: Rows and columns.
    """
    height, width, channels = stored.shape
    inside = is_inside(coordinates, size_px=(height, width))
    row, column = (
        jnp.clip(jnp.floor(position + 0.5).astype(jnp.int32), 0, size - 1)
        for position, size in zip(coordinates, (height, width), strict=True)
    )
    pixels = stored.reshape(height * width, channels)
    value = pixels.at[row * width + column].get(mode="promise_in_bounds")
    return jnp.where(inside[..., None], value, jnp.zeros((), stored.dtype))


def is_inside(
    coordinates: Float[Array, "2 y x"], *, size_px: tuple[int, int]
) -> Shaped[Array, "y x"]:
    """Whether a coordinate lies between the centres of the border pixels."""
    row, column = coordinates
    height, width = size_px
    return (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
