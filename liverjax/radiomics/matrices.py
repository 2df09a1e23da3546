"""Texture matrices by counting: all voxels of a region at once, sparse where long."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage, sparse

Flat = Int[np.ndarray, "n"]


@dataclasses.dataclass(frozen=True)
class Grid:
    """The voxels of a region in a flat, padded array of grey levels.

    Attributes:
        flat: Padded levels, 0 outside the region.
        where: Places of the region's voxels in ``flat``, in order.
        level: Their grey levels, from 1 on.
        plane: Their slice, from 0 on.
        offsets: Steps in ``flat`` to half of the neighbours (the others are opposite).
        planes: Number of slices.
        num_levels: Highest grey level of the whole region.
        shape: Of the padded array.
    """

    flat: Int[np.ndarray, "padded"]
    where: Flat
    level: Flat
    plane: Flat
    offsets: tuple[int, ...]
    planes: int
    num_levels: int
    shape: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Counts:
    """Sparse matrices: how often level ``i`` meets ``j``, for many matrices at once.

    Attributes:
        matrix: Number of the matrix that an entry belongs to.
        i: Grey level.
        j: Length, size, distance or dependence, from 1 on.
        count: Occurrences.
        voxels: Voxels of each matrix (counted once for each direction merged in it).
    """

    matrix: Flat
    i: Flat
    j: Flat
    count: Float[np.ndarray, "n"]
    voxels: Float[np.ndarray, "m"]


def directions(*, planar: bool) -> tuple[tuple[int, int, int], ...]:
    """Returns half of the 8 or 26 neighbours' steps, one of each opposite pair."""
    steps = [
        (d, h, w)
        for d in ((0,) if planar else (-1, 0, 1))
        for h in (-1, 0, 1)
        for w in (-1, 0, 1)
    ]
    return tuple(step for step in steps if step > (0, 0, 0))


def make_grid(levels: Int[np.ndarray, "d h w"], *, planar: bool) -> Grid:
    """Returns the padded grid of a region's grey levels (0 outside)."""
    padded = np.pad(levels, 1)
    flat = padded.ravel()
    where = np.flatnonzero(flat)
    _, rows, columns = padded.shape
    offsets = tuple(
        (d * rows + h) * columns + w for d, h, w in directions(planar=planar)
    )
    plane = where // (rows * columns) - 1
    shape = (padded.shape[0], rows, columns)
    return Grid(
        flat, where, flat[where], plane, offsets, len(levels), int(flat.max()), shape
    )


def cooccurrence(grid: Grid) -> Float[np.ndarray, "planes directions g g"]:
    """Returns symmetric counts of neighbouring levels by slice and direction.

    A volumetric grid (13 directions) has one "slice".
    """
    size, single = grid.num_levels, len(grid.offsets) == 13
    planes = 1 if single else grid.planes
    plane = 0 if single else grid.plane
    base = (plane * size + grid.level - 1) * size - 1
    made = np.empty((planes, len(grid.offsets), size, size))
    for number, offset in enumerate(grid.offsets):
        other = grid.flat[grid.where + offset]
        keys = (base + other)[other > 0]
        counts = np.bincount(keys, minlength=planes * size * size)
        counts = counts.reshape(planes, size, size)
        made[:, number] = counts + counts.transpose(0, 2, 1)
    return made


