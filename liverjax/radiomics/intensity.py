"""Intensities of a region: statistics, histogram, volume histogram, local peaks."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from scipy import signal

from liverjax.radiomics.region import Region, crop, margin_px

# A ball of 1 cubic centimetre.
PEAK_RADIUS_MM = (3 / (4 * math.pi)) ** (1 / 3) * 10


def statistics(values: Float[np.ndarray, "n"]) -> dict[str, float]:
    """Returns the statistics that intensities and grey levels share, without prefix.

    Reference:
        Image Biomarker Standardisation Initiative, manual, sections 3.3 and 3.4.
    """
    mean, variance = values.mean(), values.var()
    centred = values - mean
    square = centred * centred  # powers above two are slow
    # Rounding alone must not make a constant region skewed.
    flat = variance <= (np.abs(values).max() * 1e-12) ** 2
    p10, p25, median, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90])
    robust = values[(values >= p10) & (values <= p90)]
    with np.errstate(invalid="ignore", divide="ignore"):
        made = {
            "mean": mean,
            "var": variance,
            "skew": 0.0 if flat else (square * centred).mean() / variance**1.5,
            "kurt": 0.0 if flat else (square * square).mean() / variance**2 - 3,
            "median": median,
            "min": values.min(),
            "p10": p10,
            "p90": p90,
            "max": values.max(),
            "iqr": p75 - p25,
            "range": np.ptp(values),
            "mad": np.abs(centred).mean(),
            "rmad": np.abs(robust - robust.mean()).mean(),
            "medad": np.abs(values - median).mean(),
            "cov": math.sqrt(variance) / mean if mean else math.nan,
            "qcod": (p75 - p25) / (p75 + p25) if p75 + p25 else math.nan,
        }
    return {name: float(value) for name, value in made.items()}


def statistics_features(region: Region) -> dict[str, float]:
    """Returns the intensity-based statistics."""
    values = region.image[region.intensity]
    energy = float((values**2).sum())
    made = {f"stat_{name}": value for name, value in statistics(values).items()}
    made["stat_energy"] = energy
    made["stat_rms"] = math.sqrt(energy / len(values))
    return made


def histogram_features(levels: Int[np.ndarray, "n"]) -> dict[str, float]:
    """Returns features of the discretised intensities (grey levels from 1 on)."""
    made = {f"ih_{n}": v for n, v in statistics(levels.astype(float)).items()}
    count = np.bincount(levels)[1:].astype(float)
    share = count[count > 0] / len(levels)
    nearest = np.abs(np.arange(1, len(count) + 1) - made["ih_mean"])
    modes = np.flatnonzero(count == count.max())
    slope = np.gradient(count) if len(count) > 1 else np.zeros(1)
    return made | {
        "ih_mode": float(modes[nearest[modes].argmin()] + 1),
        "ih_entropy": float(-(share * np.log2(share)).sum()),
        "ih_uniformity": float((share**2).sum()),
        "ih_max_grad": float(slope.max()),
        "ih_max_grad_g": float(slope.argmax() + 1),
        "ih_min_grad": float(slope.min()),
        "ih_min_grad_g": float(slope.argmin() + 1),
    }


def volume_histogram_features(
    values: Float[np.ndarray, "n"], *, grid: Float[np.ndarray, "g"]
) -> dict[str, float]:
    """Returns features of the intensity-volume histogram.

    Args:
        values: Intensities, on the grid's steps.
        grid: The intensities at which the histogram is read, rising.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 3.5.
    """
    below = np.searchsorted(
        np.sort(values), grid - 1e-9 * max(abs(grid[-1]), 1), "left"
    )
    volume = 1 - below / len(values)
    span = grid[-1] - grid[0]
    part = (grid - grid[0]) / span if span else np.zeros(len(grid))

    def at_intensity(fraction: float) -> float:
        reached = volume[part >= fraction - 1e-12]
        return float(reached.max()) if reached.size else math.nan

    def at_volume(fraction: float) -> float:
        reached = grid[volume <= fraction + 1e-12]
        # No step is so rare: the one beyond the last is.
        step = grid[-1] - grid[-2] if len(grid) > 1 else 1.0
        return float(reached.min() if reached.size else grid[-1] + step)

    v10, v90 = at_intensity(0.1), at_intensity(0.9)
    i10, i90 = at_volume(0.1), at_volume(0.9)
    return {
        "ivh_v10": v10,
        "ivh_v90": v90,
        "ivh_i10": i10,
        "ivh_i90": i90,
        "ivh_diff_v10_v90": v10 - v90,
        "ivh_diff_i10_i90": i10 - i90,
        "ivh_auc": float(np.trapezoid(volume, part)),
    }


def local_features(region: Region) -> dict[str, float]:
    """Returns the local and the global intensity peak: means over balls of 1 ml.

    A ball may reach beyond the mask, not beyond the image.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 3.2.
    """
    reach = margin_px(PEAK_RADIUS_MM, spacing_mm=region.spacing_mm)
    box = crop(region.intensity, margin=reach)
    image, mask = region.image[box], region.intensity[box]
    # A ball is no thicker than the image: of one slice it is a disc.
    reach = [min(n, length - 1) for n, length in zip(reach, image.shape, strict=True)]
    axes = [
        np.arange(-n, n + 1) * step
        for n, step in zip(reach, region.spacing_mm, strict=True)
    ]
    squares = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2][None] ** 2
    ball = (squares <= PEAK_RADIUS_MM**2).astype(float)
    number = np.rint(signal.oaconvolve(np.ones(image.shape), ball, mode="same"))
    mean = signal.oaconvolve(image, ball, mode="same") / number
    inside, values = mean[mask], image[mask]
    return {
        "loc_peak_loc": float(inside[values == values.max()].max()),
        "loc_peak_glob": float(inside.max()),
    }
