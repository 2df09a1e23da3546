"""Vision Mamba: patches as one sequence, read forwards and backwards."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.conv import Conv
from liverjax.models.layers.drop_path import DropPath, drop_path_rates
from liverjax.models.layers.norm import RMSNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.models.layers.state_space import TORCH_LINEAR, StateSpace
from liverjax.weights.vim import DEPTH, DIRECTIONS, PATCH_PX, STATES, rank

_EPS = 1e-5
_EMBED = nn.initializers.truncated_normal(0.02)


class VimMixer(nn.Module):
    """A scan over the sequence and one over its reverse, averaged.

    Attributes:
        depth: Blocks of the network; the last layer starts smaller by its root.
        dtype: Compute type.
    """

    depth: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b l c"]) -> Float[Array, "b l c"]:
        """The tokens' new channels."""
        width, dtype = x.shape[-1], self.dtype
        both = nn.Dense(
            4 * width,
            use_bias=False,
            dtype=dtype,
            kernel_init=TORCH_LINEAR,
            name="in_proj",
        )(x)
        found = []
        for direction in DIRECTIONS:
            y, gate = jnp.split(both, 2, axis=-1)
            if direction == "backward":
                y, gate = y[:, ::-1], gate[:, ::-1]
            y = Conv(
                *(2 * width, (4,)),
                padding=((3, 0),),
                groups=2 * width,
                use_bias=True,
                dtype=dtype,
                kernel_init=TORCH_LINEAR,
                name=f"{direction}_conv",
            )(y)
            scan = StateSpace(rank(width=width), STATES, dtype=dtype, name=direction)
            y = scan(nn.silu(y), gate)
            found.append(y[:, ::-1] if direction == "backward" else y)
        last = nn.initializers.variance_scaling(
            1 / (3 * self.depth), "fan_in", "uniform"
        )
        return nn.Dense(
            width, use_bias=False, dtype=dtype, kernel_init=last, name="out_proj"
        )((found[0] + found[1]) / 2)


class VimBlock(nn.Module):
    """A mixer behind its normalisation; what it returns is added by the network.

    Attributes:
        depth: As in :class:`VimMixer`.
        dtype: Compute type.
    """

    depth: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b l c"]) -> Float[Array, "b l c"]:
        """The mixer's output."""
        y = RMSNorm(_EPS, name="norm")(x).astype(self.dtype or x.dtype)
        return VimMixer(self.depth, self.dtype, name="mixer")(y)


class Vim(nn.Module):
    """A Vision Mamba; logits (b, num_outputs) from images (b, h, w, c).

    A token for the class stands in the middle of the patches, and alone goes to the
    head. The position embedding fixes the number of patches. Parameters and outputs are
    float32 whatever ``dtype``, and so is the sum that the blocks add to. Stages
    (``stem``, the patches; ``stage1`` to ``stage4``, what the last block of each
    quarter sees of them; ``pooled``, the class token) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        depth: Blocks.
        width: Channels of the tokens.
        image_size: Pixels a side that images must have, 224 for the published weights;
            ``None`` takes any size when parameters are made, and later the same number
            of patches.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of the class token's features dropped before the head in training
            (stream ``dropout``).
        drop_path: Stochastic depth of the last block, rising from 0 at the first
            (stream ``dropout``).

    Reference:
        Zhu et al., Vision Mamba: Efficient Visual Representation Learning with
        Bidirectional State Space Model, ICML 2024.
    """

    num_outputs: int
    depth: int = DEPTH
    width: int = 384
    image_size: int | None = None
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
        """Logits of normalised images; ``train`` turns dropout on.

        Raises:
            ValueError: If the image is not of ``image_size``, or of another number of
                patches than the position embedding.
        """
        side = self.image_size
        if side is not None and image.shape[1:3] != (side, side):
            raise ValueError(
                f"image_size is {side}, but images are {image.shape[1:3]}: prepare "
                "them in that size, or set image_size to theirs"
            )
        dtype = self.dtype or jnp.promote_types(image.dtype, jnp.float32)
        x = jnp.asarray(image, dtype)
        patch = (PATCH_PX, PATCH_PX)
        embed = functools.partial(Conv, use_bias=True, dtype=dtype, name="patch_embed")
        x = embed(self.width, patch, PATCH_PX)(x)
        x = mark_stage(self, "stem", x)
        shape = x.shape
        x = self._with_class(x.astype(jnp.promote_types(dtype, jnp.float32)))
        rates = drop_path_rates(self.drop_path, blocks=self.depth)
        for index, rate in enumerate(rates):
            # What the last block adds to the patches never reaches the class.
            quarter, rest = divmod(4 * (index + 1), self.depth)
            if rest == 0:
                x = self._marked(f"stage{quarter}", x, shape)
            y = VimBlock(self.depth, dtype, name=f"block{index}")(x)
            x += DropPath(rate)(y, train=train).astype(x.dtype)
        x = RMSNorm(_EPS, name="norm")(x)[:, x.shape[1] // 2]
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_outputs, kernel_init=_EMBED, name="head")(x)

    def _with_class(self, x: Array) -> Array:
        """Patches in rows, the class in their middle, their places added."""
        b, h, w, width = x.shape
        shape = (1, h * w + 1, width)
        if self.has_variable("params", "pos_embed"):
            known = jnp.shape(self.get_variable("params", "pos_embed"))
            if known != shape:
                raise ValueError(
                    f"images of {h} x {w} patches do not fit a position embedding of "
                    f"{known[1] - 1}: prepare them in the size it was made for"
                )
        token = self.param("cls_token", _EMBED, (1, 1, width), jnp.float32)
        places = self.param("pos_embed", _EMBED, shape, jnp.float32)
        token = jnp.broadcast_to(jnp.asarray(token, x.dtype), (b, 1, width))
        x, middle = x.reshape(b, h * w, width), h * w // 2
        x = jnp.concatenate([x[:, :middle], token, x[:, middle:]], axis=1)
        return x + jnp.asarray(places, x.dtype)

    def _marked(self, name: str, x: Array, shape: tuple[int, ...]) -> Array:
        """The patches shown as a map; the class token passes by."""
        middle = x.shape[1] // 2
        token = x[:, middle : middle + 1]
        patches = jnp.concatenate([x[:, :middle], x[:, middle + 1 :]], axis=1)
        patches = mark_stage(self, name, patches.reshape(shape)).reshape(patches.shape)
        return jnp.concatenate(
            [patches[:, :middle], token, patches[:, middle:]], axis=1
        )


vim_tiny = functools.partial(Vim, width=192)
vim_small = functools.partial(Vim, width=384)
vim_base = functools.partial(Vim, width=768)
