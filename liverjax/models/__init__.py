"""Networks by name. One architecture a file; no clinical words here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from liverjax.models.convnext import (
    convnext_base,
    convnext_large,
    convnext_small,
    convnext_tiny,
)
from liverjax.models.lfs import LFS
from liverjax.models.mambavision import (
    mambavision_b,
    mambavision_s,
    mambavision_t,
    mambavision_t2,
)
from liverjax.models.medmamba import medmamba_b, medmamba_s, medmamba_t
from liverjax.models.mobilenet import (
    mobilenet_v3_large,
    mobilenet_v3_large_timm,
    mobilenet_v3_large_xiaolai,
    mobilenet_v3_small,
    mobilenet_v3_small_timm,
    mobilenet_v3_small_xiaolai,
)
from liverjax.models.pvt import (
    pvt_v2_b0,
    pvt_v2_b1,
    pvt_v2_b2,
    pvt_v2_b3,
    pvt_v2_b4,
    pvt_v2_b5,
)
from liverjax.models.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from liverjax.models.vgg import vgg16, vgg16_bn, vgg19, vgg19_bn
from liverjax.models.vim import vim_base, vim_small, vim_tiny

MODELS: dict[str, Callable[..., nn.Module]] = {
    "convnext_tiny": convnext_tiny,
    "convnext_small": convnext_small,
    "convnext_base": convnext_base,
    "convnext_large": convnext_large,
    "lfs": LFS,
    "mambavision_b": mambavision_b,
    "mambavision_s": mambavision_s,
    "mambavision_t": mambavision_t,
    "mambavision_t2": mambavision_t2,
    "medmamba_b": medmamba_b,
    "medmamba_s": medmamba_s,
    "medmamba_t": medmamba_t,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_large_timm": mobilenet_v3_large_timm,
    "mobilenet_v3_large_xiaolai": mobilenet_v3_large_xiaolai,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mobilenet_v3_small_timm": mobilenet_v3_small_timm,
    "mobilenet_v3_small_xiaolai": mobilenet_v3_small_xiaolai,
    "pvt_v2_b0": pvt_v2_b0,
    "pvt_v2_b1": pvt_v2_b1,
    "pvt_v2_b2": pvt_v2_b2,
    "pvt_v2_b3": pvt_v2_b3,
    "pvt_v2_b4": pvt_v2_b4,
    "pvt_v2_b5": pvt_v2_b5,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "vgg16": vgg16,
    "vgg16_bn": vgg16_bn,
    "vgg19": vgg19,
    "vgg19_bn": vgg19_bn,
    "vim_base": vim_base,
    "vim_small": vim_small,
    "vim_tiny": vim_tiny,
}


OPTIONS = ("drop_path", "dropout", "dtype", "image_size", "width")
"""What an architecture may leave open; each has those that it takes."""


def make(name: str, *, num_outputs: int, **options: Any) -> nn.Module:
    """The network ``name``: a Linen module without parameters yet.

    Called as ``model.apply(variables, image, train=False)`` it turns normalised images
    (b, h, w, c) into float32 logits (b, num_outputs); the number of input channels is
    the image's own. ``model.init(key, image, train=False)`` gives ``params`` and
    ``batch_stats``.

    Args:
        name: A key of ``MODELS``.
        num_outputs: Numbers an image gets, at least 1.
        **options: What the architecture leaves open, of ``OPTIONS``: ``width``
            (channels of the first stage, the others in proportion), ``dropout`` (before
            the head), ``drop_path`` (stochastic depth), ``dtype`` (compute type),
            ``image_size`` (pixels a side). ``None`` is the published value, also of an
            option that the architecture lacks.

    Raises:
        ValueError: If the name, an option, its value or ``num_outputs`` is not a
            possible one; the message tells those that are.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(MODELS)}")
    options = {key: value for key, value in options.items() if value is not None}
    known = option_names(name)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ValueError(
            f"{name} has no option {unknown[0]!r}; its options are {', '.join(known)}"
        )
    if num_outputs < 1:
        raise ValueError(f"num_outputs must be at least 1, got {num_outputs}")
    for option, value in options.items():
        if option in ("drop_path", "dropout") and not 0 <= value < 1:
            raise ValueError(f"{option} must be in [0, 1), got {value}")
        if option in ("image_size", "width") and (value < 1 or value != int(value)):
            raise ValueError(f"{option} must be a number of at least 1, got {value}")
    return MODELS[name](num_outputs=num_outputs, **options)


def option_names(name: str) -> tuple[str, ...]:
    """The options of the model ``name``, by alphabet."""
    taken = inspect.signature(MODELS[name]).parameters
    return tuple(option for option in OPTIONS if option in taken)


def stages(
    model: nn.Module, *, image_shape: tuple[int, int, int, int]
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the stages that the model shows, from the image to the head.

    The stages themselves come from the model: ``model.apply(variables, images,
    train=False, mutable=["features"])`` gives the logits and ``{"features": {name:
    stage}}`` (:func:`liverjax.models.layers.stage.mark_stage`). Those of four axes are
    maps, for Grad-CAM; the last, ``pooled``, is what the head sees.

    Args:
        model: As `make` gives it.
        image_shape: Of the images to come, (b, h, w, c).
    """
    image, found = jax.ShapeDtypeStruct(image_shape, jnp.float32), {}
    init = functools.partial(model.init, train=False)
    born = jax.eval_shape(init, jax.random.key(0), image)

    def show(variables: Any, image: Any) -> None:
        _, shown = model.apply(variables, image, train=False, mutable=["features"])
        features: Any = shown["features"]
        found.update({name: x.shape for name, x in features.items()})

    jax.eval_shape(show, born, image)
    return found
