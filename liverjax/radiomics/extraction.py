"""Named features of an image inside a mask."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Int, Num

import liverjax.radiomics.intensity as intensity
import liverjax.radiomics.matrices as matrices
import liverjax.radiomics.pyradiomics as pyradiomics
import liverjax.radiomics.texture as texture
from liverjax.radiomics.filters import Filter
from liverjax.radiomics.morphology import morphology_features
from liverjax.radiomics.region import (
    Region,
    Spacing,
    crop,
    discretise,
    make_region,
    margin_px,
)
from liverjax.radiomics.response import reach_px, response_map
from liverjax.radiomics.settings import Settings

TEXTURES = {"glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm"}


def extract(
    image: Num[np.ndarray, "d h w"],
    mask: Bool[np.ndarray, "..."],
    *,
    spacing_mm: Spacing,
    settings: Settings,
) -> dict[str, float]:
    """Returns the features of a region by the standard's tags.

    A tag of a texture ends in how its matrices were merged (``cm_contrast_3D_avg``),
    every tag of a response map in its filter (``stat_mean_log_s1.5_3D``).
    A feature that a region does not have (the correlation of one voxel) is NaN.

    Args:
        image: Intensities on a grid of ``spacing_mm``.
        mask: The region.
        spacing_mm: Voxel size in the order (d, h, w).
        settings: What is done before counting, and what is counted.

    Raises:
        InputError: For another grid, an empty or too small mask, NaN in the image,
            or intensities that are no grey levels where no bins are asked for.

    Reference:
        Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology
        2020;295:328-338, and its reference manual.
    """
    image = np.asarray(image, float)
    if settings.normalise_scale is not None:
        image = pyradiomics.normalise(image, scale=float(settings.normalise_scale))
    region = make_region(image, mask=mask, spacing_mm=spacing_mm, settings=settings)
    if settings.preset == "pyradiomics":
        return pyradiomics.features(region, settings=settings)
    if settings.filter is None:
        return region_features(region, settings=settings)
    made = response_features(region, filter=settings.filter, settings=settings)
    return {f"{name}_{settings.filter.suffix}": value for name, value in made.items()}


def response_features(
    region: Region, *, filter: Filter, settings: Settings
) -> dict[str, float]:
    """Returns the features of a region's response map.

    Its range has nothing to do with the image's: bins of a fixed width begin at its
    minimum, and its volume histogram has 1000 levels where none are asked for.
    """
    reach = reach_px(filter, spacing_mm=region.spacing_mm)
    if reach is not None:
        peaks = margin_px(intensity.PEAK_RADIUS_MM, spacing_mm=region.spacing_mm)
        d, h, w = (a + b for a, b in zip(reach, peaks, strict=True))
        region = region.within(crop(region.morphology, margin=(d, h, w)))
    image = response_map(region.image, spacing_mm=region.spacing_mm, filter=filter)
    bins = settings.ivh_bin_number
    if bins is None and settings.ivh_bin_width is None:
        bins = 1000
    settings = dataclasses.replace(
        settings,
        intensity_range=None,
        ivh_bin_number=bins,
        families=tuple(f for f in settings.families if f != "morphology"),
    )
    region = dataclasses.replace(region, image=image)
    return region_features(region, settings=settings)


def region_features(region: Region, *, settings: Settings) -> dict[str, float]:
    """Returns the features of a region that is already interpolated and segmented."""
    wanted, made = set(settings.families), {}
    if "morphology" in wanted:
        made |= morphology_features(region)
    if "local" in wanted:
        made |= intensity.local_features(region)
    if "statistics" in wanted:
        made |= intensity.statistics_features(region)
    if "ivh" in wanted:
        made |= _volume_histogram(region, settings=settings)
    low = settings.intensity_range[0] if settings.intensity_range else None
    box = crop(region.morphology)
    cropped = region.within(box)
    if wanted & (TEXTURES | {"histogram"}):
        levels = discretise(
            cropped,
            bin_number=settings.bin_number,
            bin_width=settings.bin_width,
            low=low,
        )
        if "histogram" in wanted:
            made |= intensity.histogram_features(levels[cropped.intensity])
        made |= texture_features(levels, shape=cropped.morphology, settings=settings)
    return made


def _volume_histogram(region: Region, *, settings: Settings) -> dict[str, float]:
    values = region.image[region.intensity]
    low, high = settings.intensity_range or (None, None)
    start = float(values.min()) if low is None else low
    end = float(values.max()) if high is None else high
    number, width = settings.ivh_bin_number, settings.ivh_bin_width
    if number is not None:
        levels = discretise(region, bin_number=number, bin_width=None, low=None)
        found = levels[region.intensity].astype(float)
        grid = np.arange(1.0, number + 1)
    elif width is not None:
        levels = discretise(region, bin_number=None, bin_width=width, low=low)
        found = start + (levels[region.intensity] - 0.5) * width
        grid = np.arange(start + 0.5 * width, end, width)
    else:
        found, grid = values, np.arange(start, end + 0.5)
    return intensity.volume_histogram_features(found, grid=grid)


def texture_features(
    levels: Int[np.ndarray, "d h w"],
    *,
    shape: Bool[np.ndarray, "d h w"],
    settings: Settings,
) -> dict[str, float]:
    """Returns the features of the asked texture families.

    Args:
        levels: Grey levels from 1 on, 0 outside.
        shape: The morphological mask, whose border distances are measured from.
        settings: Families, aggregation, dependence.
    """
    wanted, made = set(settings.families) & TEXTURES, {}
    if not wanted:
        return made
    for planar in (True, False):
        dimensions = [d for d in settings.dimensions if (d != "3D") == planar]
        names = [a for a in settings.aggregation if a.rpartition("_")[0] in dimensions]
        if not dimensions:
            continue
        grid = matrices.make_grid(levels, planar=planar)
        if "glcm" in wanted:
            made |= _cooccurrence(grid, names=names)
        if "glrlm" in wanted:
            made |= _runs(grid, names=names)
        if wanted & {"glszm", "gldzm"}:
            made |= _zones(grid, shape=shape, dimensions=dimensions, wanted=wanted)
        if wanted & {"ngtdm", "ngldm"}:
            near = matrices.neighbourhood(grid, distance=settings.dependence_distance)
            for dimension in dimensions:
                made |= _neighbours(grid, near=near, dimension=dimension, wanted=wanted)
    return made


def _averaged(values: texture.Values, *, prefix: str, suffix: str) -> dict[str, float]:
    made = {}
    for name, value in values.items():
        whole = value[~np.isnan(value)]
        made[f"{prefix}_{name}_{suffix}"] = (
            float(whole.mean()) if whole.size else np.nan
        )
    return made


def _cooccurrence(grid: matrices.Grid, *, names: list[str]) -> dict[str, float]:
    counts, made = matrices.cooccurrence(grid), {}
    size = grid.num_levels
    for name in names:
        if name in ("2D_avg", "3D_avg"):
            merged = counts.reshape(-1, size, size)
        elif name == "2D_comb":
            merged = counts.sum(axis=1)
        elif name == "2_5D_avg":
            merged = counts.sum(axis=0)
        else:
            merged = counts.sum(axis=(0, 1))[None]
        values = texture.cooccurrence_features(merged)
        made |= _averaged(values, prefix="cm", suffix=name)
    return made


def _runs(grid: matrices.Grid, *, names: list[str]) -> dict[str, float]:
    plane, direction, level, length, count = matrices.runs(grid)
    number = len(grid.offsets)
    in_plane = np.bincount(grid.plane, minlength=grid.planes).astype(float)
    every, made = float(len(grid.where)), {}
    for name in names:
        if name == "2D_avg":
            group, voxels = plane * number + direction, np.repeat(in_plane, number)
        elif name == "2D_comb":
            group, voxels = plane, in_plane * number
        elif name in ("2_5D_avg", "3D_avg"):
            group, voxels = direction, np.full(number, every)
        else:
            group, voxels = np.zeros_like(plane), np.array([every * number])
        counts = matrices.tally(group, i=level, j=length, voxels=voxels, count=count)
        values = texture.size_features(counts, family="rlm")
        made |= _averaged(values, prefix="rlm", suffix=name)
    return made


def _groups(grid: matrices.Grid, *, dimension: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the matrix of each voxel, and how many voxels each matrix has."""
    group = grid.plane if dimension == "2D" else np.zeros_like(grid.plane)
    size = grid.planes if dimension == "2D" else 1
    return group, np.bincount(group, minlength=size).astype(float)


