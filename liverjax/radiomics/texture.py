"""Features of texture matrices, many matrices at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from liverjax.radiomics.matrices import Counts

Values = dict[str, Float[np.ndarray, "m"]]
TINY = np.finfo(float).tiny
# Matrices of so many entries are taken at a time.
CHUNK = 4_000_000


def _entropy(p: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    return -np.sum(p * np.log2(np.maximum(p, TINY)), axis=axis)


def cooccurrence_features(counts: Float[np.ndarray, "m g g"]) -> Values:
    """Returns the 25 features of each matrix; NaN for a matrix without a pair.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 3.6.
    """
    step = max(CHUNK // counts[0].size, 1)
    parts = [_cooccurrence(counts[k : k + step]) for k in range(0, len(counts), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_key(p: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Sums entries of equal key; every key from its minimum on occurs."""
    order = np.argsort(key, axis=None, kind="stable")
    starts = np.flatnonzero(np.diff(key.ravel()[order], prepend=-1))
    return np.add.reduceat(p.reshape(len(p), -1)[:, order], starts, axis=1)


def _cooccurrence(counts: np.ndarray) -> Values:
    total = counts.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        p = counts / total[:, None, None]
    size = p.shape[1]
    level = np.arange(1.0, size + 1)
    i, j = np.meshgrid(level, level, indexing="ij")
    apart = np.abs(i - j)
    side = p.sum(axis=2)
    mean = side @ level
    variance = side @ level**2 - mean**2
    variance = np.maximum(variance, 0)
    diff, sums = _by_key(p, apart.astype(int)), _by_key(p, (i + j).astype(int))
    k, s = np.arange(size), np.arange(2, 2 * size + 1)
    diff_mean, sum_mean = diff @ k, sums @ s
    centred = s[None] - 2 * mean[:, None]
    joint_entropy, side_entropy = _entropy(p, (1, 2)), _entropy(side, 1)
    product = side[:, :, None] * side[:, None, :]
    cross = -np.sum(p * np.log2(np.maximum(product, TINY)), axis=(1, 2))
    auto = np.einsum("mij,i,j->m", p, level, level)
    flat = variance < 1e-12
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(flat, 1.0, (auto - mean**2) / variance)
        first = np.where(side_entropy > 0, (joint_entropy - cross) / side_entropy, 0.0)
    excess = np.maximum(2 * side_entropy - joint_entropy, 0)
    inverse_variance = np.where(k > 0, 1 / np.maximum(k, 1) ** 2, 0.0)
    made = {
        "joint_max": p.max(axis=(1, 2)),
        "joint_avg": mean,
        "joint_var": variance,
        "joint_entr": joint_entropy,
        "diff_avg": diff_mean,
        "diff_var": diff @ k**2 - diff_mean**2,
        "diff_entr": _entropy(diff, 1),
        "sum_avg": sum_mean,
        "sum_var": np.sum(sums * (s - sum_mean[:, None]) ** 2, axis=1),
        "sum_entr": _entropy(sums, 1),
        "energy": (p**2).sum(axis=(1, 2)),
        "contrast": diff @ k**2,
        "dissimilarity": diff_mean,
        "inv_diff": diff @ (1 / (1 + k)),
        "inv_diff_norm": diff @ (1 / (1 + k / size)),
        "inv_diff_mom": diff @ (1 / (1 + k**2)),
        "inv_diff_mom_norm": diff @ (1 / (1 + (k / size) ** 2)),
        "inv_var": diff @ inverse_variance,
        "corr": correlation,
        "auto_corr": auto,
        "clust_tend": np.sum(sums * centred**2, axis=1),
        "clust_shade": np.sum(sums * centred**3, axis=1),
        "clust_prom": np.sum(sums * centred**4, axis=1),
        "info_corr1": first,
        "info_corr2": np.sqrt(1 - np.exp(-2 * excess)),
    }
    empty = total == 0
    return {name: np.where(empty, np.nan, value) for name, value in made.items()}


