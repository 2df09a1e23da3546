"""The surface of a mask by marching cubes, cut halfway between voxels."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from liverjax.radiomics.region import Spacing

# Corners of a cube of eight voxels in (d, h, w), and the middles of its twelve edges.
CORNERS = np.array(
    [
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 1),
        (0, 1, 0),
        (1, 0, 0),
        (1, 0, 1),
        (1, 1, 1),
        (1, 1, 0),
    ]
)
_ENDS = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4)]
_ENDS += [(0, 4), (1, 5), (2, 6), (3, 7)]
EDGES = np.array([(CORNERS[a] + CORNERS[b]) / 2 for a, b in _ENDS])

# The classic table of triangles (Lorensen and Cline 1987, in Bourke's public
# numbering): three edges (hexadecimal) a triangle, for the 128 cases whose last corner
# is outside. The other half are their complements, with triangles turned round.
_TRIANGLES = """
- 083 190 183198 12a 08312a 92a029 2832a8a98 b23 b2008b 190b23 b2119b98b 3a1ba3
a1008a8ba 9033b9ba9 98aba8 478 043473 190478 194147173 12a478 34730412a 92a902478
2a9297273479 478b23 b47b24204 190478b23 47b94bb29192 3a1ba3478 ba114b10447b 4789033b9ba9
47b4b99ba 954 954083 054015 854835315 12a954 08312a954 2a5542240 2a5325354834 954b23
b2008b954 054015b23 215258b28548 3a1ba3954 549a1008a8ba 54050ba5bb03 548a58ba8 789579
309539357 780017715 157173 78957912a 12a309395357 0288258572a5 2a5253357 579789b23
579972209b27 b23018178157 21b17b157 7895793a1ba3 5705097b0a10ba0 ba003ba50078570 ba557b
65a 08365a 19065a 18319865a 165126 165126083 965906026 598582526832 b2365a b2008b65a
190b2365a b2119b98b65a 63b653513 08b0b50515b6 63b036065059 65969bb98 47865a 04347365a
19047865a 19414717365a 478165126 043473165126 478965906026 739479329596269 b2347865a
b47b2420465a 190b2347865a 47b94bb2919265a 47863b653513 51b5b610b47b04b 47863b036065059
65969b4797b9 a4964a a4964a083 01aa60640 18316886461a 149124264 149124264083 024426
832824426 b23a4964a b2008ba4964a b2301aa60640 64161a148b2118b 964369139b63
18b081b61149641 63b036640 86468b 67a78a89a 67a0a709a073 67a1a7178018 67a1a7173
126168189678 269129679309739 078706602 273267 b2367a78a89a 207b2709767a9a7
67a1a7178018b23 b2117ba61167 896678169b63136 09167b 07870603bb60 67b
""".split()  # noqa: SIM905


def _table() -> tuple[np.ndarray, np.ndarray]:
    edges, first = [], [0]
    for case in range(256):
        turned = case >= 128
        word = _TRIANGLES[255 - case if turned else case].strip("-")
        triangles = [
            [int(e, 16) for e in word[k : k + 3]] for k in range(0, len(word), 3)
        ]
        edges += [t[::-1] if turned else t for t in triangles]
        first.append(len(edges))
    return np.array(edges), np.array(first)


TRIANGLE_EDGES, FIRST = _table()


# Which of the 256 cases each triangle belongs to.
CASE = np.repeat(np.arange(256), np.diff(FIRST))


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A closed surface.

    Attributes:
        volume_mm3: Enclosed.
        area_mm2: Of the surface.
        vertices: Distinct corners of its triangles, in mm from the first voxel's
            centre, as (d, h, w).
        ends: The first and last vertex of each line along the last axis: the corners
            of the convex hull are among them.
    """

    volume_mm3: float
    area_mm2: float
    vertices: Float[np.ndarray, "v 3"]
    ends: Float[np.ndarray, "e 3"]


def make_mesh(
    mask: Bool[np.ndarray, "d h w"], *, spacing_mm: Spacing, from_corner: bool = False
) -> Mesh:
    """Returns the surface of a mask; beyond the array is outside.

    Where two cubes meet in an ambiguous face the classic table leaves it open, and the
    volume depends on the point that it is summed from.

    Args:
        mask: The region.
        spacing_mm: Voxel size.
        from_corner: Sum it from the voxel before the array's first, as PyRadiomics
            does, not from the surface's middle.

    Reference:
        Lorensen and Cline, Marching cubes, SIGGRAPH 1987.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    d, h, w = padded.shape
    case = np.zeros((d - 1, h - 1, w - 1), np.uint8)
    for bit, (z, y, x) in enumerate(CORNERS):
        case |= padded[z : z + d - 1, y : y + h - 1, x : x + w - 1] << bit
    flat = case.ravel()
    where = np.flatnonzero((flat > 0) & (flat < 255))
    cubes = np.stack(np.unravel_index(where, case.shape), axis=1)
    kind = flat[where]
    area, normal, moment = _of_cases(spacing_mm)
    # A third of the flux of x through the surface.
    origin = 0 if from_corner else cubes.mean(axis=0)
    place = (cubes - origin) * np.array(spacing_mm)
    volume = (np.einsum("ni,ni->", place, normal[kind]) + moment[kind].sum()) / 3
    vertices, ends = _vertices(padded)
    size = np.array(spacing_mm)
    return Mesh(
        abs(float(volume)), float(area[kind].sum()), vertices * size, ends * size
    )


def _of_cases(spacing_mm: Spacing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area, vector area and sum of a . n of the triangles (first corner a) by case."""
    a, b, c = np.moveaxis(EDGES[TRIANGLE_EDGES] * np.array(spacing_mm), 1, 0)
    normals = np.cross(b - a, c - a) / 2

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(CASE, values, 256)

    normal = np.stack([total(column) for column in normals.T], axis=1)
    return total(np.linalg.norm(normals, axis=1)), normal, total((a * normals).sum(1))


def _vertices(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles between voxels that differ, and the ends of each line, in voxels."""
    every, ends = [], []
    for axis in range(3):
        differs = np.diff(padded, axis=axis) != 0
        flat = np.flatnonzero(differs)
        step = np.zeros(3)
        step[axis] = 0.5
        # The padding shifted all by one voxel.
        found = np.stack(np.unravel_index(flat, differs.shape), axis=1) + (step - 1)
        line = flat // differs.shape[2]
        turn = line[1:] != line[:-1]
        every.append(found)
        ends.append(found[np.r_[True, turn] | np.r_[turn, True]])
    return np.concatenate(every), np.concatenate(ends)
