"""MedMamba, for images of any channels and of any size from 32 pixels."""

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
from liverjax.models.layers.norm import BatchNorm, LayerNorm
from liverjax.models.layers.selective_scan import selective_scan
from liverjax.models.layers.stage import mark_stage
from liverjax.models.layers.state_space import (
    TORCH_LINEAR,
    rates_log,
    step_bias,
    step_kernel,
)
from liverjax.weights.medmamba import DEPTHS, STATES, rank

_EPS = 1e-5
_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.truncated_normal(0.02))
_conv = functools.partial(Conv, use_bias=True, kernel_init=TORCH_LINEAR)


class FourWayScan(nn.Module):
    """A map read by rows and by columns, forwards and backwards, and summed.

    Attributes:
        dtype: Compute type of the linear layers; the scan's is float32 at least.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """What the scans make of each pixel."""
        (b, h, w, width), dtype = x.shape, self.dtype
        both = _dense(4 * width, use_bias=False, dtype=dtype, name="in_proj")(x)
        x, gate = jnp.split(both, 2, axis=-1)
        wide = 2 * width
        x = nn.silu(
            _conv(wide, (3, 3), padding=1, groups=wide, dtype=dtype, name="conv")(x)
        )
        rows, columns = x.reshape(b, -1, wide), x.swapaxes(1, 2).reshape(b, -1, wide)
        read = (rows, columns, rows[:, ::-1], columns[:, ::-1])
        found = self._scanned(jnp.stack(read, axis=2))
        rows = found[:, :, 0] + found[:, ::-1, 2]
        columns = found[:, :, 1] + found[:, ::-1, 3]
        y = rows.reshape(b, h, w, wide)
        y += columns.reshape(b, w, h, wide).swapaxes(1, 2)
        y = LayerNorm(_EPS, name="norm")(y) * nn.silu(gate)
        return _dense(width, use_bias=False, dtype=dtype, name="out_proj")(y)

    def _scanned(self, x: Array) -> Array:
        """Each of the sequences (b, l, direction, c) with weights of its own."""
        b, length, ways, wide = x.shape
        steps = rank(width=wide // 2)
        linear = nn.initializers.variance_scaling(
            1 / 3, "fan_in", "uniform", batch_axis=(0,)
        )
        shape = (ways, wide, steps + 2 * STATES)
        chosen_by = self.param("x_proj", linear, shape, jnp.float32)
        shape = (ways, steps, wide)
        stepped_by = self.param("dt_proj", step_kernel, shape, jnp.float32)
        bias = self.param("dt_bias", step_bias, (ways, wide), jnp.float32)
        a_log = self.param("a_log", rates_log, (ways * wide, STATES), jnp.float32)
        ones = nn.initializers.ones_init()
        skip = self.param("skip", ones, (ways * wide,), jnp.float32)
        chosen = jnp.einsum("blkc,kcr->blkr", x, jnp.asarray(chosen_by, x.dtype))
        step, to_states, from_states = jnp.split(
            chosen, [steps, steps + STATES], axis=-1
        )
        step = jnp.einsum("blkr,krc->blkc", step, jnp.asarray(stepped_by, x.dtype))
        y, _ = selective_scan(
            x.reshape(b, length, -1),
            step=step.reshape(b, length, -1),
            a=-jnp.exp(jnp.asarray(a_log)),
            b=to_states,
            c=from_states,
            skip=jnp.asarray(skip),
            step_bias=jnp.asarray(bias).reshape(-1),
        )
        return y.reshape(x.shape)


class MedMambaBlock(nn.Module):
    """Convolutions on one half of the channels, a scan on the other, interleaved.

    Attributes:
        drop_path: Share of images whose scan is left out in training.
        dtype: Compute type.
        eps: Of the norm before the scan.
    """

    drop_path: float = 0.0
    dtype: Any = None
    eps: float = _EPS

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """The block's output, its input added."""
        seen, read = jnp.split(x, 2, axis=-1)
        half, dtype = seen.shape[-1], self.dtype
        seen = BatchNorm(name="bn1")(seen, train=train)
        seen = _conv(half, (3, 3), padding=1, dtype=dtype, name="conv1")(seen)
        seen = nn.relu(BatchNorm(name="bn2")(seen, train=train))
        seen = _conv(half, (3, 3), padding=1, dtype=dtype, name="conv2")(seen)
        seen = nn.relu(BatchNorm(name="bn3")(seen, train=train))
        seen = nn.relu(_conv(half, (1, 1), dtype=dtype, name="conv3")(seen))
        read = FourWayScan(dtype, name="scan")(LayerNorm(self.eps, name="norm")(read))
        read = DropPath(self.drop_path)(read, train=train)
        return jnp.stack([seen, read], axis=-1).reshape(x.shape) + x


