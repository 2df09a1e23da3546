"""VGG with and without batch normalisation, for images from 32 pixels on."""

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
from liverjax.models.layers.pool import adaptive_average_pool, max_pool
from liverjax.models.layers.stage import mark_stage
from liverjax.weights.vgg import DEPTHS, MAP_PX, hidden, stage_width


class VGG(nn.Module):
    """A VGG; logits (b, num_outputs) from images (b, h, w, c).

    Parameters, batch statistics and outputs are float32 whatever ``dtype``. Stages
    (``stage1`` to ``stage5`` after their pools, ``map`` averaged to 7 by 7, ``pooled``
    before the head) are shown as :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depths: Convolutions a stage.
        normalised: With batch normalisation after each convolution.
        width: Channels of the first stage; the hidden layers have 64 times as many.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of features dropped after each hidden layer in training (stream
            ``dropout``).

    Reference:
        Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015.
    """

    num_outputs: int
    depths: Sequence[int] = DEPTHS["vgg16"]
    normalised: bool = False
    width: int = 64
    dtype: Any = None
    dropout: float = 0.5

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
        for stage, depth in enumerate(self.depths):
            width = stage_width(stage, width=self.width)
            for index in range(depth):
                name = f"{stage + 1}_{index}"
                conv = Conv(
                    width,
                    (3, 3),
                    padding=1,
                    use_bias=True,
                    dtype=dtype,
                    name=f"conv{name}",
                )
                x = conv(x)
                if self.normalised:
                    x = BatchNorm(name=f"bn{name}")(x, train=train)
                x = nn.relu(x)
            x = mark_stage(self, f"stage{stage + 1}", max_pool(x, size=2, strides=2))
        x = mark_stage(self, "map", adaptive_average_pool(x, size=MAP_PX))
        x = x.reshape(len(x), -1)
        dense = functools.partial(nn.Dense, kernel_init=nn.initializers.normal(0.01))
        drop = functools.partial(nn.Dropout, self.dropout, deterministic=not train)
        wide = hidden(width=self.width)
        x = drop()(nn.relu(dense(wide, dtype=dtype, name="hidden1")(x)))
        x = nn.relu(dense(wide, dtype=dtype, name="hidden2")(x))
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        x = mark_stage(self, "pooled", x)
        return dense(self.num_outputs, name="head")(drop()(x))


vgg16 = functools.partial(VGG, depths=DEPTHS["vgg16"])
vgg16_bn = functools.partial(vgg16, normalised=True)
vgg19 = functools.partial(VGG, depths=DEPTHS["vgg19"])
vgg19_bn = functools.partial(vgg19, normalised=True)