# What the standard calls the second axis of each family: its emphases (short, long),
# its non-uniformity, its percentage, variance and entropy.
WORDS = {
    "rlm": ("sre", "lre", "r", "rlnu", "r_perc", "rl"),
    "szm": ("sze", "lze", "z", "zsnu", "z_perc", "zs"),
    "dzm": ("sde", "lde", "z", "zdnu", "z_perc", "zd"),
    "ngl": ("lde", "hde", "c", "dcnu", "dc_perc", "dc"),
}


def size_features(counts: Counts, *, family: str) -> Values:
    """Returns the features of run, zone, distance-zone or dependence matrices.

    Args:
        counts: Of any number of matrices.
        family: ``rlm``, ``szm``, ``dzm`` or ``ngl``: the standard's prefix.

    Reference:
        Image Biomarker Standardisation Initiative, manual, sections 3.7 to 3.9, 3.11.
    """
    short, long, unit, uniformity, percent, axis = WORDS[family]
    m, size = counts.matrix, len(counts.voxels)
    i, j, n = counts.i.astype(float), counts.j.astype(float), counts.count
    total = np.bincount(m, n, size)
    share = n / total[m]

    def mean(weight: np.ndarray) -> np.ndarray:
        return np.bincount(m, share * weight, size)

    def uneven(column: np.ndarray) -> np.ndarray:
        width = int(column.max(initial=0)) + 1
        keys, place = np.unique(m * width + column, return_inverse=True)
        return np.bincount(keys // width, np.bincount(place, n) ** 2, size)

    rows, columns = uneven(counts.i), uneven(counts.j)
    low, high = short[:-1], long[:-1]
    level_low, level_high = f"lg{unit}e", f"hg{unit}e"
    made = {
        short: mean(1 / j**2),
        long: mean(j**2),
        level_low: mean(1 / i**2),
        level_high: mean(i**2),
        f"{low}lge": mean(1 / (i * j) ** 2),
        f"{low}hge": mean((i / j) ** 2),
        f"{high}lge": mean((j / i) ** 2),
        f"{high}hge": mean((i * j) ** 2),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        made |= {
            "glnu": rows / total,
            "glnu_norm": rows / total**2,
            uniformity: columns / total,
            f"{uniformity}_norm": columns / total**2,
            percent: total / counts.voxels,
            "gl_var": mean((i - mean(i)[m]) ** 2),
            f"{axis}_var": mean((j - mean(j)[m]) ** 2),
            f"{axis}_entr": -np.bincount(m, share * np.log2(share), size),
        }
    if family == "ngl":
        made["dc_energy"] = mean(share)
    return {name: np.where(total > 0, value, np.nan) for name, value in made.items()}


def difference_features(
    number: Float[np.ndarray, "m g"], *, total: Float[np.ndarray, "m g"]
) -> Values:
    """Returns the five features of neighbourhood grey tone difference matrices.

    NaN for a matrix without neighbours.

    Args:
        number: Voxels of each level that have a neighbour.
        total: Sum of their distances from their neighbours' mean.

    Reference:
        Image Biomarker Standardisation Initiative, manual, section 3.10.
    """
    none = dict.fromkeys(DIFFERENCE, np.nan)
    rows = [
        _difference(n, s) if n.any() else none
        for n, s in zip(number, total, strict=True)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


DIFFERENCE = ("coarseness", "contrast", "busyness", "complexity", "strength")
COARSEST = 1e6


def _difference(number: np.ndarray, total: np.ndarray) -> dict[str, float]:
    level = np.flatnonzero(number) + 1.0
    present = number > 0
    s, voxels = total[present], number.sum()
    p = number[present] / voxels
    weighted = float(p @ s)
    apart = level[:, None] - level[None]
    levels = len(level)
    ip = level * p
    spread = float(np.abs(ip[:, None] - ip[None]).sum())
    pairs = max(levels * (levels - 1), 1)
    both = p[:, None] + p[None]
    mixed = (p * s)[:, None] + (p * s)[None]
    return {
        "coarseness": 1 / weighted if weighted > 0 else COARSEST,
        "contrast": float((np.outer(p, p) * apart**2).sum() / pairs * s.sum() / voxels),
        "busyness": weighted / spread if levels > 1 and spread > 0 else 0.0,
        "complexity": float((np.abs(apart) * mixed / both).sum() / voxels),
        "strength": float((both * apart**2).sum() / s.sum()) if s.sum() > 0 else 0.0,
    }