class PatchMerging(nn.Module):
    """Squares of four pixels as one, of twice the channels; an odd rest is dropped.

    Attributes:
        dtype: Compute type.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b p q d"]:
        """The map of half the size.

        Raises:
            ValueError: If there are no four pixels.
        """
        b, h, w, width = x.shape
        if min(h, w) < 2:
            raise ValueError(
                f"a map of {h} x {w} cannot be halved: take images of 32 pixels or more"
            )
        x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, width)
        # Of a square first its left pixels, upper and lower, then its right ones.
        x = x.transpose(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * width)
        x = LayerNorm(_EPS, name="norm")(x)
        return _dense(2 * width, use_bias=False, dtype=self.dtype, name="linear")(x)


class MedMamba(nn.Module):
    """A MedMamba; logits (b, num_outputs) from images (b, h, w, c).

    Parameters, batch statistics and outputs are float32 whatever ``dtype``. Stages
    (``stem``; ``stage1`` to ``stage4``, the first three with the map already halved;
    ``pooled``) are shown as :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depths: Blocks a stage.
        width: Channels of the first stage, even; doubled at each next stage.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of pooled features dropped before the head in training (stream
            ``dropout``).
        drop_path: Stochastic depth of the last block's scan, rising from 0 at the first
            (stream ``dropout``).

    Reference:
        Yue and Li, MedMamba: Vision Mamba for Medical Image Classification, 2024.
    """

    num_outputs: int
    depths: Sequence[int] = DEPTHS["medmamba_s"]
    width: int = 96
    dtype: Any = None
    dropout: float = 0.0
    drop_path: float = 0.1

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w c"] | Float[np.ndarray, "b h w c"],
        *,
        train: bool,
    ) -> Float[Array, "b k"]:
        """Logits of normalised images; ``train`` uses and updates batch statistics.

        Raises:
            ValueError: If ``width`` is odd, or an image smaller than 32 pixels.
        """
        if self.width % 2:
            raise ValueError(f"width must be even, got {self.width}")
        dtype = self.dtype or jnp.promote_types(image.dtype, jnp.float32)
        x = jnp.asarray(image, dtype)
        x = _conv(self.width, (4, 4), 4, dtype=dtype, name="stem_conv")(x)
        x = mark_stage(self, "stem", LayerNorm(_EPS, name="stem_norm")(x))
        rates = iter(drop_path_rates(self.drop_path, blocks=sum(self.depths)))
        for number, depth in enumerate(self.depths, start=1):
            for index in range(depth):
                name = f"stage{number}_{index}"
                x = MedMambaBlock(next(rates), dtype, name=name)(x, train=train)
            if number < len(self.depths):
                x = PatchMerging(dtype, name=f"stage{number}_merge")(x)
            x = mark_stage(self, f"stage{number}", x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return _dense(self.num_outputs, name="head")(x)


def _named(name: str, width: int) -> functools.partial[MedMamba]:
    return functools.partial(MedMamba, depths=DEPTHS[name], width=width)


medmamba_b = _named("medmamba_b", 128)
medmamba_s = _named("medmamba_s", 96)
medmamba_t = _named("medmamba_t", 96)
