"""What a network sees of an example: normalised intensities, then its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped

from liverjax.cohort.schema import IMAGE, MASK

# Of a network that starts from nothing: windowed soft tissue lies around the middle of
# [0, 1]. Pretrained weights bring their own.
SCRATCH_MEAN, SCRATCH_STD = 0.5, 0.25


def network_input(
    arrays: Mapping[str, Shaped[Array, "..."]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Float[Array, "... c"]]:
    """Returns the one array that a network is given, under the name ``image``.

    Intensities become ``(image - mean) / std``; the planes of an example's mask, if it
    has one, follow as further channels, 1 inside and 0 outside. This is the last thing
    done to an example, after augmentation or the central crop, in training, selection
    and prediction alike.

    Args:
        arrays: Of one example: ``image`` ``(..., c)`` in [0, 1] and perhaps ``mask``
            ``(..., m)``.
        mean: Of each channel.
        std: Of each channel.

    Raises:
        ValueError: If there is not one mean and one std a channel.
    """
    image = arrays[IMAGE]
    if not len(mean) == len(std) == image.shape[-1]:
        raise ValueError(
            f"{len(mean)} means, {len(std)} deviations, {image.shape[-1]} channels"
        )
    shape = (1,) * (image.ndim - 1) + (-1,)
    centre = np.asarray(mean, image.dtype).reshape(shape)
    spread = np.asarray(std, image.dtype).reshape(shape)
    parts = [(image - centre) / spread]
    if MASK in arrays:
        parts.append((arrays[MASK] != 0).astype(image.dtype))
    return {
        IMAGE: jax.lax.concatenate(parts, image.ndim - 1) if parts[1:] else parts[0]
    }
