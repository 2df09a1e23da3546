"""ConvNeXt, for images of any channels and of any size from 32 pixels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.conv import Conv
from liverjax.models.layers.drop_path import DropPath, drop_path_rates
from liverjax.models.layers.norm import LayerNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.weights.convnext import DEPTHS

_EPS = 1e-6
# Published: truncated at 100 deviations, that is, not at all.
_INIT = nn.initializers.normal(0.02)
_conv = functools.partial(Conv, use_bias=True, kernel_init=_INIT)
_dense = functools.partial(nn.Dense, kernel_init=_INIT)


class ConvNeXtBlock(nn.Module):
    """A 7x7 depthwise window and two linear layers, scaled, added to the input.

    Attributes:
        drop_path: Share of images whose branch is left out in training.
        dtype: Compute type.
    """

    drop_path: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """The block's output, without activation."""
        width, dtype = x.shape[-1], self.dtype
        y = _conv(
            width, (7, 7), padding=3, groups=width, dtype=dtype, name="depthwise"
        )(x)
        y = LayerNorm(_EPS, name="norm")(y)
        y = nn.gelu(_dense(4 * width, dtype=dtype, name="expand")(y), approximate=False)
        y = _dense(width, dtype=dtype, name="project")(y)
        initial = nn.initializers.constant(1e-6)
        scale = self.param("scale", initial, (width,), jnp.float32)
        y *= jnp.broadcast_to(jnp.asarray(scale, y.dtype), y.shape)
        return x + DropPath(self.drop_path)(y, train=train)


class ConvNeXt(nn.Module):
    """A ConvNeXt; logits (b, num_outputs) from images (b, h, w, c).

    Parameters and outputs are float32 whatever ``dtype``. Stages (``stem``, ``stage1``
    to ``stage4``, ``pooled``, the normalised means before the head) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depths: Blocks a stage.
        width: Channels of the first stage; doubled at each next stage.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of pooled features dropped before the head in training (stream
            ``dropout``).
        drop_path: Stochastic depth of the last block, rising from 0 at the first
            (stream ``dropout``); the defaults of the named networks are torchvision's,
            timm's and the authors' code have 0.

    Reference:
        Liu et al., A ConvNet for the 2020s, CVPR 2022.
    """

    num_outputs: int
    depths: Sequence[int] = DEPTHS["convnext_tiny"]
    width: int = 96
    dtype: Any = None
    dropout: float = 0.0
    drop_path: float = 0.0

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w c"] | Float[np.ndarray, "b h w c"],
        *,
        train: bool,
    ) -> Float[Array, "b k"]:
        """Logits of normalised images; ``train`` turns dropout on."""
        dtype = self.dtype or jnp.promote_types(image.dtype, jnp.float32)
        x = jnp.asarray(image, dtype)
        x = _conv(self.width, (4, 4), 4, dtype=dtype, name="stem_conv")(x)
        x = mark_stage(self, "stem", LayerNorm(_EPS, name="stem_norm")(x))
        rates = iter(drop_path_rates(self.drop_path, blocks=sum(self.depths)))
        for number, depth in enumerate(self.depths, start=1):
            stage = f"stage{number}"
            if number > 1:
                x = LayerNorm(_EPS, name=f"{stage}_down_norm")(x)
                wide = 2 * x.shape[-1]
                x = _conv(wide, (2, 2), 2, dtype=dtype, name=f"{stage}_down_conv")(x)
            for index in range(depth):
                block = ConvNeXtBlock(next(rates), dtype, name=f"{stage}_{index}")
                x = block(x, train=train)
            x = mark_stage(self, stage, x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", LayerNorm(_EPS, name="head_norm")(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return _dense(self.num_outputs, name="head")(x)


def _named(name: str, width: int, drop_path: float) -> functools.partial[ConvNeXt]:
    depths = DEPTHS[name]
    return functools.partial(ConvNeXt, depths=depths, width=width, drop_path=drop_path)


convnext_tiny = _named("convnext_tiny", 96, 0.1)
convnext_small = _named("convnext_small", 96, 0.4)
convnext_base = _named("convnext_base", 128, 0.5)
convnext_large = _named("convnext_large", 192, 0.5)
