"""Augmentation on the device: pure functions of a key and one example's arrays.

Written for one example and unjitted; the caller vmaps over the batch and compiles. All
arrays of an example, and all slices of a stack, are warped by one field, so image and
mask stay aligned. Arrays are stored with a margin, and the crop comes with the warp:
only its pixels are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from liverjax.cohort.schema import ArraySpec
from liverjax.data import warp as warping
from liverjax.data.augment_settings import AugmentSettings
from liverjax.data.warp import PRNGKey

# Two streams of a key, so that intensity changes leave the warp as it is.
WARP, INTENSITY = 0, 1

DECLARATIONS = (("intensity", "linear"), ("intensity", "nearest"), ("label", "nearest"))

Arrays = Mapping[str, Shaped[Array, "..."] | Shaped[np.ndarray, "..."]]


def augment(
    key: PRNGKey,
    arrays: Arrays,
    *,
    specs: Sequence[ArraySpec],
    settings: AugmentSettings,
    crop_px: int,
) -> dict[str, Array]:
    """One example's arrays after one random warp, cropped to `crop_px`.

    Intensities come out as float32 in [0, 1]: unsigned integers are divided by their
    largest value (uint8 by 255), floats are taken to be in [0, 1] already.
    Labels keep their type. With every probability at 0 the result is `center_crop`'s.

    Args:
        key: A threefry key of this example alone; it decides everything random.
        arrays: By name, ``(h, w, c)`` or ``(d, h, w, c)``, all of one h and w.
        specs: The declaration of each array, as the cohort has them; their shapes are
            not used, and further declarations are ignored.
        settings: Ranges and probabilities.
        crop_px: Side of the square crop in pixels, at most h and w.

    Raises:
        ValueError: If an array is not declared, is declared with an unknown kind or
            interpolation, or does not fit the others or the crop.
    """
    by_name = {spec.name: spec for spec in specs}
    stored, stored_px = _checked(arrays, specs=by_name, crop_px=crop_px)
    if not settings.warps:
        out = center_crop(stored, specs=specs, crop_px=crop_px)
    else:
        coordinates = sampling_coordinates(
            key, settings=settings, stored_px=stored_px, crop_px=crop_px
        )
        # Computed once, not again for each tap of each array.
        coordinates = jax.lax.optimization_barrier(coordinates)
        out = {
            name: _scaled(
                _sample(array, coordinates, spec=by_name[name]),
                kind=by_name[name].kind,
                stored_dtype=array.dtype,
            )
            for name, array in stored.items()
        }
    intensity_key = jax.random.fold_in(key, INTENSITY)
    # Names in order, so that the keys do not depend on how the dict was built.
    intensities = sorted(name for name in out if by_name[name].kind == "intensity")
    for index, name in enumerate(intensities):
        name_key = jax.random.fold_in(intensity_key, index)
        out[name] = change_intensity(name_key, out[name], settings=settings)
    return out


def sampling_coordinates(
    key: PRNGKey,
    *,
    settings: AugmentSettings,
    stored_px: tuple[int, int],
    crop_px: int,
) -> Float[Array, "2 y x"]:
    """Where in the stored arrays `augment` reads each pixel of its crop.

    Args:
        key: The key given to `augment`.
        settings: Ranges and probabilities.
        stored_px: Height and width of the stored arrays.
        crop_px: Side of the square crop.
    """
    warp_key = jax.random.fold_in(key, WARP)
    return warping.warp_coordinates(
        warping.draw_warp(warp_key, settings=settings, crop_px=crop_px),
        stored_px=stored_px,
        crop_px=crop_px,
        grid_px=settings.elastic_grid_px,
    )


def center_crop(
    arrays: Arrays, *, specs: Sequence[ArraySpec], crop_px: int
) -> dict[str, Array]:
    """One example's arrays without augmentation, as evaluation sees them.

    The crop starts at ``(side - crop_px) // 2``; types and ranges are `augment`'s.

    Args:
        arrays: By name, ``(h, w, c)`` or ``(d, h, w, c)``, all of one h and w.
        specs: The declaration of each array, as the cohort has them; their shapes are
            not used, and further declarations are ignored.
        crop_px: Side of the square crop in pixels, at most h and w.

    Raises:
        ValueError: As in `augment`.
    """
    by_name = {spec.name: spec for spec in specs}
    stored, _ = _checked(arrays, specs=by_name, crop_px=crop_px)
    return {
        name: _scaled(
            _crop(array, crop_px=crop_px),
            kind=by_name[name].kind,
            stored_dtype=array.dtype,
        )
        for name, array in stored.items()
    }


def change_intensity(
    key: PRNGKey, image: Float[Array, "... c"], *, settings: AugmentSettings
) -> Float[Array, "... c"]:
    """The image with random contrast, brightness and noise, clipped to [0, 1].

    Whether each acts is drawn per image, how strongly per channel. What has
    probability 0 is left out; if all have, the image is returned as it is.

    Args:
        key: A threefry key of this image alone.
        image: Intensities in [0, 1].
        settings: Ranges and probabilities.
    """
    probabilities = (
        settings.contrast_probability,
        settings.brightness_probability,
        settings.noise_probability,
    )
    if not any(probabilities):
        return image
    channels = image.shape[-1]
    draw_key, noise_key = jax.random.split(key)
    draws = jax.random.uniform(draw_key, (3, 1 + channels), jnp.float32)
    chance, strength = draws[:, 0], draws[:, 1:]

    def drawn(index, bounds, neutral):
        value = bounds[0] + strength[index] * (bounds[1] - bounds[0])
        value = jnp.where(chance[index] < probabilities[index], value, neutral)
        return value.reshape((1,) * (image.ndim - 1) + (channels,))

    if settings.contrast_probability:
        mean = image.mean(axis=tuple(range(image.ndim - 1)), keepdims=True)
        image = (image - mean) * drawn(0, settings.contrast, 1.0) + mean
    if settings.brightness_probability:
        image = image + drawn(1, settings.brightness, 0.0)
    if settings.noise_probability:
        noise = jax.random.normal(noise_key, image.shape, jnp.float32)
        image = image + noise * drawn(2, settings.noise_std, 0.0)
    return jnp.clip(image, 0.0, 1.0)


def _sample(array: Array, coordinates: Array, *, spec: ArraySpec) -> Array:
    if spec.interpolation == "linear":
        sample = warping.sample_linear
    else:
        sample = warping.sample_nearest
    if array.ndim == 4:
        return jax.vmap(sample, in_axes=(0, None))(array, coordinates)
    return sample(array, coordinates)


def _crop(array: Array, *, crop_px: int) -> Array:
    for axis in (-3, -2):
        start = (array.shape[axis] - crop_px) // 2
        array = jax.lax.slice_in_dim(array, start, start + crop_px, axis=axis)
    return array


def _scaled(array: Array, *, kind: str, stored_dtype: np.dtype) -> Array:
    """Intensities as float32 in [0, 1] by their stored type, labels as they are."""
    if kind == "label":
        return array
    whole = np.issubdtype(stored_dtype, np.integer)
    # A product, since XLA turns a division by a constant into one only when it compiles
    # both together: jitted and unjitted would differ.
    factor = np.float32(1 / np.iinfo(stored_dtype).max if whole else 1)
    return array.astype(jnp.float32) * factor


def _checked(
    arrays: Arrays, *, specs: Mapping[str, ArraySpec], crop_px: int
) -> tuple[dict[str, Array], tuple[int, int]]:
    """The arrays on the device and their (h, w), if declarations and crop fit them."""
    for name, array in arrays.items():
        if name not in specs:
            raise ValueError(
                f"array {name!r} is not declared; declared are {sorted(specs)}"
            )
        found = (specs[name].kind, specs[name].interpolation)
        if found not in DECLARATIONS:
            raise ValueError(
                f"array {name!r} is declared with (kind, interpolation) = {found}; "
                f"expected one of {DECLARATIONS}"
            )
        if array.ndim not in (3, 4):
            raise ValueError(
                f"array {name!r} has shape {array.shape}; expected (h, w, c) or "
                "(d, h, w, c) of one example (vmap over the batch)"
            )
        if found[0] == "intensity" and np.issubdtype(array.dtype, np.signedinteger):
            raise ValueError(
                f"array {name!r} holds intensities as {array.dtype}; expected an "
                "unsigned or a float type, whose range is known"
            )
    sizes = {name: (a.shape[-3], a.shape[-2]) for name, a in arrays.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"arrays differ in height and width: {sizes}")
    size = next(iter(sizes.values()))
    if not 1 <= crop_px <= min(size):
        raise ValueError(f"crop_px is {crop_px}; the arrays are stored with {size} px")
    return {name: jnp.asarray(array) for name, array in arrays.items()}, size
