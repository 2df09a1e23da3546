"""The liver fibrosis staging network, for stacks of slices from 8 pixels on."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.conv import Conv
from liverjax.models.layers.pool import adaptive_average_pool, max_pool
from liverjax.models.layers.stage import mark_stage
from liverjax.weights.lfs import CONVOLUTIONS, KERNEL_PX, MAP_PX, hidden


class LFS(nn.Module):
    """Four 5x5 convolutions, three pools, two linear layers; logits (b, num_outputs).

    The paper says no more than that and trains on 32 consecutive slices. Silent, and
    chosen here: the slices are the input's channels; 32 channels, doubled at each
    convolution; ReLU; pools of 2x2; the last map averaged to 4 by 4, so that any size
    from 8 pixels on will do; 256 hidden features; dropout.

    Outputs are float32 whatever ``dtype``. Stages (``conv1_map`` to ``conv4_map``,
    after their ReLU and before their pool, and ``pooled`` before the head) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says; the paper's maps lie between
    the third and the last convolution.

    Attributes:
        num_outputs: Numbers a stack gets; one output still has shape (b, 1).
        width: Channels of the first convolution.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of hidden features dropped before the head in training (stream
            ``dropout``).

    Reference:
        Yin et al., Liver fibrosis staging by deep learning: a visual-based explanation
        of diagnostic decisions of the model, European Radiology 2021.
    """

    num_outputs: int
    width: int = 32
    dtype: Any = None
    dropout: float = 0.5

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "b h w c"] | Float[np.ndarray, "b h w c"],
        *,
        train: bool,
    ) -> Float[Array, "b k"]:
        """Logits of normalised images, slices as channels."""
        dtype = self.dtype or jnp.promote_types(image.dtype, jnp.float32)
        x = jnp.asarray(image, dtype)
        for number in range(1, CONVOLUTIONS + 1):
            name = f"conv{number}"
            conv = Conv(
                self.width * 2 ** (number - 1),
                (KERNEL_PX, KERNEL_PX),
                padding=KERNEL_PX // 2,
                use_bias=True,
                dtype=dtype,
                name=name,
            )
            x = mark_stage(self, f"{name}_map", nn.relu(conv(x)))
            if number < CONVOLUTIONS:
                x = max_pool(x, size=2, strides=2)
        x = adaptive_average_pool(x, size=MAP_PX).reshape(len(x), -1)
        x = nn.Dense(hidden(width=self.width), dtype=dtype, name="hidden")(x)
        x = nn.relu(x).astype(jnp.promote_types(dtype, jnp.float32))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_outputs, name="head")(x)
