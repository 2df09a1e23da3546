"""Pyramid vision transformer, version 2, for images of any size from 32 pixels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.attention import attention
from liverjax.models.layers.conv import Conv
from liverjax.models.layers.drop_path import DropPath, drop_path_rates
from liverjax.models.layers.norm import LayerNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.weights.pvt import DEPTHS, HEADS, REDUCTIONS, mlp_ratios

# Published: blocks and stages have one epsilon, embeddings and reduced keys another.
_BLOCK_EPS, _EMBED_EPS = 1e-6, 1e-5
_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.normal(0.02))
_conv = functools.partial(Conv, use_bias=True)


class ReducedAttention(nn.Module):
    """Attention of every pixel to squares of pixels.

    Attributes:
        heads: Parts that the channels are cut into.
        reduction: Side of the squares; 1 has attention to every pixel.
        dtype: Compute type.
    """

    heads: int
    reduction: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """What each pixel gathered."""
        shape, width, dtype = x.shape, x.shape[-1], self.dtype
        query = _dense(width, dtype=dtype, name="query")(x)
        if self.reduction > 1:
            r = self.reduction
            x = _conv(width, (r, r), r, dtype=dtype, name="reduce")(x)
            x = LayerNorm(_EMBED_EPS, name="norm")(x)
        both = _dense(2 * width, dtype=dtype, name="key_value")(x)
        query, both = (y.reshape(shape[0], -1, y.shape[-1]) for y in (query, both))
        keys, values = jnp.split(both, 2, axis=-1)
        y = attention(query, keys=keys, values=values, heads=self.heads)
        return _dense(width, dtype=dtype, name="project")(y.reshape(shape))


class ConvolvedMlp(nn.Module):
    """Two linear layers with a 3x3 depthwise window between them.

    Attributes:
        wide: Channels between the layers.
        dtype: Compute type.
    """

    wide: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The pixels' new channels."""
        wide, dtype = self.wide, self.dtype
        y = _dense(wide, dtype=dtype, name="expand")(x)
        # As published: of variance 2 over the taps that one output sees.
        initial = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        y = _conv(
            *(wide, (3, 3)),
            padding=1,
            groups=wide,
            dtype=dtype,
            kernel_init=initial,
            name="depthwise",
        )(y)
        y = nn.gelu(y, approximate=False)
        return _dense(x.shape[-1], dtype=dtype, name="project")(y)


class PvtBlock(nn.Module):
    """Attention, then linear layers, each normalised before and added to its input.

    Attributes:
        heads: As in :class:`ReducedAttention`.
        reduction: As in :class:`ReducedAttention`.
        wide: As in :class:`ConvolvedMlp`.
        drop_path: Share of images whose branches are left out in training.
        dtype: Compute type.
    """

    heads: int
    reduction: int
    wide: int
    drop_path: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """The block's output."""
        attend = ReducedAttention(
            self.heads, self.reduction, self.dtype, name="attention"
        )
        y = attend(LayerNorm(_BLOCK_EPS, name="norm1")(x))
        x += DropPath(self.drop_path)(y, train=train)
        mlp = ConvolvedMlp(self.wide, self.dtype, name="mlp")
        y = mlp(LayerNorm(_BLOCK_EPS, name="norm2")(x))
        return x + DropPath(self.drop_path)(y, train=train)


class PvtV2(nn.Module):
    """A PVTv2; logits (b, num_outputs) from images (b, h, w, c).

    Parameters and outputs are float32 whatever ``dtype``. Stages (``stem``, the first
    patches; ``stage1`` to ``stage4``, normalised; ``pooled``, their mean) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depths: Blocks a stage.
        ratios: Channels inside a block, as multiples of the stage's.
        width: Channels of the first stage; the others have 2, 5 and 8 times as many.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of pooled features dropped before the head in training (stream
            ``dropout``).
        drop_path: Stochastic depth of the last block, rising from 0 at the first
            (stream ``dropout``); the authors train with 0.1 (B0 to B2) or 0.3.

    Reference:
        Wang et al., PVT v2: Improved Baselines with Pyramid Vision Transformer,
        Computational Visual Media 2022.
    """

    num_outputs: int
    depths: Sequence[int] = DEPTHS["pvt_v2_b2"]
    ratios: Sequence[int] = mlp_ratios("pvt_v2_b2")
    width: int = 64
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
        rates = iter(drop_path_rates(self.drop_path, blocks=sum(self.depths)))
        for stage, depth in enumerate(self.depths):
            name, width = f"stage{stage + 1}", self.width * HEADS[stage]
            side, strides = (3, 2) if stage else (7, 4)
            x = _conv(
                *(width, (side, side), strides, side // 2),
                dtype=dtype,
                name=f"{name}_embed_conv",
            )(x)
            x = LayerNorm(_EMBED_EPS, name=f"{name}_embed_norm")(x)
            x = x if stage else mark_stage(self, "stem", x)
            for index in range(depth):
                block = PvtBlock(
                    HEADS[stage],
                    REDUCTIONS[stage],
                    width * self.ratios[stage],
                    next(rates),
                    dtype,
                    name=f"{name}_{index}",
                )
                x = block(x, train=train)
            x = mark_stage(self, name, LayerNorm(_BLOCK_EPS, name=f"{name}_norm")(x))
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return _dense(self.num_outputs, name="head")(x)


def _named(name: str, width: int) -> functools.partial[PvtV2]:
    depths, ratios = DEPTHS[name], mlp_ratios(name)
    return functools.partial(PvtV2, depths=depths, ratios=ratios, width=width)


pvt_v2_b0 = _named("pvt_v2_b0", 32)
pvt_v2_b1 = _named("pvt_v2_b1", 64)
pvt_v2_b2 = _named("pvt_v2_b2", 64)
pvt_v2_b3 = _named("pvt_v2_b3", 64)
pvt_v2_b4 = _named("pvt_v2_b4", 64)
pvt_v2_b5 = _named("pvt_v2_b5", 64)
