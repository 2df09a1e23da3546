"""The one convolution of this package, with a gradient of its own on CPU.

XLA compiles an ordinary channels-last forward convolution well on every platform. What
automatic differentiation makes of it (exchanged dimension labels, reversed windows,
dilated inputs) is as fast on a GPU, but on a CPU it runs up to a hundred times slower
inside a loop. So on a CPU both gradients are written out as ordinary convolutions or
matrix products (``conv_cpu.py``); everywhere else jax differentiates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax
from jaxtyping import Array, Float

from liverjax.models.layers import conv_cpu
from liverjax.models.layers.window import Window, output_size

Padding = int | Sequence[tuple[int, int]]
"""Rows added on both sides of every axis, or a (low, high) pair for each axis."""

_LABELS = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Float[Array, "b *space c"],
    kernel: Float[Array, "*taps i o"],
    *,
    strides: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Float[Array, "b *out o"]:
    """Cross-correlation of channels-last images (b, h, w, c) or sequences (b, w, c).

    Half-precision inputs are accumulated in float32. Differentiable in reverse mode
    only. On a CPU the form of each computation depends on static shapes alone, so the
    same call has the same bits on every CPU device.

    Args:
        x: Images or sequences; one or two axes of space.
        kernel: Taps (h, w, c / groups, o) or (w, c / groups, o), of ``x``'s dtype; not
            flipped, as in PyTorch.
        strides: Step of the window, one number for all axes or one an axis.
        padding: Zeros added around ``x``: one number for all sides or a (low, high)
            pair an axis. Never a word: "SAME" pads strided windows unlike PyTorch.
        dilation: Distance of neighbouring taps, one number for all axes or one an axis.
        groups: Channels are cut into this many groups that do not see each other.

    Raises:
        ValueError: If shapes, channels and groups do not fit each other, or the window
            is larger than the padded input.
    """
    if kernel.ndim == 3 and x.ndim == 3:
        strides, dilation = (1, *_each(strides, 1)), (1, *_each(dilation, 1))
        padding = ((0, 0), *_pairs(padding, 1))
        y = conv(
            x[:, None],
            kernel[None],
            strides=strides,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        return y[:, 0]
    if kernel.ndim != 4 or x.ndim != 4:
        raise ValueError(
            f"conv takes (b, w, c) with a kernel (w, c, o), or (b, h, w, c) with "
            f"(h, w, c, o); got {x.shape} and {kernel.shape}"
        )
    window = Window(
        strides=_each(strides, 2),
        padding=_pairs(padding, 2),
        dilation=_each(dilation, 2),
        groups=groups,
    )
    inputs, outputs = kernel.shape[2:]
    if x.shape[3] != inputs * groups or outputs % groups:
        raise ValueError(
            f"{x.shape[3]} channels do not fit a kernel {kernel.shape} "
            f"in {groups} groups"
        )
    if min(output_size(x.shape, taps=kernel.shape, window=window)) < 1:
        raise ValueError(
            f"a window {kernel.shape[:2]} with dilation {window.dilation} is larger "
            f"than the image {x.shape[1:3]} padded by {window.padding}"
        )
    return _conv(x, kernel, window)


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < 1:
        raise ValueError(f"expected {axes} numbers of at least 1, got {value}")
    return values


def _pairs(padding: Padding, axes: int) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, int):
        return ((padding, padding),) * axes
    pairs = tuple((low, high) for low, high in padding)
    if len(pairs) != axes:
        raise ValueError(f"expected {axes} pairs of padding, got {padding}")
    return pairs


def _by_xla(x: Array, kernel: Array, *, window: Window) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        window.strides,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=_LABELS,
        feature_group_count=window.groups,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Array, kernel: Array, window: Window) -> Array:
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(conv_cpu.forward, window=window),
        default=functools.partial(_by_xla, window=window),
    )


def _conv_forward(
    x: Array, kernel: Array, window: Window
) -> tuple[Array, tuple[Array, Array]]:
    return _conv(x, kernel, window), (x, kernel)


def _conv_backward(
    window: Window, kept: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    def by_cpu(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        return (
            conv_cpu.input_gradient(g, kernel, shape=x.shape, window=window),
            conv_cpu.kernel_gradient(x, g, shape=kernel.shape, window=window),
        )

    def by_xla(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        pullback = jax.vjp(functools.partial(_by_xla, window=window), x, kernel)[1]
        return pullback(g)

    return lax.platform_dependent(*kept, g, cpu=by_cpu, default=by_xla)


_conv.defvjp(_conv_forward, _conv_backward)


class Conv(nn.Module):
    """Linen layer around :func:`conv`; parameters ``kernel`` and, if asked, ``bias``.

    Attributes:
        features: Output channels.
        kernel_size: Taps an axis; its length says whether the layer is 1-D or 2-D.
        strides: As in :func:`conv`.
        padding: As in :func:`conv`.
        dilation: As in :func:`conv`.
        groups: As in :func:`conv`.
        use_bias: Whether a bias is added.
        dtype: Type the convolution is computed in; ``None`` is the promoted type of
            image and parameters. Parameters are float32 whatever it is.
        kernel_init: Initialiser of the kernel; the default suits a following ReLU.
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = False
    dtype: Any = None
    kernel_init: Callable[..., Any] = nn.initializers.variance_scaling(
        2.0, "fan_out", "normal"
    )

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *out o"]:
        """The convolved image, with bias if there is one."""
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        x = conv(
            x,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        if not self.use_bias:
            return x
        bias = self.param(
            "bias", nn.initializers.zeros_init(), (self.features,), jnp.float32
        )
        return x + jnp.broadcast_to(bias.astype(x.dtype), x.shape)
