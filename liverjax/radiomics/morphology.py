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
    hull_volume, hull_area, outer = _hull(mesh.ends)
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


def _hull(points: np.ndarray) -> tuple[float, float, np.ndarray]:
    hull = ConvexHull(points)
    return float(hull.volume), float(hull.area), points[hull.vertices]


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

    All pairs at one shift share a weight, so the sums are inner products of Fourier
    transforms, not a loop over pairs.
    NaN for fewer than two voxels or one intensity.
    """
    count = int(mask.sum())
    values = np.where(mask, image - image[mask].mean(), 0.0)
    square = float((values**2).sum())
    if count < 2 or square == 0:
        return math.nan, math.nan
    # Even, so that distances on the circle are those of a half that is mirrored.
    half = [fft.next_fast_len(n, real=True) + 1 for n in image.shape]
    size = tuple(2 * (n - 1) for n in half)
    far = [(np.arange(n) * step) ** 2 for n, step in zip(half, spacing_mm, strict=True)]
    apart = np.sqrt(far[0][:, None, None] + far[1][:, None] + far[2])
    apart[0, 0, 0] = np.inf
    # The transform of an even array is the cosine transform of its half.
    weight = fft.dctn(1 / apart, type=1, overwrite_x=True)
    del apart
    ones = _transform(mask.astype(float), size=size)
    total = _inner(ones, ones, weight=weight)
    own = _inner(ones, _transform(values**2, size=size), weight=weight)
    del ones
    spread = _transform(values, size=size)
    cross = _inner(spread, spread, weight=weight)
    moran = count / total * cross / square
    geary = (count - 1) / (2 * total) * (2 * own - 2 * cross) / square
    return moran, geary


def _transform(values: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    """The real Fourier transform after padding with zeros, which are never walked."""
    made = fft.rfft(values, size[2], axis=2)
    made = fft.fft(made, size[1], axis=1, overwrite_x=True)
    return fft.fft(made, size[0], axis=0, overwrite_x=True)


def _inner(one: np.ndarray, other: np.ndarray, *, weight: np.ndarray) -> float:
    """Sum over all pairs of voxels of w_ij x_i y_j, by Parseval's theorem.

    Args:
        one: Transform of x, its last axis halved.
        other: Transform of y.
        weight: Transform of w, every axis halved: it is even.
    """
    h, w = weight.shape[1:]
    twice = np.full(w, 2.0)
    twice[[0, -1]] = 1.0
    total = 0.0
    for k, (x, y) in enumerate(zip(one, other, strict=True)):
        product = x.real * y.real + x.imag * y.imag
        row = weight[min(k, len(one) - k)]
        product[1 : h - 1] += product[: h - 1 : -1]
        total += float(np.einsum("hw,hw,w->", product[:h], row, twice))
    return total / (len(one) * one.shape[1] * 2 * (w - 1))
