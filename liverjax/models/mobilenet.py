"""MobileNetV3 in its three published forms, for images of any channels and size."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from liverjax.models.layers.conv import Conv
from liverjax.models.layers.norm import BatchNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.weights import mobilenet as plan
from liverjax.weights.mobilenet import Block, Row


class ConvNorm(nn.Module):
    """A convolution of odd side, padded alike on all sides, and batch normalisation.

    Attributes:
        features: Output channels.
        kernel: Side of the window.
        eps: Of the normalisation.
        momentum: Of the normalisation.
        strides: Step of the window.
        groups: As in :class:`~liverjax.models.layers.conv.Conv`.
        use_bias: Of the convolution.
        dtype: Compute type.
    """

    features: int
    kernel: int
    eps: float
    momentum: float
    strides: int = 1
    groups: int = 1
    use_bias: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b p q d"]:
        """The normalised convolution, without activation."""
        x = Conv(
            self.features,
            (self.kernel, self.kernel),
            self.strides,
            self.kernel // 2,
            groups=self.groups,
            use_bias=self.use_bias,
            dtype=self.dtype,
            name="conv",
        )(x)
        return BatchNorm(self.eps, self.momentum, name="bn")(x, train=train)


class InvertedBlock(nn.Module):
    """Expansion, depthwise window, gate and projection; the shortcut where it fits.

    Attributes:
        block: Its row and the channels that come in.
        eps: Of the normalisations.
        momentum: Of the normalisations.
        dtype: Compute type.
    """

    block: Block
    eps: float
    momentum: float
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b p q d"]:
        """The block's output; nothing after the addition."""
        row, y = self.block.row, x
        layer, activation = _layer(self), _activation(row)
        if row.expanded != x.shape[-1]:
            y = activation(layer(row.expanded, 1, name="expand")(y, train=train))
        y = activation(_depthwise(layer, row)(y, train=train))
        if row.squeezed:
            inner = plan.rounded(row.expanded // 4)
            gate = nn.Dense(inner, dtype=self.dtype, name="squeeze")(_mean(y))
            gate = nn.relu(gate)
            gate = nn.Dense(row.expanded, dtype=self.dtype, name="excite")(gate)
            y = _gated(y, gate)
        y = layer(row.out, 1, name="project")(y, train=train)
        return x + y if row.stride == 1 and x.shape == y.shape else y


class ShortcutBlock(nn.Module):
    """As :class:`InvertedBlock`, with a shortcut in every block, activation after it.

    Attributes:
        block: Its row and the channels that come in.
        eps: Of the normalisations.
        momentum: Of the normalisations.
        dtype: Compute type.
    """

    block: Block
    eps: float
    momentum: float
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b p q d"]:
        """The block's output, after its last activation."""
        row, inputs = self.block.row, x.shape[-1]
        layer, activation = _layer(self), _activation(row)
        y = activation(layer(row.expanded, 1, name="expand")(x, train=train))
        y = activation(_depthwise(layer, row)(y, train=train))
        if row.squeezed:
            dense = functools.partial(nn.Dense, use_bias=False, dtype=self.dtype)
            gate = dense(max(row.expanded // 4, 8), name="squeeze")(_mean(y))
            gate = BatchNorm(self.eps, self.momentum, name="squeeze_bn")(
                gate, train=train
            )
            y = _gated(y, dense(row.expanded, name="excite")(nn.relu(gate)))
        y = layer(row.out, 1, name="project")(y, train=train)
        if row.stride == 2:
            skip = layer(inputs, 3, strides=2, groups=inputs, name="skip_depthwise")
            x = skip(x, train=train)
        if inputs != row.out:
            skip = layer(row.out, 1, use_bias=row.stride == 2, name="skip")
            x = skip(x, train=train)
        return activation(x + y)


def _layer(block: Any) -> functools.partial[ConvNorm]:
    return functools.partial(
        ConvNorm, eps=block.eps, momentum=block.momentum, dtype=block.dtype
    )


def _depthwise(layer: functools.partial[ConvNorm], row: Row) -> ConvNorm:
    return layer(
        row.expanded,
        row.kernel,
        strides=row.stride,
        groups=row.expanded,
        name="depthwise",
    )


def _activation(row: Row) -> Any:
    return nn.hard_swish if row.hard else nn.relu


def _mean(x: Array) -> Array:
    """Of each channel over the image, accumulated in float32; ``x``'s type."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return wide.mean((1, 2)).astype(x.dtype)


def _gated(x: Array, gate: Array) -> Array:
    return x * nn.hard_sigmoid(gate)[:, None, None, :]


class MobileNetV3(nn.Module):
    """A MobileNetV3; logits (b, num_outputs) from images (b, h, w, c).

    Parameters, batch statistics and outputs are float32 whatever ``dtype``. Stages
    (``stem``, ``stage1`` and on, one a resolution, ``last`` after the last convolution,
    ``pooled`` before the head) are shown as
    :func:`~liverjax.models.layers.stage.mark_stage` says.

    Attributes:
        num_outputs: Numbers an image gets; one output still has shape (b, 1).
        rows: Its blocks, a tuple of :mod:`liverjax.weights.mobilenet`.
        hidden: Features before the head, for the published width.
        shortcuts: With :class:`ShortcutBlock` and a normalised hidden layer
            (xiaolai-sqlai/mobilenetv3), else torchvision's and timm's.
        eps: Of the normalisations: torchvision 1e-3, the others 1e-5.
        momentum: Of the normalisations: torchvision 0.01, the others 0.1.
        width: Channels of the stem; the others in proportion, as multiples of 8.
        dtype: Compute type, such as ``"bfloat16"``; ``None`` is the promoted type of
            image and parameters.
        dropout: Share of hidden features dropped before the head in training (stream
            ``dropout``).

    Reference:
        Howard et al., Searching for MobileNetV3, ICCV 2019, tables 1 and 2.
    """

    num_outputs: int
    rows: tuple[Row, ...] = plan.SMALL
    hidden: int = 1024
    shortcuts: bool = False
    eps: float = 1e-3
    momentum: float = 0.01
    width: int = plan.STEM
    dtype: Any = None
    dropout: float = 0.2

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
        norm: dict[str, Any] = {"eps": self.eps, "momentum": self.momentum}
        layer = functools.partial(ConvNorm, dtype=dtype, **norm)
        x = layer(self.width, 3, strides=2, name="conv_stem")(x, train=train)
        x = mark_stage(self, "stem", nn.hard_swish(x))
        blocks = plan.blocks(self.rows, width=self.width)
        make = ShortcutBlock if self.shortcuts else InvertedBlock
        stage = 1
        for number, block in enumerate(blocks, start=1):
            x = make(block, dtype=dtype, **norm, name=f"block{number}")(x, train=train)
            if number == len(blocks) or blocks[number].row.stride == 2:
                x = mark_stage(self, f"stage{stage}", x)
                stage += 1
        x = layer(6 * x.shape[-1], 1, name="conv_last")(x, train=train)
        x = mark_stage(self, "last", nn.hard_swish(x))
        x = x.astype(jnp.promote_types(dtype, jnp.float32)).mean((1, 2))
        x = mark_stage(self, "pooled", nn.hard_swish(self._hidden(x, train=train)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return _dense(self.num_outputs, name="head")(x)

    def _hidden(self, x: Array, *, train: bool) -> Array:
        wide = plan.scaled(self.hidden, width=self.width)
        x = _dense(wide, use_bias=not self.shortcuts, name="hidden")(x)
        if self.shortcuts:
            x = BatchNorm(self.eps, self.momentum, name="hidden_bn")(x, train=train)
        return x


_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.normal(0.01))


def _named(name: str, **options: Any) -> functools.partial[MobileNetV3]:
    rows, hidden = plan.ROWS[name], plan.HIDDEN[name]
    return functools.partial(MobileNetV3, rows=rows, hidden=hidden, **options)


_FINE: dict[str, Any] = {"eps": 1e-5, "momentum": 0.1}

mobilenet_v3_large = _named("mobilenet_v3_large")
mobilenet_v3_large_timm = _named("mobilenet_v3_large_timm", **_FINE)
mobilenet_v3_large_xiaolai = _named(
    "mobilenet_v3_large_xiaolai", shortcuts=True, **_FINE
)
mobilenet_v3_small = _named("mobilenet_v3_small")
mobilenet_v3_small_timm = _named("mobilenet_v3_small_timm", **_FINE)
mobilenet_v3_small_xiaolai = _named(
    "mobilenet_v3_small_xiaolai", shortcuts=True, **_FINE
)
