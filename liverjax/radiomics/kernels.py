"""Kernels of the filters: Laws, wavelets, Gaussian derivatives, Gabor waves."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Complex, Float

Line = Float[np.ndarray, "n"]
Number = int | float
# Beyond so many standard deviations the Gabor envelope is below 1e-6.
GABOR_REACH = 5.3

_LAWS = {
    "L3": (1, 2, 1),
    "E3": (-1, 0, 1),
    "S3": (-1, 2, -1),
    "L5": (1, 4, 6, 4, 1),
    "E5": (-1, -2, 0, 2, 1),
    "S5": (-1, 0, 2, 0, -1),
    "W5": (-1, 2, 0, -2, 1),
    "R5": (1, -4, 6, -4, 1),
}


def laws(name: str) -> Line:
    """Returns one of Laws' kernels, of unit length as a vector.

    Reference:
        Laws, Rapid texture identification, SPIE 238, 1980; the standard, part 2,
        section 3.3.
    """
    values = np.array(_LAWS[name], float)
    return values / np.linalg.norm(values)


def low_pass(wavelet: str) -> Line:
    """Returns a wavelet's low-pass decomposition filter, of sum sqrt(2).

    Daubechies' filters are the minimum-phase factors of the half-band polynomial; the
    first coiflet has a closed form.

    Reference:
        Daubechies, Ten Lectures on Wavelets, SIAM 1992, sections 6.1, 6.4 and 8.2.
    """
    if wavelet == "coif1":
        r = math.sqrt(7)
        values = (r - 3, 1 - r, 14 - 2 * r, 14 + 2 * r, 5 + r, 1 - r)
        return np.array(values) / (16 * math.sqrt(2))
    moments = 1 if wavelet == "haar" else int(wavelet.removeprefix("db"))
    # z^(N-1) times the sum of binom(N-1+k, k) y^k, with y = (2 - z - 1/z) / 4.
    polynomial, power = np.zeros(2 * moments - 1), np.ones(1)
    for k in range(moments):
        first = moments - 1 - k
        share = math.comb(moments - 1 + k, k) / (-4.0) ** k
        polynomial[first : first + len(power)] += share * power
        power = np.convolve(power, [1.0, -2.0, 1.0])
    roots = np.roots(polynomial)
    inside = roots[np.abs(roots) < 1]
    made = np.real(np.poly(np.r_[inside, -np.ones(moments)]))[::-1]
    return made * math.sqrt(2) / made.sum()


def high_pass(low: Line) -> Line:
    """Returns the quadrature mirror filter of a low-pass decomposition filter."""
    signs = np.where(np.arange(len(low)) % 2, 1.0, -1.0)
    return signs * low[::-1]


def dilate(kernel: Line, *, level: int) -> Float[np.ndarray, "m"]:
    """Returns the kernel with 2^(level-1) - 1 zeros between its values (a trous).

    Its length is odd: an even kernel of n values is centred on its value n / 2, so that
    flipping it turns it about that value.
    """
    odd = np.r_[kernel, 0.0] if len(kernel) % 2 == 0 else kernel
    step = 2 ** (level - 1)
    made = np.zeros(step * (len(odd) - 1) + 1)
    made[::step] = odd
    return made


def gaussian(sigma_px: Number, *, truncate: Number) -> tuple[Line, Line]:
    """Returns a Gaussian and its second derivative, up to ``truncate`` sigma."""
    reach = math.floor(truncate * sigma_px + 0.5)
    x = np.arange(-reach, reach + 1.0)
    values = np.exp(-(x**2) / (2 * sigma_px**2)) / (math.sqrt(2 * math.pi) * sigma_px)
    return values, (x**2 / sigma_px**4 - 1 / sigma_px**2) * values


def gabor(
    sigma_px: Number, *, wavelength_px: Number, gamma: Number, theta_rad: Number
) -> Complex[np.ndarray, "n n"]:
    """Returns a complex Gabor kernel over (h, w); angles turn from w towards -h."""
    reach = gabor_reach(sigma_px, gamma=gamma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
    along = x * math.cos(theta_rad) + y * math.sin(theta_rad)
    across = -x * math.sin(theta_rad) + y * math.cos(theta_rad)
    envelope = np.exp(-(along**2 + (gamma * across) ** 2) / (2 * sigma_px**2))
    return envelope * np.exp(2j * math.pi * along / wavelength_px)


def gabor_reach(sigma_px: Number, *, gamma: Number) -> int:
    """Returns how far a Gabor kernel reaches."""
    return math.ceil(GABOR_REACH * sigma_px * max(1.0, 1 / gamma))
