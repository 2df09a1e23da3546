"""The response map of an image to a filter.

The filters of the standard's second part are separable, but for Gabor's and
Simoncelli's: they are run axis by axis, and a rotation by right angles only permutes
and flips their one-dimensional kernels.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.fft import next_fast_len

import liverjax.radiomics.filters as filters
import liverjax.radiomics.kernels as kernels
from liverjax.errors import InputError

Image = Float[np.ndarray, "d h w"]
Lines = tuple[np.ndarray, ...]
# What the boundaries are called by scipy.ndimage and by numpy.pad.
MODES = {
    "zero": ("constant", "constant"),
    "nearest": ("nearest", "edge"),
    "periodic": ("wrap", "wrap"),
    "mirror": ("reflect", "symmetric"),
}
X, Y, Z = 2, 1, 0


def response_map(
    image: Image, *, spacing_mm: tuple[int | float, ...], filter: filters.Filter
) -> Image:
    """Returns the filtered image, on the same grid.

    Raises:
        InputError: For a filter in millimetres on voxels that are not as long as wide
            in the directions it runs.
    """
    if isinstance(filter, filters.Mean):
        return _mean(image, filter=filter)
    if isinstance(filter, filters.LaplacianOfGaussian):
        return _laplacian(image, filter=filter, spacing_mm=spacing_mm)
    if isinstance(filter, filters.Laws):
        return _laws(image, filter=filter)
    if isinstance(filter, filters.Gabor):
        return _gabor(image, filter=filter, spacing_mm=spacing_mm)
    if isinstance(filter, filters.SeparableWavelet):
        return _wavelet(image, filter=filter)
    assert isinstance(filter, filters.Simoncelli)
    return _simoncelli(image, filter=filter)


def reach_px(
    filter: filters.Filter, *, spacing_mm: tuple[int | float, ...]
) -> tuple[int, int, int] | None:
    """Returns from how far a response takes its values along (d, h, w).

    None says that each response depends on the whole image: a filter in the Fourier
    domain, or an image that is repeated beyond its border.
    """
    if filter.boundary == "periodic" or isinstance(filter, filters.Simoncelli):
        return None
    side = min(spacing_mm[axis] for axis in _axes(filter))
    far = 0
    if isinstance(filter, filters.Mean):
        far = filter.support_px // 2
    elif isinstance(filter, filters.LaplacianOfGaussian):
        far = math.ceil(filter.truncate * filter.sigma_mm / side)
    elif isinstance(filter, filters.Laws):
        far = 2 + (filter.energy_px or 0)
    elif isinstance(filter, filters.Gabor):
        far = kernels.gabor_reach(filter.sigma_mm / side, gamma=filter.gamma)
    elif isinstance(filter, filters.SeparableWavelet):
        length = len(kernels.low_pass(filter.wavelet))
        far = (2**filter.level - 1) * (length // 2 + 1)
    return (0 if filter.planar else far, far, far)


def _axes(filter: filters.Filter) -> tuple[int, ...]:
    return (X, Y) if filter.planar else (X, Y, Z)


def _convolve(image: Image, line: np.ndarray, *, axis: int, boundary: str) -> Image:
    return ndimage.convolve1d(image, line, axis, mode=MODES[boundary][0])


def _mean(image: Image, *, filter: filters.Mean) -> Image:
    size = [1, 1, 1]
    for axis in _axes(filter):
        size[axis] = filter.support_px
    return ndimage.uniform_filter(image, size, mode=MODES[filter.boundary][0])


def _isotropic(spacing_mm: tuple[int | float, ...], *, filter: filters.Filter) -> float:
    sides = [spacing_mm[axis] for axis in _axes(filter)]
    if max(sides) > min(sides) * 1.001:
        raise InputError(
            f"filter {filter.kind}: voxels of {spacing_mm} mm are not as long as wide "
            "in the directions it runs; set new_spacing_mm, or planar"
        )
    return float(sides[0])


def _laplacian(
    image: Image,
    *,
    filter: filters.LaplacianOfGaussian,
    spacing_mm: tuple[int | float, ...],
) -> Image:
    sigma = filter.sigma_mm / _isotropic(spacing_mm, filter=filter)
    smooth, second = kernels.gaussian(sigma, truncate=filter.truncate)
    total = np.zeros_like(image)
    for bent in _axes(filter):
        part = image
        for axis in _axes(filter):
            line = second if axis == bent else smooth
            part = _convolve(part, line, axis=axis, boundary=filter.boundary)
        total += part
    return total


def rotations(axes: int) -> Iterator[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Yields the 4 or 24 rotations by right angles: which axis, and whether flipped."""
    for order in itertools.permutations(range(axes)):
        odd = sum(a > b for a, b in itertools.combinations(order, 2)) % 2
        for flips in itertools.product((False, True), repeat=axes):
            if (sum(flips) + odd) % 2 == 0:
                yield order, flips