def runs(grid: Grid) -> tuple[Flat, Flat, Flat, Flat, Flat]:
    """Returns slice, direction, level and length of runs, and how many are alike.

    A run starts where the voxel before it has another level; all starts of a direction
    then walk on together until none goes on, and those that stop at a step are counted
    by what fewer go on. A volumetric grid (13 directions) has one "slice".
    """
    size, single = grid.num_levels, len(grid.offsets) == 13
    key = grid.level - 1 if single else grid.plane * size + grid.level - 1
    bins = size if single else size * grid.planes
    found = []
    for number, offset in enumerate(grid.offsets):
        start = grid.flat[grid.where - offset] != grid.level
        place, level, kind = grid.where[start], grid.level[start], key[start]
        walking, length = np.bincount(kind, minlength=bins), 0
        while place.size:
            place, length = place + offset, length + 1
            same = grid.flat[place] == level
            place, level, kind = place[same], level[same], kind[same]
            before, walking = walking, np.bincount(kind, minlength=bins)
            (ended,) = np.nonzero(before - walking)
            plane, row = np.divmod(ended, size)
            alike = (before - walking)[ended]
            here = np.full((2, len(ended)), [[number], [length]])
            found.append(np.stack([plane, here[0], row + 1, here[1], alike]))
    plane, direction, level, length, count = np.concatenate(found, axis=1)
    return plane, direction, level, length, count


def zones(grid: Grid) -> Flat:
    """Returns the zone number of each voxel: connected voxels of one level."""
    number = np.zeros(grid.flat.shape, np.int64)
    number[grid.where] = np.arange(len(grid.where))
    heads, tails = [], []
    for offset in grid.offsets:
        same = np.flatnonzero(grid.flat[grid.where + offset] == grid.level)
        heads.append(same)
        tails.append(number[grid.where[same] + offset])
    head, tail = np.concatenate(heads), np.concatenate(tails)
    # In the form that the search wants, so that it copies nothing.
    links = sparse.csr_array((np.ones(len(head)), (head, tail)), (len(grid.where),) * 2)
    return sparse.csgraph.connected_components(links, directed=False)[1]


def border_distance(
    mask: Bool[np.ndarray, "d h w"], *, planar: bool
) -> Int[np.ndarray, "d h w"]:
    """Returns each voxel's city-block distance to the outside; border voxels have 1."""
    padded = np.pad(mask, 1)
    if not planar:
        return ndimage.distance_transform_cdt(padded, "taxicab")[1:-1, 1:-1, 1:-1]
    slices = [ndimage.distance_transform_cdt(plane, "taxicab") for plane in padded]
    return np.stack(slices)[1:-1, 1:-1, 1:-1]


@dataclasses.dataclass(frozen=True)
class Neighbourhood:
    """What the 8 or 26 neighbours of each voxel of a region say.

    Attributes:
        total: Sum of their levels.
        number: How many lie in the region.
        dependent: How many differ by no more than the allowed distance.
    """

    total: Flat
    number: Flat
    dependent: Flat


def neighbourhood(grid: Grid, *, distance: int) -> Neighbourhood:
    """Returns sums over the neighbours of each voxel, in one pass."""
    total = np.zeros(len(grid.where), np.int64)
    number, dependent = total.copy(), total.copy()
    for offset in (*grid.offsets, *(-step for step in grid.offsets)):
        other = grid.flat[grid.where + offset]
        inside = other > 0
        total += other
        number += inside
        dependent += inside & (np.abs(other - grid.level) <= distance)
    return Neighbourhood(total, number, dependent)


def tally(
    matrix: Flat,
    *,
    i: Flat,
    j: Flat,
    voxels: Float[np.ndarray, "m"],
    count: Flat | None = None,
) -> Counts:
    """Returns how often each (matrix, level, j) occurs, by sorting.

    Args:
        matrix: Which each entry belongs to.
        i: Its level.
        j: Its length, size, distance or dependence.
        voxels: Of each matrix.
        count: How often each entry stands for; None: once.
    """
    wide, high = int(j.max(initial=0)) + 1, int(i.max(initial=0)) + 1
    every = (matrix * high + i) * wide + j
    if count is None:
        keys, total = np.unique(every, return_counts=True)
    else:
        keys, place = np.unique(every, return_inverse=True)
        total = np.bincount(place, count, len(keys))
    rest, column = np.divmod(keys, wide)
    group, row = np.divmod(rest, high)
    return Counts(group, row, column, total.astype(float), voxels)