def _zones(
    grid: matrices.Grid,
    *,
    shape: Bool[np.ndarray, "d h w"],
    dimensions: list[str],
    wanted: set[str],
) -> dict[str, float]:
    zone, made = matrices.zones(grid), {}
    size = np.bincount(zone)
    first = np.zeros(len(size), np.int64)
    first[zone] = np.arange(len(zone))
    level = grid.level[first]
    families = {"szm": size} if "glszm" in wanted else {}
    if "gldzm" in wanted:
        planar = len(grid.offsets) == 4
        far = np.pad(matrices.border_distance(shape, planar=planar), 1).ravel()
        nearest = np.full(len(size), np.iinfo(np.int64).max)
        np.minimum.at(nearest, zone, far[grid.where].astype(np.int64))
        families["dzm"] = nearest
    for dimension in dimensions:
        group, voxels = _groups(grid, dimension=dimension)
        for family, column in families.items():
            counts = matrices.tally(group[first], i=level, j=column, voxels=voxels)
            values = texture.size_features(counts, family=family)
            made |= _averaged(values, prefix=family, suffix=dimension)
    return made


def _neighbours(
    grid: matrices.Grid,
    *,
    near: matrices.Neighbourhood,
    dimension: str,
    wanted: set[str],
) -> dict[str, float]:
    group, voxels = _groups(grid, dimension=dimension)
    made = {}
    if "ngldm" in wanted:
        counts = matrices.tally(
            group, i=grid.level, j=near.dependent + 1, voxels=voxels
        )
        values = texture.size_features(counts, family="ngl")
        made |= _averaged(values, prefix="ngl", suffix=dimension)
    if "ngtdm" in wanted:
        known = near.number > 0
        mean = near.total[known] / near.number[known]
        key = (group * grid.num_levels + grid.level - 1)[known]
        shape = (len(voxels), grid.num_levels)
        away = np.abs(grid.level[known] - mean)
        number = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape)
        total = np.bincount(key, away, shape[0] * shape[1]).reshape(shape)
        values = texture.difference_features(
            number.astype(float), total=total.astype(float)
        )
        made |= _averaged(values, prefix="ngt", suffix=dimension)
    return made
