"""The names, bins and conventions of PyRadiomics, on our matrices.

Models published on that package's features read these.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import QhullError, distance

import liverjax.radiomics.matrices as matrices
import liverjax.radiomics.texture as texture
from liverjax.radiomics.intensity import statistics
from liverjax.radiomics.mesh import make_mesh
from liverjax.radiomics.morphology import hull_points, principal_axes
from liverjax.radiomics.region import Region, Spacing, crop
from liverjax.radiomics.settings import Number, Settings

MANY = 30  # points, of which a hull is found sooner than all distances
COOCCURRENCE = {
    "Autocorrelation": "auto_corr",
    "JointAverage": "joint_avg",
    "ClusterProminence": "clust_prom",
    "ClusterShade": "clust_shade",
    "ClusterTendency": "clust_tend",
    "Contrast": "contrast",
    "Correlation": "corr",
    "DifferenceAverage": "diff_avg",
    "DifferenceEntropy": "diff_entr",
    "DifferenceVariance": "diff_var",
    "Id": "inv_diff",
    "Idm": "inv_diff_mom",
    "Idmn": "inv_diff_mom_norm",
    "Idn": "inv_diff_norm",
    "Imc1": "info_corr1",
    "Imc2": "info_corr2",
    "InverseVariance": "inv_var",
    "JointEnergy": "energy",
    "JointEntropy": "joint_entr",
    "MaximumProbability": "joint_max",
    "SumAverage": "sum_avg",
    "SumEntropy": "sum_entr",
    "SumSquares": "joint_var",
}
# Family: what the standard calls it, then small, large, the unit and its axis.
SIZES = {
    "glrlm": ("rlm", "ShortRun", "LongRun", "Run", "RunLength", "Run"),
    "glszm": ("szm", "SmallArea", "LargeArea", "Zone", "SizeZone", "Zone"),
    "gldm": (
        "ngl",
        "SmallDependence",
        "LargeDependence",
        "",
        "Dependence",
        "Dependence",
    ),
}
FIRST_ORDER = {
    "10Percentile": "p10",
    "90Percentile": "p90",
    "InterquartileRange": "iqr",
    "Maximum": "max",
    "Mean": "mean",
    "MeanAbsoluteDeviation": "mad",
    "Median": "median",
    "Minimum": "min",
    "Range": "range",
    "RobustMeanAbsoluteDeviation": "rmad",
    "Skewness": "skew",
    "Variance": "var",
}


def normalise(
    image: Float[np.ndarray, "d h w"], *, scale: float
) -> Float[np.ndarray, "d h w"]:
    """Returns the image with mean 0 and standard deviation ``scale`` as a whole."""
    return (image - image.mean()) / image.std(ddof=1) * scale


def grey_levels(region: Region, *, settings: Settings) -> Int[np.ndarray, "d h w"]:
    """Returns grey levels by the package's bins: widths are counted from zero."""
    values = region.image[region.intensity]
    if settings.bin_width is not None:
        found = np.floor(values / settings.bin_width)
        found -= found.min() - 1
    else:
        edges = np.histogram(values, settings.bin_number or 32)[1]
        edges[-1] += 1
        found = np.digitize(values, edges)
    levels = np.zeros(region.image.shape, np.int64)
    levels[region.intensity] = found.astype(np.int64)
    return levels


def features(region: Region, *, settings: Settings) -> dict[str, float]:
    """Returns the features under the package's names (``original_glcm_Contrast``).

    ``aggregation`` is one of ``3D_avg`` (its default), ``3D_comb`` (its
    ``no_weighting``), ``2_5D_avg`` (its ``force2D``) and ``2_5D_comb`` (both). A region
    of one slice also has its ``shape2D``.

    Reference:
        van Griethuysen et al., Cancer Research 2017;77:e104-e107.
    """
    box = crop(region.morphology)
    region = Region(
        region.image[box],
        region.morphology[box],
        region.intensity[box],
        region.spacing_mm,
    )
    levels, wanted = grey_levels(region, settings=settings), set(settings.families)
    made = {}
    if "morphology" in wanted:
        made |= _named("shape", shape(region.morphology, spacing_mm=region.spacing_mm))
        if len(region.morphology) == 1:
            flat, sides = region.morphology[0], region.spacing_mm[1:]
            made |= _named("shape2D", shape_in_plane(flat, spacing_mm=sides))
    if "statistics" in wanted:
        made |= _named("firstorder", _first_order(region, levels, settings=settings))
    (merged,) = settings.aggregation
    planar, combined = merged.startswith("2_5D"), merged.endswith("comb")
    grid = matrices.make_grid(levels, planar=planar)
    if "glcm" in wanted:
        made |= _named("glcm", _cooccurrence(grid, combined=combined))
    if "glrlm" in wanted:
        _, direction, level, length, count = matrices.runs(grid)
        number, voxels = len(grid.offsets), float(len(grid.where))
        # An axis along which the region is one voxel thick has no direction.
        real = np.array([_has_extent(grid, k) for k in range(number)])
        keep = real[direction]
        group = np.zeros_like(direction) if combined else direction
        size = np.array([voxels * real.sum()]) if combined else np.full(number, voxels)
        counts = matrices.tally(
            group[keep], i=level[keep], j=length[keep], voxels=size, count=count[keep]
        )
        made |= _sizes("glrlm", counts)
    every = np.zeros_like(grid.plane)
    total = np.array([float(len(grid.where))])
    if "glszm" in wanted:
        zone = matrices.zones(grid)
        size, first = np.bincount(zone), np.zeros(zone.max() + 1, np.int64)
        first[zone] = np.arange(len(zone))
        level = grid.level[first]
        counts = matrices.tally(every[first], i=level, j=size, voxels=total)
        made |= _sizes("glszm", counts)
    if wanted & {"ngldm", "ngtdm"}:
        near = matrices.neighbourhood(grid, distance=settings.dependence_distance)
        counts = matrices.tally(every, i=grid.level, j=near.dependent + 1, voxels=total)
        made |= _sizes("gldm", counts) if "ngldm" in wanted else {}
        made |= _named("ngtdm", _differences(grid, near)) if "ngtdm" in wanted else {}
    return made


