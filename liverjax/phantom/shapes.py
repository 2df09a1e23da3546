"""Distances to simple bodies and smooth random fields, from which the anatomy is made.

Distances are in millimetres, negative inside; away from a surface they are estimates
whose sign is right. All functions take the x, y, z of points and work on any shape.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

Field = Float[np.ndarray, "..."]
Axes = list[Field]
Vector = tuple[float, float, float]

LATTICE = 32  # knots along each side of a periodic random field


def ellipsoid(
    axes: Axes, *, center: Vector, radii: Vector, tilt_deg: float = 0.0
) -> Field:
    """Distance to an ellipsoid, turned in the axial plane.

    Args:
        axes: Points.
        center: Centre.
        radii: Half axes.
        tilt_deg: Angle about z, from x towards y.
    """
    x, y, z = (a - np.float32(c) for a, c in zip(axes, center, strict=True))
    if tilt_deg:
        cos, sin = (np.float32(f(np.deg2rad(tilt_deg))) for f in (np.cos, np.sin))
        x, y = cos * x + sin * y, cos * y - sin * x
    a, b, c = (np.float32(r) for r in radii)
    first = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    second = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2)
    return first * (first - 1) / np.maximum(second, np.float32(1e-6))


def superellipse(
    x: Field,
    y: Field,
    *,
    half_widths: tuple[float | np.ndarray, float | np.ndarray],
    power: float,
) -> Field:
    """Distance to a rounded box without ends, along the ray from its axis.

    Args:
        x: Points' x from the axis.
        y: Points' y from the axis.
        half_widths: Half widths along x and y.
        power: 2 for an ellipse; more for squarer.
    """
    a, b = half_widths
    p = np.float32(power)
    level = (np.abs(x / a) ** p + np.abs(y / b) ** p) ** (1 / p)
    return np.hypot(x, y) * (1 - 1 / np.maximum(level, np.float32(1e-3)))


def tube(
    axes: Axes, *, start: Vector, end: Vector, radii: tuple[float, float]
) -> Field:
    """Distance to a tapering tube with round ends.

    Args:
        axes: Points.
        start: One end of the axis.
        end: The other end.
        radii: Radius at either end.
    """
    along = np.subtract(end, start).astype(np.float32)
    x, y, z = (a - np.float32(c) for a, c in zip(axes, start, strict=True))
    length2 = np.float32(along @ along)
    t = np.clip((x * along[0] + y * along[1] + z * along[2]) / length2, 0, 1)
    gap = np.sqrt(
        (x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2
    )
    return gap - (np.float32(radii[0]) * (1 - t) + np.float32(radii[1]) * t)


def smooth_min(a: Field, b: Field, *, width: float) -> Field:
    """Distance to the union of two bodies, rounded where they meet.

    Args:
        a: Distance to one.
        b: Distance to the other.
        width: Size of the rounding, millimetres.
    """
    h = np.maximum(np.float32(width) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h / np.float32(4 * width)


def smooth_max(a: Field, b: Field, *, width: float) -> Field:
    """Distance to the part common to two bodies, rounded where they meet.

    Args:
        a: Distance to one.
        b: Distance to the other.
        width: Size of the rounding, millimetres.
    """
    return -smooth_min(-a, -b, width=width)


def random_lattice(
    rng: np.random.Generator, *, smoothing_knots: tuple[float, float, float]
) -> Float[np.ndarray, "n n n"]:
    """A periodic random field on `LATTICE` knots a side, mean 0 and sd 1.

    Args:
        rng: Source of randomness.
        smoothing_knots: Gaussian smoothing along z, y, x, in knots.
    """
    field = rng.standard_normal((LATTICE,) * 3)
    field = ndimage.gaussian_filter(field, smoothing_knots, mode="wrap")
    field -= field.mean()
    return (field / field.std()).astype(np.float32)


def sample_lattice(
    lattice: Float[np.ndarray, "n n n"], *, axes: Axes, knot_mm: float
) -> Field:
    """The random field at points, linear between knots, repeated in all directions.

    Args:
        lattice: From `random_lattice`.
        axes: Points.
        knot_mm: Distance of knots.
    """
    x, y, z = axes
    scale = np.float32(1 / knot_mm)
    places = np.stack(np.broadcast_arrays(z * scale, y * scale, x * scale))
    return ndimage.map_coordinates(lattice, places, order=1, mode="grid-wrap")
