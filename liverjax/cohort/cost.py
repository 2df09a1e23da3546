"""What a study will cost: records, disk, memory and hours, before it is begun.

The constants were measured on two cores of an ordinary server (2 GHz class) with the
pinned versions; other machines differ by a factor of two, a GPU by hundreds.
"""

from __future__ import annotations

import dataclasses
import math

from liverjax.cohort.schema import Recipe

# Mean craniocaudal extent of a liver: 12,492 patches of 60 % of 259 livers at 2.1 mm.
LIVER_EXTENT_MM = 169.0
# elastix' default rigid map on one thread: 2.3, 4.7 and 16.7 s for 1.3, 5.1 and 20.4
# million voxels.
REGISTRATION_S = 1.5
REGISTRATION_S_PER_VOXEL = 0.75e-6
# Reading, checking, resampling and cutting; CHAOS' 20.4 million voxels took 1.2 s.
READ_S_PER_VOXEL = 0.06e-6
# Three float32 volumes, their copies in ITK, pyramids: CHAOS needed 2.4 GB.
WORKER_BYTES_PER_VOXEL = 110.0
WORKER_BYTES = 0.4e9
PICTURE_BYTES = 0.4e6
# One training example of ResNet18 at 224 px and full width, forward and backward; and
# what two cores do of it a second (64 to 80 px: 102 to 115; quarter width: 60).
RESNET18_TRAIN_GFLOP = 10.9
FULL_WIDTH_GFLOP_PER_S = 110.0
QUARTER_WIDTH_GFLOP_PER_S = 60.0
MEASURED_CORES = 2
FORWARD_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Scan:
    """What the estimate needs of an examination's reference scan.

    Attributes:
        slice_spacing_mm: Between slices.
        extent_mm: Height of the scanned box.
        voxels: Of all channels together.
        liver_extent_mm: Measured, or None for the usual extent.
    """

    slice_spacing_mm: float
    extent_mm: float
    voxels: int
    liver_extent_mm: float | None = None


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a study will cost.

    Attributes:
        records: Slices kept.
        cohort_bytes: Of their arrays, which is what training holds in memory.
        disk_bytes: With the pictures.
        worker_bytes: Peak memory of one preparing process.
        prepare_core_hours: One core's hours of preparation.
    """

    records: int
    cohort_bytes: int
    disk_bytes: int
    worker_bytes: int
    prepare_core_hours: float


def expected_records(scan: Scan, *, recipe: Recipe) -> int:
    """Returns how many slices of a scan become records."""
    extent = scan.liver_extent_mm or min(LIVER_EXTENT_MM, scan.extent_mm)
    low, high = recipe.slice_range
    step = max(scan.slice_spacing_mm, recipe.slice_spacing_mm or 0.0)
    return max(1, math.floor((high - low) * extent / step))


def preparation_cost(scans: list[Scan], *, recipe: Recipe) -> Cost:
    """Returns what preparing these scans costs.

    Args:
        scans: One an examination.
        recipe: How they are prepared.
    """
    records = sum(expected_records(scan, recipe=recipe) for scan in scans)
    nbytes = sum(spec.nbytes for spec in recipe.arrays())
    moving = len(recipe.channels) - 1 if recipe.registration == "rigid" else 0
    seconds = 0.0
    for scan in scans:
        seconds += READ_S_PER_VOXEL * scan.voxels
        share = moving / len(recipe.channels)
        seconds += moving * REGISTRATION_S
        seconds += REGISTRATION_S_PER_VOXEL * scan.voxels * share
    largest = max((scan.voxels for scan in scans), default=0) / len(recipe.channels)
    return Cost(
        records=records,
        cohort_bytes=records * nbytes,
        disk_bytes=int(records * nbytes + len(scans) * PICTURE_BYTES),
        worker_bytes=int(WORKER_BYTES + WORKER_BYTES_PER_VOXEL * largest),
        prepare_core_hours=seconds / 3600,
    )


def training_hours(
    *,
    train_records: int,
    select_records: int,
    folds: int,
    seeds: int,
    epochs: int,
    patch_px: int,
    width: int,
    cores: int,
) -> float:
    """Returns hours of training a ResNet18 on a CPU.

    Args:
        train_records: That a fold trains on.
        select_records: That it is selected with after every epoch.
        folds: Number of folds.
        seeds: Random starts a fold, times the trials.
        epochs: A member, at most.
        patch_px: Side of the network's image.
        width: Channels of its first stage; 64 is the published one.
        cores: Of the machine.
    """
    gflop = RESNET18_TRAIN_GFLOP * (patch_px / 224) ** 2 * (width / 64) ** 2
    # Narrow layers keep a core less busy.
    slope = math.log(FULL_WIDTH_GFLOP_PER_S / QUARTER_WIDTH_GFLOP_PER_S, 4)
    rate = FULL_WIDTH_GFLOP_PER_S * (width / 64) ** slope * cores / MEASURED_CORES
    examples = epochs * (train_records + FORWARD_SHARE * select_records)
    return folds * seeds * examples * gflop / rate / 3600