def _has_extent(grid: matrices.Grid, number: int) -> bool:
    sizes = np.array(grid.shape) - 2
    step = matrices.directions(planar=len(grid.offsets) == 4)[number]
    return all(n > 1 for n, s in zip(sizes, step, strict=True) if s)


def _named(family: str, values: dict[str, float]) -> dict[str, float]:
    return {f"original_{family}_{name}": value for name, value in values.items()}


def _mean(value: np.ndarray) -> float:
    return float(np.nanmean(value)) if not np.isnan(value).all() else math.nan


def _first_order(
    region: Region, levels: np.ndarray, *, settings: Settings
) -> dict[str, float]:
    values = region.image[region.intensity]
    known = statistics(values)
    share = np.bincount(levels[region.intensity]) / len(values)
    share = share[share > 0]
    energy = float(((values + settings.energy_shift) ** 2).sum())
    return {name: known[short] for name, short in FIRST_ORDER.items()} | {
        "Energy": energy,
        "TotalEnergy": energy * math.prod(region.spacing_mm),
        "RootMeanSquared": math.sqrt(energy / len(values)),
        "Entropy": float(-(share * np.log2(share)).sum()),
        "Uniformity": float((share**2).sum()),
        "Kurtosis": known["kurt"] + 3 if known["var"] else 0.0,
    }


def _cooccurrence(grid: matrices.Grid, *, combined: bool) -> dict[str, float]:
    counts = matrices.cooccurrence(grid).sum(axis=0)
    if combined:
        counts = counts.sum(axis=0, keepdims=True)
    known = texture.cooccurrence_features(counts)
    made = {name: _mean(known[short]) for name, short in COOCCURRENCE.items()}
    return made | {"MCC": _mean(np.array([_maximal(matrix) for matrix in counts]))}


def _maximal(counts: np.ndarray) -> float:
    """The maximal correlation coefficient: the second singular value."""
    side = counts.sum(axis=1)
    if not side.any():
        return math.nan
    here = side > 0
    if here.sum() == 1:
        return 1.0
    root = np.sqrt(side[here])
    scaled = counts[np.ix_(here, here)] / root[:, None] / root[None]
    return float(np.sort(np.abs(np.linalg.eigvalsh(scaled)))[-2])


def _sizes(family: str, counts: matrices.Counts) -> dict[str, float]:
    prefix, small, large, unit, uneven, axis = SIZES[family]
    known = texture.size_features(counts, family=prefix)
    short, long, letter, uniformity, percent, column = texture.WORDS[prefix]
    low, high = short[:-1], long[:-1]
    names = {
        f"{small}Emphasis": short,
        f"{large}Emphasis": long,
        f"LowGrayLevel{unit}Emphasis": f"lg{letter}e",
        f"HighGrayLevel{unit}Emphasis": f"hg{letter}e",
        f"{small}LowGrayLevelEmphasis": f"{low}lge",
        f"{small}HighGrayLevelEmphasis": f"{low}hge",
        f"{large}LowGrayLevelEmphasis": f"{high}lge",
        f"{large}HighGrayLevelEmphasis": f"{high}hge",
        "GrayLevelNonUniformity": "glnu",
        "GrayLevelNonUniformityNormalized": "glnu_norm",
        f"{uneven}NonUniformity": uniformity,
        f"{uneven}NonUniformityNormalized": f"{uniformity}_norm",
        f"{unit}Percentage": percent,
        "GrayLevelVariance": "gl_var",
        f"{axis}Variance": f"{column}_var",
        f"{axis}Entropy": f"{column}_entr",
    }
    if family == "gldm":
        # It leaves out what is redundant: the normalised level uniformity is the
        # histogram's, and every voxel has a dependence.
        del names["Percentage"], names["GrayLevelNonUniformityNormalized"]
    return _named(family, {name: _mean(known[tag]) for name, tag in names.items()})


