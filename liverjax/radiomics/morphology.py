"""Size and shape of a region, and how its intensities lie in it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import fft, special
from scipy.spatial import ConvexHull, distance

from liverjax.radiomics.mesh import Mesh, make_mesh
from liverjax.radiomics.region import Region, Spacing, crop

LEGENDRE_TERMS = 20


def morphology_features(region: Region) -> dict[str, float]:
    """Returns the standard's morphological features; NaN where flat ones have none.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 3.1.
    """
    box = crop(region.morphology)
    mask, inside = region.morphology[box], region.intensity[box]
    image = region.image[box]
    mesh = make_mesh(mask, spacing_mm=region.spacing_mm)
    points = np.argwhere(mask) * np.array(region.spacing_mm)
    values = image[inside]
    made = shape_features(mesh, points=points, spacing_mm=region.spacing_mm)
    weighted = np.argwhere(inside) * np.array(region.spacing_mm)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = values @ weighted / values.sum()
    moran, geary = spatial_correlation(image, mask=inside, spacing_mm=region.spacing_mm)
    made |= {
        "morph_com": float(np.linalg.norm(points.mean(axis=0) - centre)),
        "morph_integ_int": float(values.mean() * mesh.volume_mm3),
        "morph_moran_i": moran,
        "morph_geary_c": geary,
    }
    return made


def shape_features(
    mesh: Mesh,
    *,
    points: Float[np.ndarray, "n 3"],
    spacing_mm: Spacing,
) -> dict[str, float]:
    """Returns what the surface and the voxels' places say without intensities.

    Args:
        mesh: Surface of the mask.
        points: Its voxels' centres in mm.
        spacing_mm: Voxel size.
    """
    volume, area = mesh.volume_mm3, mesh.area_mm2
    ball = (36 * math.pi * volume**2) ** (1 / 3)
    hull_volume, hull_area, outer = _hull(mesh.vertices)
    major, minor, least = principal_axes(points)
    extent = np.ptp(mesh.vertices, axis=0)
    box_area = 2 * (
        extent[0] * extent[1] + extent[1] * extent[2] + extent[0] * extent[2]
    )
    semi = np.array([major, minor, least]) / 2
    ellipsoid = 4 / 3 * math.pi * semi.prod()
    ellipsoid_area = _ellipsoid_area(*semi)
    return {
        "morph_volume": volume,
        "morph_vol_approx": len(points) * math.prod(spacing_mm),
        "morph_area_mesh": area,
        "morph_av": area / volume,
        "morph_comp_1": volume / (math.sqrt(math.pi) * area**1.5),
        "morph_comp_2": 36 * math.pi * volume**2 / area**3,
        "morph_sph_dispr": area / ball,
        "morph_sphericity": ball / area,
        "morph_asphericity": (area**3 / (36 * math.pi * volume**2)) ** (1 / 3) - 1,
        "morph_diam": float(distance.pdist(outer).max()),
        "morph_pca_maj_axis": major,
        "morph_pca_min_axis": minor,
        "morph_pca_least_axis": least,
        "morph_pca_elongation": minor / major if major else math.nan,
        "morph_pca_flatness": least / major if major else math.nan,
        "morph_vol_dens_aabb": volume / float(extent.prod()),
        "morph_area_dens_aabb": area / float(box_area),
        "morph_vol_dens_aee": volume / ellipsoid if ellipsoid else math.nan,
        "morph_area_dens_aee": area / ellipsoid_area if ellipsoid else math.nan,
        "morph_vol_dens_conv_hull": volume / hull_volume,
        "morph_area_dens_conv_hull": area / hull_area,
    }


def _hull(vertices: np.ndarray) -> tuple[float, float, np.ndarray]:
    hull = ConvexHull(vertices)
    return float(hull.volume), float(hull.area), vertices[hull.vertices]


def hull_points(points: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "m k"]:
    """Returns the corners of the convex hull: the farthest pair is among them."""
    return points[ConvexHull(points).vertices]


def principal_axes(
    points: Float[np.ndarray, "n 3"], *, sample: bool = True
) -> tuple[float, float, float]:
    """Returns the lengths of the axes, longest first: four standard deviations.

    Args:
        points: In mm.
        sample: Divide the covariance by n - 1 (the standard's values), or by n.
    """
    centred = points - points.mean(axis=0)
    spread = np.linalg.eigvalsh(centred.T @ centred / max(len(points) - sample, 1))
    least, minor, major = (4 * math.sqrt(value) for value in np.maximum(spread, 0))
    return major, minor, least


def _ellipsoid_area(a: float, b: float, c: float) -> float:
    """The standard's series of Legendre polynomials, with half axes a >= b >= c."""
    if not c:
        return math.nan
    alpha, beta = math.sqrt(1 - (b / a) ** 2), math.sqrt(1 - (c / a) ** 2)
    if not alpha * beta:
        terms = sum(_legendre_limit(v, alpha, beta) for v in range(LEGENDRE_TERMS + 1))
    else:
        x = (alpha**2 + beta**2) / (2 * alpha * beta)
        terms = sum(
            (alpha * beta) ** v / (1 - 4 * v**2) * float(special.eval_legendre(v, x))
            for v in range(LEGENDRE_TERMS + 1)
        )
    return 4 * math.pi * a * b * terms


def _legendre_limit(order: int, alpha: float, beta: float) -> float:
    """(alpha beta)^v P_v(x) for alpha or beta at 0: only its leading term is left."""
    leading = special.binom(2 * order, order) / 2**order
    return leading * ((alpha**2 + beta**2) / 2) ** order / (1 - 4 * order**2)


def spatial_correlation(
    image: Float[np.ndarray, "d h w"],
    *,
    mask: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
) -> tuple[float, float]:
    """Returns Moran's I and Geary's C over all pairs of voxels, weighted by 1/distance.

    All pairs at one shift share a weight, so both sums are a product of the shifts'
    autocorrelation with the weights: a Fourier transform, not a loop over pairs.
    NaN for fewer than two voxels or one intensity.
    """
    count = int(mask.sum())
    values = np.where(mask, image - image[mask].mean(), 0.0)
    square = float((values**2).sum())
    if count < 2 or square == 0:
        return math.nan, math.nan
    size = tuple(fft.next_fast_len(2 * n - 1, real=True) for n in image.shape)
    shifts = [
        np.minimum(np.arange(n), n - np.arange(n)) * step
        for n, step in zip(size, spacing_mm, strict=True)
    ]
    far = np.sqrt(
        shifts[0][:, None, None] ** 2
        + shifts[1][None, :, None] ** 2
        + shifts[2][None, None, :] ** 2
    )
    far[0, 0, 0] = np.inf
    weight = fft.rfftn(1 / far).real
    del far
    # Sum over pairs (i, j) of w_ij x_i y_j is the inner product of y with w * x.
    around = fft.irfftn(fft.rfftn(mask.astype(float), size) * weight, size)
    around = around[tuple(slice(n) for n in image.shape)]
    total = float(around[mask].sum())
    own = float((values[mask] ** 2 * around[mask]).sum())
    del around
    spread = fft.irfftn(fft.rfftn(values, size) * weight, size)
    cross = float((spread[tuple(slice(n) for n in image.shape)] * values).sum())
    moran = count / total * cross / square
    geary = (count - 1) / (2 * total) * (2 * own - 2 * cross) / square
    return moran, geary
