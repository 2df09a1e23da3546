"""Checks that one patient's images do not stand under two subjects."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from liverjax.cohort.records import read_records
from liverjax.cohort.schema import IMAGE, Cohort
from liverjax.errors import raise_all

# Side of the thumbnails whose fine structure is compared.
THUMBNAIL_PX = 48
# Between slices of one patient 4.5 mm apart the correlation is 0.82 to 0.98, between
# synthetic patients, who are more alike than real ones, at most 0.82; slices 12 mm
# apart reach 0.57 to 0.83 and need the second sign: patches cut in exactly the same
# frame, which two patients do not share by chance.
SIMILAR = 0.95
SIMILAR_IN_ONE_FRAME = 0.5
NEIGHBOUR_MM = 20.0
_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class Leak:
    """Two subjects that share a patient.

    Attributes:
        subjects: The two, sorted.
        records: One record of each, as an example.
        reason: ``same slice`` or ``neighbouring slices``.
        count: Pairs of records that say so.
    """

    subjects: tuple[str, str]
    records: tuple[int, int]
    reason: str
    count: int


def find_leaks(cohort: Cohort) -> tuple[Leak, ...]:
    """Returns pairs of subjects under which images of one patient stand.

    Two signs are looked for: the same stored pixels (``source_sha256``), and slices
    whose fine structure agrees as only slices of one scan do. Less agreement is enough
    where two slices lie in one frame of patient coordinates, a few millimetres apart.

    Args:
        cohort: Opened; its images are read once.
    """
    subject = np.array([row["subject"] for row in cohort.index])
    pairs: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for i, j in _same_slices(cohort):
        if subject[i] != subject[j]:
            pairs[*sorted((subject[i], subject[j])), "same slice"].append((i, j))
    thumbnails = fine_structure(read_records(cohort)[IMAGE])
    frame, height = _frames(cohort)
    for i, j in _similar(thumbnails, subject=subject, frame=frame, height=height):
        pairs[*sorted((subject[i], subject[j])), "neighbouring slices"].append((i, j))
    return tuple(
        Leak((one, two), found[0], reason, len(found))
        for (one, two, reason), found in sorted(pairs.items())
    )


def refuse_leaks(leaks: Sequence[Leak]) -> None:
    """Stops when there are leaks.

    Raises:
        InputError: Naming the pairs of subjects.
    """
    problems = [
        f"{leak.subjects[0]} and {leak.subjects[1]}: {leak.reason} (records "
        f"{leak.records[0]} and {leak.records[1]}; {leak.count} such pairs)"
        for leak in leaks[:20]
    ]
    if len(leaks) > 20:
        problems.append(f"and {len(leaks) - 20} more pairs of subjects")
    raise_all(
        problems,
        title="one patient's images stand under two subjects, so folds would leak; "
        "give them one subject (split.leak_check=false if they are two patients)",
    )


def fine_structure(images: np.ndarray) -> np.ndarray:
    """Returns thumbnails without their coarse shading, as unit vectors.

    Args:
        images: ``(n, h, w, c)`` of any numeric type.

    Returns:
        ``(n, features)`` float32; the product of two rows is their correlation.
    """
    count, height, width, channels = images.shape
    rows = np.linspace(0, height, min(THUMBNAIL_PX, height) + 1).astype(int)
    columns = np.linspace(0, width, min(THUMBNAIL_PX, width) + 1).astype(int)
    small = np.empty((count, len(rows) - 1, len(columns) - 1, channels), np.float32)
    for start in range(0, count, _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        block = np.add.reduceat(block, rows[:-1], axis=1)
        block = np.add.reduceat(block, columns[:-1], axis=2)
        small[start : start + _BLOCK] = block
    area = np.outer(np.diff(rows), np.diff(columns)).astype(np.float32)
    small /= area[None, :, :, None]
    small -= _box_mean(_box_mean(small, axis=1), axis=2)
    flat = small.reshape(count, -1)
    flat -= flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norm > 0, norm, 1)


def _same_slices(cohort: Cohort) -> list[tuple[int, int]]:
    by_hash: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(cohort.index):
        by_hash[row["source_sha256"]].append(number)
    return [(same[0], other) for same in by_hash.values() for other in same[1:]]


def _similar(
    vectors: np.ndarray, *, subject: np.ndarray, frame: np.ndarray, height: np.ndarray
) -> list[tuple[int, int]]:
    found = []
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        near = np.abs(height[block, None] - height) <= NEIGHBOUR_MM
        near &= frame[block, None] == frame
        enough = np.where(near, SIMILAR_IN_ONE_FRAME, SIMILAR)
        other = subject[block, None] != subject
        rows, columns = np.nonzero((vectors[block] @ vectors.T > enough) & other)
        found += [(int(i) + start, int(j)) for i, j in zip(rows, columns, strict=True)]
    return [(i, j) for i, j in found if i < j]


def _frames(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Returns a number for each record's in-plane frame, and its height in mm."""
    matrix = np.array(
        [[float(x) for x in row["ijk_to_lps"].split()] for row in cohort.index]
    ).reshape(-1, 3, 4)
    along_columns, along_rows, origin = (matrix[:, :, k] for k in (0, 1, 3))
    normal = np.cross(along_columns, along_rows)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    height = (normal * origin).sum(axis=1)
    in_plane = origin - height[:, None] * normal
    key = np.concatenate([along_columns, along_rows, in_plane], axis=1).round(3)
    _, frame = np.unique(key, axis=0, return_inverse=True)
    return frame, height


def _box_mean(values: np.ndarray, *, axis: int, radius: int = 3) -> np.ndarray:
    """Returns the running mean over ``2 radius + 1`` pixels, edges repeated."""
    width = 2 * radius + 1
    margins = [(0, 0)] * values.ndim
    margins[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(values, margins, mode="edge"), axis=axis, dtype=np.float64)
    upper = np.take(total, range(width, total.shape[axis]), axis=axis)
    lower = np.take(total, range(total.shape[axis] - width), axis=axis)
    return ((upper - lower) / width).astype(np.float32)
