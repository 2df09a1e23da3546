"""Residual networks of torchvision's layout, for images of any channels and size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.conv import Conv
from liverjax.models.layers.norm import BatchNorm
from liverjax.models.layers.pool import max_pool
from liverjax.models.layers.stage import mark_stage
from liverjax.weights.resnet import DEPTHS


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; the first one takes the stride.

    Attributes:
        width: Channels of both convolutions and of the result.
        strides: Step of the first convolution and of the shortcut.
        dtype: Compute type.
    """

    width: int
    strides: int
    dtype: Any = None
    expansion = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b p q d"]:
        """The block's output, after the last ReLU."""
        y = Conv(self.width, (3, 3), self.strides, 1, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(BatchNorm(name="bn1")(y, train=train))
        y = Conv(self.width, (3, 3), 1, 1, dtype=self.dtype, name="conv2")(y)
        y = BatchNorm(name="bn2")(y, train=train)
        return nn.relu(y + _shortcut(self, x, y.shape, train=train))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions around a shortcut.

    Attributes:
        width: Channels of the first two convolutions, a quarter of the result's.
        strides: Step of the second convolution and of the shortcut.
        dtype: Compute type.
    """

    width: int
    strides: int
    dtype: Any = None
    expansion = 4

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b p q d"]:
        """The block's output, after the last ReLU."""
        wide = self.width * self.expansion
        y = Conv(self.width, (1, 1), dtype=self.dtype, name="conv1")(x)
        y = nn.relu(BatchNorm(name="bn1")(y, train=train))
        y = Conv(self.width, (3, 3), self.strides, 1, dtype=self.dtype, name="conv2")(y)
        y = nn.relu(BatchNorm(name="bn2")(y, train=train))
        y = Conv(wide, (1, 1), dtype=self.dtype, name="conv3")(y)
        y = BatchNorm(name="bn3")(y, train=train)
        return nn.relu(y + _shortcut(self, x, y.shape, train=train))


def _shortcut(
    block: BasicBlock | Bottleneck, x: Array, shape: tuple[int, ...], *, train: bool
) -> Array:
    """``x`` itself, or a strided 1x1 convolution of it where ``shape`` differs."""
    if block.strides == 1 and x.shape == shape:
        return x
    x = Conv(
        shape[-1], (1, 1), block.strides, dtype=block.dtype, name="downsample_conv"
    )(x)
    return BatchNorm(name="downsample_bn")(x, train=train)


class ResNet(nn.Module):
    """A residual network; logits (b, num_outputs) from images (b, h, w, c).

    Parameters, batch statistics and outputs are float32 whatever ``dtype``. The head
    starts at torch's uniform weights and a bias of zero. Stages (``stem``, ``layer1``
    to ``layer4``, ``pooled``) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: Blocks a stage.
        width: Channels of the stem and of the first stage; doubled at each next stage.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of pooled features dropped before the head in training (stream
            ``dropout``).
    """

    num_outputs: int
    block: type[BasicBlock] | type[Bottleneck] = BasicBlock
    depths: Sequence[int] = DEPTHS["resnet18"]
    width: int = 64
    dtype: Any = None
    dropout: float = 0.0

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
        x = Conv(self.width, (7, 7), 2, 3, dtype=dtype, name="conv1")(x)
        x = nn.relu(BatchNorm(name="bn1")(x, train=train))
        x = mark_stage(self, "stem", max_pool(x, size=3, strides=2, padding=1))
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                strides = 2 if stage > 0 and index == 0 else 1
                name = f"layer{stage + 1}_{index}"
                block = self.block(self.width * 2**stage, strides, dtype, name=name)
                x = block(x, train=train)
            x = mark_stage(self, f"layer{stage + 1}", x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        head = nn.Dense(
            self.num_outputs,
            kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
            name="fc",
        )
        return head(x)


def _named(
    name: str, block: type[BasicBlock] | type[Bottleneck]
) -> functools.partial[ResNet]:
    return functools.partial(ResNet, block=block, depths=DEPTHS[name])


resnet18 = _named("resnet18", BasicBlock)
resnet34 = _named("resnet34", BasicBlock)
resnet50 = _named("resnet50", Bottleneck)
resnet101 = _named("resnet101", Bottleneck)
resnet152 = _named("resnet152", Bottleneck)