def _differences(grid: matrices.Grid, near: matrices.Neighbourhood) -> dict[str, float]:
    mean = near.total / np.maximum(near.number, 1)
    known = near.number > 0
    away = np.where(known, np.abs(grid.level - mean), 0.0)
    size = grid.num_levels
    number = np.bincount(grid.level[known] - 1, minlength=size).astype(float)
    total = np.bincount(grid.level - 1, away, size)
    values = texture.difference_features(number[None], total=total[None])
    return {name.capitalize(): float(value[0]) for name, value in values.items()}


def shape(mask: Bool[np.ndarray, "d h w"], *, spacing_mm: Spacing) -> dict[str, float]:
    """Returns the package's shape features, without prefix.

    Its axes come from the voxels' population covariance, the standard's from the
    sample's.
    """
    mesh = make_mesh(mask, spacing_mm=spacing_mm, from_corner=True)
    points = np.argwhere(mask) * np.array(spacing_mm)
    major, minor, least = principal_axes(points, sample=False)
    volume, area = mesh.volume_mm3, mesh.area_mm2
    flat = [_flat_diameter(mesh.vertices, axis=axis) for axis in range(3)]
    return {
        "MeshVolume": volume,
        "VoxelVolume": len(points) * math.prod(spacing_mm),
        "SurfaceArea": area,
        "SurfaceVolumeRatio": area / volume,
        "Sphericity": (36 * math.pi * volume**2) ** (1 / 3) / area,
        "Maximum3DDiameter": float(distance.pdist(hull_points(mesh.ends)).max()),
        "Maximum2DDiameterSlice": flat[0],
        "Maximum2DDiameterColumn": flat[1],
        "Maximum2DDiameterRow": flat[2],
        "MajorAxisLength": major,
        "MinorAxisLength": minor,
        "LeastAxisLength": least,
        "Elongation": minor / major if major else math.nan,
        "Flatness": least / major if major else math.nan,
    }


def _flat_diameter(vertices: np.ndarray, *, axis: int) -> float:
    """The largest distance between two corners in one plane across an axis.

    Planes come in order of their boxes' diagonals, until none can hold more.
    """
    across = [other for other in range(3) if other != axis]
    ordered = vertices[np.lexsort(vertices.T[[across[1], across[0], axis]])]
    turn = (np.diff(ordered[:, [axis, across[0]]], axis=0) != 0).any(axis=1)
    # Only the ends of a line can be the furthest from anything.
    ends = ordered[np.r_[True, turn] | np.r_[turn, True]]
    starts = np.flatnonzero(np.diff(ends[:, axis], prepend=np.nan))
    flat = ends[:, across]
    size = np.maximum.reduceat(flat, starts) - np.minimum.reduceat(flat, starts)
    diagonal = np.hypot(*size.T)
    planes, largest = np.split(flat, starts[1:]), 0.0
    for number in np.argsort(-diagonal):
        if diagonal[number] <= largest:
            break
        plane = planes[number]
        if len(plane) > MANY:
            with contextlib.suppress(QhullError):  # all on one line
                plane = hull_points(plane)
        largest = max(largest, float(distance.pdist(plane).max()))
    return largest


def shape_in_plane(
    mask: Bool[np.ndarray, "h w"], *, spacing_mm: tuple[Number, Number]
) -> dict[str, float]:
    """Returns the package's ``shape2D`` features of one slice, without prefix.

    The contour is cut halfway between pixels; pixels that touch at a corner are apart.
    """
    padded = np.pad(mask, 1).astype(np.int64)
    a, b = padded[:-1, :-1], padded[:-1, 1:]
    d, c = padded[1:, :-1], padded[1:, 1:]
    number, diagonal = a + b + c + d, (a == c) & (b == d) & (a != b)
    pair = (number == 2) & ~diagonal
    h, w = spacing_mm
    corners = np.count_nonzero(number % 2) + 2 * np.count_nonzero(diagonal)
    along_w = np.count_nonzero(pair & (a == b))
    along_h = np.count_nonzero(pair & (a != b))
    perimeter = corners * math.hypot(h, w) / 2 + along_w * w + along_h * h
    # Of each square of four pixels' centres, cut off at the middles of its sides.
    eighths = np.array([0, 1, 4, 7, 8])[number] - 2 * diagonal
    surface = float(eighths.sum()) / 8 * h * w
    points = np.argwhere(mask) * np.array(spacing_mm)
    spread = np.linalg.eigvalsh(np.cov(points, rowvar=False, bias=True))
    minor, major = (4 * math.sqrt(value) for value in np.maximum(spread, 0))
    ends = [
        (np.argwhere(np.diff(padded, axis=axis)) + np.eye(2)[axis] / 2) * (h, w)
        for axis in (0, 1)
    ]
    outer = hull_points(np.concatenate(ends))
    return {
        "MeshSurface": surface,
        "PixelSurface": len(points) * h * w,
        "Perimeter": perimeter,
        "PerimeterSurfaceRatio": perimeter / surface,
        "Sphericity": 2 * math.sqrt(math.pi * surface) / perimeter,
        "MaximumDiameter": float(distance.pdist(outer).max()),
        "MajorAxisLength": major,
        "MinorAxisLength": minor,
        "Elongation": minor / major if major else math.nan,
    }