def _separable(
    image: Image,
    levels: tuple[Lines, ...],
    *,
    filter: filters.Filter,
    pooling: str | None,
) -> Image:
    """Pools the responses to rotated separable kernels.

    Args:
        image: To be filtered.
        levels: For each pass over the image the kernels along x, y (and z).
        filter: Whose axes and boundary are used.
        pooling: None takes the kernels as they stand.
    """
    axes = _axes(filter)

    @functools.cache
    def part(chosen: tuple[tuple[int, bool], ...]) -> Image:
        # For the axes done so far: which kernel, and whether it is flipped.
        if not chosen:
            return image
        (number, flipped), axis = chosen[-1], axes[len(chosen) - 1]
        made = part(chosen[:-1])
        for lines in levels:
            line = lines[number][::-1] if flipped else lines[number]
            made = _convolve(made, line, axis=axis, boundary=filter.boundary)
        return made

    pooled, count = None, 0
    orders = rotations(len(axes)) if pooling else [((0, 1, 2), (False,) * 3)]
    for order, flips in orders:
        chosen = tuple(zip(order, flips, strict=True))[: len(axes)]
        one, count = part(chosen), count + 1
        if pooled is None:
            pooled = one.copy()
        elif pooling == "max":
            np.maximum(pooled, one, out=pooled)
        else:
            pooled += one
    assert pooled is not None
    return pooled / count if pooling == "average" else pooled


def _laws(image: Image, *, filter: filters.Laws) -> Image:
    lines = tuple(kernels.laws(part) for part in filter.parts)

    made = _separable(image, (lines,), filter=filter, pooling=filter.pooling)
    if filter.energy_px is None:
        return made
    mean = filters.Mean(
        support_px=2 * filter.energy_px + 1,
        planar=filter.planar,
        boundary=filter.boundary,
    )
    return _mean(np.abs(made), filter=mean)


def _wavelet(image: Image, *, filter: filters.SeparableWavelet) -> Image:
    low = kernels.low_pass(filter.wavelet)
    band = {"L": low, "H": kernels.high_pass(low)}
    passes = [
        tuple(kernels.dilate(low, level=level) for _ in filter.bands)
        for level in range(1, filter.level)
    ]
    passes.append(
        tuple(kernels.dilate(band[b], level=filter.level) for b in filter.bands)
    )
    return _separable(image, tuple(passes), filter=filter, pooling=filter.pooling)


def _gabor(
    image: Image, *, filter: filters.Gabor, spacing_mm: tuple[int | float, ...]
) -> Image:
    volume = not filter.planar and filter.pooling is not None
    flat = filters.Mean(support_px=1, planar=not volume)
    side = _isotropic(spacing_mm, filter=flat)
    # Slices of each axis in turn, by cyclic permutation.
    planes = ((0, 1, 2), (1, 2, 0), (2, 0, 1)) if volume else ((0, 1, 2),)
    pooled, count = np.zeros_like(image), 0
    for order in planes:
        turned = image.transpose(order)
        target = pooled.transpose(order)
        for response in _gabor_planes(turned, filter=filter, side_mm=side):
            count += 1
            if filter.pooling == "max":
                np.maximum(target, response, out=target)
            else:
                target += response
    return pooled if filter.pooling == "max" else pooled / count


def _gabor_planes(
    image: Image, *, filter: filters.Gabor, side_mm: int | float
) -> Iterator[Image]:
    """Yields the modulus for each angle, over slices of the first axis."""
    sigma, wave = filter.sigma_mm / side_mm, filter.wavelength_mm / side_mm
    reach = kernels.gabor_reach(sigma, gamma=filter.gamma)
    h, w = image.shape[1:]
    size = [next_fast_len(n + 2 * reach) for n in (h, w)]
    for_all = [(0, 0), (reach, reach), (reach, reach)]
    padded = np.pad(image, for_all, mode=MODES[filter.boundary][1])
    spectrum = np.fft.fft2(padded, size)
    for theta in filter.angles_rad:
        kernel = kernels.gabor(
            sigma, wavelength_px=wave, gamma=filter.gamma, theta_rad=theta
        )
        centred = np.zeros(size, complex)
        centred[: len(kernel), : len(kernel)] = kernel
        made = np.fft.ifft2(spectrum * np.fft.fft2(centred))
        yield np.abs(made[:, 2 * reach : 2 * reach + h, 2 * reach : 2 * reach + w])


def _simoncelli(image: Image, *, filter: filters.Simoncelli) -> Image:
    axes, square = _axes(filter), np.zeros((1, 1, 1))
    for axis in axes:
        shape = [1, 1, 1]
        shape[axis] = image.shape[axis]
        # The reference maps have both ends at the Nyquist frequency.
        nu = np.fft.ifftshift(np.linspace(-1, 1, image.shape[axis]))
        square = square + (nu**2).reshape(shape)
    nu = np.sqrt(square) * 2 ** (filter.level - 1)
    inside = (nu > 0.25) & (nu <= 1)
    weight = np.zeros(nu.shape)
    weight[inside] = np.cos(math.pi / 2 * np.log2(2 * nu[inside]))
    return np.fft.ifftn(np.fft.fftn(image, axes=axes) * weight, axes=axes).real
