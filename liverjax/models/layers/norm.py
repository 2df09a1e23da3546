"""Normalisation over batches, with PyTorch's statistics, and over channels."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class BatchNorm(nn.Module):
    """Channels normalised over batch and space, as PyTorch does it.

    Flax's layer keeps the biased variance; PyTorch normalises by the biased one but
    keeps the unbiased one (times n / (n - 1)), and published statistics are of that
    kind. Under ``jit`` with a sharded batch the statistics are the whole batch's.

    Parameters ``scale`` and ``bias``, statistics ``mean`` and ``var`` (collection
    ``batch_stats``) are float32; statistics are computed in float32 whatever the
    input's type.

    Attributes:
        eps: Added to the variance.
        momentum: Weight of the new batch in the running statistics (PyTorch's meaning;
            Flax's is one minus it).
    """

    eps: float = 1e-5
    momentum: float = 0.1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *space c"], *, train: bool
    ) -> Float[Array, "b *space c"]:
        """The normalised ``x``: by its own statistics in training, else the kept ones.

        Raises:
            ValueError: If ``train`` and there is one value a channel only.
        """
        channels = x.shape[-1:]
        ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
        # Variables read from a file may be numpy arrays.
        scale = jnp.asarray(self.param("scale", ones, channels, jnp.float32))
        bias = jnp.asarray(self.param("bias", zeros, channels, jnp.float32))
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)

        if train:
            count = x.size // x.shape[-1]
            if count < 2:
                raise ValueError(
                    "batch statistics need at least two values a channel, got a batch "
                    f"of shape {x.shape}; train on larger images or batches"
                )
            found: Any = _normalised(x, scale, bias, self.eps)
            y, batch_mean, batch_var = found
            if not self.is_initializing():
                unbiased = batch_var * (count / (count - 1))
                mean.value += self.momentum * (batch_mean - mean.value)
                var.value += self.momentum * (unbiased - var.value)
        else:
            factor = scale * lax.rsqrt(jnp.asarray(var.value) + self.eps)
            y = (_wide(x) - _spread(jnp.asarray(mean.value), x)) * _spread(factor, x)
            y += _spread(bias, x)
        return y.astype(x.dtype)


class LayerNorm(nn.Module):
    """Each place's channels brought to mean 0 and variance 1, then scaled and shifted.

    Parameters ``scale`` and ``bias`` are float32; the statistics are computed in
    float32 whatever the input's type, by deviations from the mean.

    Attributes:
        eps: Added to the variance. No default: published networks differ, and float32
            hardly shows a wrong one.
    """

    eps: float

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """The normalised ``x``."""
        channels = x.shape[-1:]
        ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
        scale = jnp.asarray(self.param("scale", ones, channels, jnp.float32))
        bias = jnp.asarray(self.param("bias", zeros, channels, jnp.float32))
        wide = _wide(x)
        centred = wide - wide.mean(-1, keepdims=True)
        var = jnp.square(centred).mean(-1, keepdims=True)
        y = centred * lax.rsqrt(var + self.eps) * _spread(scale, x) + _spread(bias, x)
        return y.astype(x.dtype)


class RMSNorm(nn.Module):
    """Each place's channels divided by their root mean square, then scaled.

    The parameter ``scale`` is float32; computed in float32 whatever the input's type.

    Attributes:
        eps: Added to the mean square.
    """

    eps: float

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        """The normalised ``x``, of its type."""
        ones = nn.initializers.ones_init()
        scale = jnp.asarray(self.param("scale", ones, x.shape[-1:], jnp.float32))
        wide = _wide(x)
        inverse = lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + self.eps)
        return (wide * inverse * _spread(scale, x)).astype(x.dtype)


def _by_formula(
    x: Array, scale: Array, bias: Array, eps: float
) -> tuple[Array, Array, Array]:
    """``x`` by its own statistics, and these: mean and biased variance a channel."""
    wide, axes = _wide(x), tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    centred = wide - _spread(mean, x)
    var = jnp.square(centred).mean(axes)
    y = centred * _spread(scale * lax.rsqrt(var + eps), x) + _spread(bias, x)
    return y.astype(x.dtype), mean, var


_normalised = jax.custom_vjp(_by_formula, nondiff_argnums=(3,))


def _normalised_forward(
    x: Array, scale: Array, bias: Array, eps: float
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    y, mean, var = _by_formula(x, scale, bias, eps)
    return (y, mean, var), (x, scale, mean, var)


def _normalised_backward(
    eps: float, kept: tuple[Array, ...], cotangents: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    # Automatic differentiation walks over the image seven times, this three times.
    x, scale, mean, var = kept
    g, g_mean, g_var = cotangents
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    wide_g, centred = _wide(g), _wide(x) - _spread(mean, x)
    inverse = lax.rsqrt(var + eps)
    sum_g, sum_gx = wide_g.sum(axes), (wide_g * centred).sum(axes)
    of_g = scale * inverse
    of_x = (2 * g_var - of_g * jnp.square(inverse) * sum_gx) / count
    constant = (g_mean - of_g * sum_g) / count
    dx = wide_g * _spread(of_g, x) + centred * _spread(of_x, x) + _spread(constant, x)
    return dx.astype(x.dtype), inverse * sum_gx, sum_g


_normalised.defvjp(_normalised_forward, _normalised_backward)


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _spread(values: Array, x: Array) -> Array:
    return jnp.broadcast_to(values, x.shape)
