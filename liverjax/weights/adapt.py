"""Published weights made to fit other outputs, input channels or image sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import liverjax.weights.vim as vim
from liverjax.weights.convert import FAMILIES, sizes_of
from liverjax.weights.naming import Variables, WeightsError, flatten, nest


@dataclasses.dataclass(frozen=True)
class Adapted:
    """Variables that fit, and which of the network's do not come from them.

    Attributes:
        variables: All collections, without the fresh leaves.
        fresh: Paths of leaves that start anew, such as ``params/fc/kernel``: they keep
            the random start of ``train.create_state``, so seeds differ in them.
    """

    variables: Variables
    fresh: tuple[str, ...]


def adapt(
    variables: Mapping[str, Any],
    *,
    model: str,
    num_outputs: int,
    in_channels: int,
    image_px: int | None = None,
) -> Adapted:
    """The variables with a head of ``num_outputs`` and a stem of ``in_channels``.

    A head of another size is left out and named as fresh. A stem for other
    than its own channels gets, for each of the new channels, the sum of the old
    channels' kernels divided by the new number: an image whose channels are all alike
    (a grey image) then gives what it would have given before, and a single channel gets
    the plain sum. Input mean and standard deviation follow by :func:`spread`. Where
    there is a position embedding (Vim), its square of patches is resized by cubic
    interpolation; the class token's place stays.

    Args:
        variables: All collections of ``model``.
        model: Name of the architecture.
        num_outputs: Of the network wanted.
        in_channels: Of the images to come.
        image_px: Height and width of the images to come; ``None`` is that of the
            weights.

    Raises:
        WeightsError: If the variables are not those of ``model``, a number is not
            positive, or a position embedding is not of a square.
    """
    if num_outputs < 1 or in_channels < 1:
        raise WeightsError(
            "num_outputs and in_channels must be at least 1, got "
            f"{num_outputs} and {in_channels}"
        )
    flat = flatten(variables)
    sizes, fresh = sizes_of(model, flat), []
    family = FAMILIES[model]
    if sizes.in_channels != in_channels:
        kernel = flat[family.first]
        shared = kernel.sum(axis=-2, keepdims=True, dtype=np.float64) / in_channels
        shared = np.repeat(shared, in_channels, axis=-2)
        flat[family.first] = shared.astype(kernel.dtype)
    if family.positions and image_px is not None:
        flat[family.positions] = _resized(
            flat[family.positions], side=image_px // vim.PATCH_PX
        )
    if sizes.num_outputs != num_outputs:
        for leaf in ("kernel", "bias"):
            fresh.append(f"{family.head}/{leaf}")
            flat.pop(fresh[-1], None)
    return Adapted(variables=nest(flat), fresh=tuple(fresh))


def spread(values: Sequence[float], *, in_channels: int) -> tuple[float, ...]:
    """Input means or deviations for images of ``in_channels`` channels.

    The values themselves if there are as many, else their mean for each channel, as
    :func:`adapt` treats the kernels.
    """
    if len(values) == in_channels:
        return tuple(float(value) for value in values)
    return (float(np.mean(values)),) * in_channels


def _resized(places: np.ndarray, *, side: int) -> np.ndarray:
    """Places (1, n * n + 1, c) of a square of patches, for ``side`` by ``side``."""
    import jax.image

    patches, width = places.shape[1] - 1, places.shape[2]
    old = math.isqrt(patches)
    if old == side:
        return places
    if old * old != patches:
        raise WeightsError(
            f"the position embedding is of {patches} patches, which are no square: "
            "only images of the size of the weights fit it"
        )
    middle = patches // 2
    square = np.delete(places, middle, axis=1).reshape(1, old, old, width)
    square = jax.image.resize(square, (1, side, side, width), "cubic")
    resized = np.asarray(square).reshape(1, side * side, width)
    return np.insert(resized, side * side // 2, places[:, middle], axis=1)
