"""MambaVision, for images of any channels and of any size from 32 pixels."""

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
from liverjax.models.layers.norm import BatchNorm, LayerNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.models.layers.state_space import TORCH_LINEAR, StateSpace
from liverjax.weights.mambavision import (
    HEADS,
    SHAPES,
    STATES,
    WINDOWS,
    is_mixer,
    rank,
)

_STEM_EPS, _EPS = 1e-4, 1e-5
_LINEAR = nn.initializers.truncated_normal(0.02)
_dense = functools.partial(nn.Dense, kernel_init=_LINEAR)
_conv = functools.partial(Conv, kernel_init=TORCH_LINEAR)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, added to their input.

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
        """The block's output."""
        conv = functools.partial(_conv, padding=1, use_bias=True, dtype=self.dtype)
        y = conv(x.shape[-1], (3, 3), name="conv1")(x)
        # The published network has the tanh form here, and here alone.
        y = nn.gelu(BatchNorm(_EPS, name="bn1")(y, train=train), approximate=True)
        y = conv(x.shape[-1], (3, 3), name="conv2")(y)
        y = BatchNorm(_EPS, name="bn2")(y, train=train)
        return x + DropPath(self.drop_path)(y, train=train)


class MambaVisionMixer(nn.Module):
    """A scan of one half of the channels beside a convolution of the other.

    Attributes:
        dtype: Compute type; the scan's is float32 at least.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b l c"]) -> Float[Array, "b l c"]:
        """The tokens' new channels."""
        width, dtype = x.shape[-1], self.dtype
        both = _dense(width, use_bias=False, dtype=dtype, name="in_proj")(x)
        conv = functools.partial(_conv, padding=1, groups=width // 2, dtype=dtype)
        read, seen = jnp.split(both, 2, axis=-1)
        read = nn.silu(conv(width // 2, (3,), name="x_conv")(read))
        seen = nn.silu(conv(width // 2, (3,), name="z_conv")(seen))
        # Published: the bias of steps is added by their layer and by the scan.
        scan = StateSpace(
            rank(width=width),
            STATES,
            bias_times=2,
            dtype=dtype,
            kernel_init=_LINEAR,
            name="scan",
        )
        y = jnp.concatenate([scan(read), seen], axis=-1)
        return _dense(width, use_bias=False, dtype=dtype, name="out_proj")(y)


class Attention(nn.Module):
    """Attention of every token to every token.

    Attributes:
        heads: Parts that the channels are cut into.
        dtype: Compute type.
    """

    heads: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b l c"]) -> Float[Array, "b l c"]:
        """What each token gathered."""
        width, dtype = x.shape[-1], self.dtype
        found = _dense(3 * width, dtype=dtype, name="qkv")(x)
        query, keys, values = jnp.split(found, 3, axis=-1)
        y = attention(query, keys=keys, values=values, heads=self.heads)
        return _dense(width, dtype=dtype, name="project")(y)


class WindowBlock(nn.Module):
    """A mixer or attention, then linear layers, each added to its input.

    Attributes:
        mixer: Makes the first half's module, given a name.
        scaled: Whether branches are scaled, from 1e-5 on.
        drop_path: Share of windows whose branches are left out in training.
        dtype: Compute type.
    """

    mixer: Any
    scaled: bool = False
    drop_path: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b l c"], *, train: bool
    ) -> Float[Array, "b l c"]:
        """The block's output."""
        width, dtype = x.shape[-1], self.dtype
        y = LayerNorm(_EPS, name="norm1")(x)
        y = self._scale("scale1", self.mixer(dtype=dtype, name="mixer")(y))
        x += DropPath(self.drop_path)(y, train=train)
        y = LayerNorm(_EPS, name="norm2")(x)
        y = nn.gelu(_dense(4 * width, dtype=dtype, name="expand")(y), approximate=False)
        y = self._scale("scale2", _dense(width, dtype=dtype, name="project")(y))
        return x + DropPath(self.drop_path)(y, train=train)

    def _scale(self, name: str, y: Array) -> Array:
        if not self.scaled:
            return y
        initial = nn.initializers.constant(1e-5)
        scale = self.param(name, initial, y.shape[-1:], jnp.float32)
        return y * jnp.broadcast_to(jnp.asarray(scale, y.dtype), y.shape)


def cut_windows(
    x: Float[Array, "b h w c"], *, size: int
) -> Float[Array, "windows tokens c"]:
    """Squares of ``size`` pixels as sequences; zeros fill the last ones.

    Of an image the squares come row by row, and so do the pixels of a square.
    """
    b, h, w, width = x.shape
    x = jnp.pad(x, [(0, 0), (0, -h % size), (0, -w % size), (0, 0)])
    rows, columns = x.shape[1] // size, x.shape[2] // size
    x = x.reshape(b, rows, size, columns, size, width).swapaxes(2, 3)
    return x.reshape(b * rows * columns, size * size, width)


def join_windows(
    windows: Float[Array, "windows tokens c"], *, shape: Sequence[int]
) -> Float[Array, "b h w c"]:
    """The images of ``shape`` that :func:`cut_windows` cut."""
    b, h, w, width = shape
    size = round(windows.shape[1] ** 0.5)
    rows, columns = -(-h // size), -(-w // size)
    x = windows.reshape(b, rows, columns, size, size, width).swapaxes(2, 3)
    return x.reshape(b, rows * size, columns * size, width)[:, :h, :w]


class MambaVision(nn.Module):
    """A MambaVision; logits (b, num_outputs) from images (b, h, w, c).

    Parameters, batch statistics and outputs are float32 whatever ``dtype``. Stages
    (``stem``; ``stage1`` to ``stage4``, the first three already halved; ``map``, the
    last one normalised; ``pooled``) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depths: Blocks a stage.
        ratio: Channels of the first stage for two of ``width``.
        scaled: Whether branches of the last two stages are scaled.
        width: Channels of the stem's first convolution.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of pooled features dropped before the head in training (stream
            ``dropout``).
        drop_path: Stochastic depth of the last block, rising from 0 at the first
            (stream ``dropout``); in the last two stages windows are drawn, not images.

    Reference:
        Hatamizadeh and Kautz, MambaVision: A Hybrid Mamba-Transformer Vision Backbone,
        CVPR 2025.
    """

    num_outputs: int
    depths: Sequence[int] = SHAPES["mambavision_t"].depths
    ratio: int = SHAPES["mambavision_t"].ratio
    scaled: bool = False
    width: int = SHAPES["mambavision_t"].stem
    dtype: Any = None
    dropout: float = 0.0
    drop_path: float = SHAPES["mambavision_t"].drop_path

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w c"] | Float[np.ndarray, "b h w c"],
        *,
        train: bool,
    ) -> Float[Array, "b k"]:
        """Logits of normalised images; ``train`` uses and updates batch statistics."""
        dtype = self.dtype or jnp.promote_types(image.dtype, jnp.float32)
        x = jnp.asarray(image, dtype)
        conv = functools.partial(_conv, strides=2, padding=1, dtype=dtype)
        for number, width in ((1, self.width), (2, self.ratio * self.width // 2)):
            x = conv(width, (3, 3), name=f"stem_conv{number}")(x)
            x = BatchNorm(_STEM_EPS, name=f"stem_bn{number}")(x, train=train)
            x = nn.relu(x)
        x = mark_stage(self, "stem", x)
        rates = iter(drop_path_rates(self.drop_path, blocks=sum(self.depths)))
        for stage, depth in enumerate(self.depths):
            name, mine = f"stage{stage + 1}", [next(rates) for _ in range(depth)]
            if stage < 2:
                for index, rate in enumerate(mine):
                    block = ConvBlock(rate, dtype, name=f"{name}_{index}")
                    x = block(x, train=train)
            else:
                x = self._in_windows(x, stage, mine, dtype, train=train)
            if stage < 3:
                x = conv(2 * x.shape[-1], (3, 3), name=f"{name}_down")(x)
            x = mark_stage(self, name, x)
        x = mark_stage(self, "map", BatchNorm(_EPS, name="norm")(x, train=train))
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return _dense(self.num_outputs, name="head")(x)

    def _in_windows(
        self, x: Array, stage: int, rates: Sequence[float], dtype: Any, *, train: bool
    ) -> Array:
        windows = cut_windows(x, size=WINDOWS[stage - 2])
        attend = functools.partial(Attention, HEADS[stage])
        for index, rate in enumerate(rates):
            scans = is_mixer(index, depth=len(rates))
            block = WindowBlock(
                MambaVisionMixer if scans else attend,
                self.scaled,
                rate,
                dtype,
                name=f"stage{stage + 1}_{index}",
            )
            windows = block(windows, train=train)
        return join_windows(windows, shape=x.shape)


def _named(name: str) -> functools.partial[MambaVision]:
    shape = SHAPES[name]
    return functools.partial(
        MambaVision,
        depths=shape.depths,
        ratio=shape.ratio,
        scaled=shape.scaled,
        width=shape.stem,
        drop_path=shape.drop_path,
    )


mambavision_b = _named("mambavision_b")
mambavision_s = _named("mambavision_s")
mambavision_t = _named("mambavision_t")
mambavision_t2 = _named("mambavision_t2")
