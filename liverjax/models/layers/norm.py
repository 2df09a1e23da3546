"""Batch normalisation with PyTorch's statistics."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
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
        dtype: Type of the result; ``None`` is the input's.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    dtype: Any = None

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
        scale = self.param("scale", ones, channels, jnp.float32)
        bias = self.param("bias", zeros, channels, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)

        wide = x.astype(jnp.promote_types(x.dtype, scale.dtype))
        if train:
            count = x.size // x.shape[-1]
            if count < 2:
                raise ValueError(
                    "batch statistics need at least two values a channel, got a batch "
                    f"of shape {x.shape}; train on larger images or batches"
                )
            axes = tuple(range(x.ndim - 1))
            used_mean = wide.mean(axes)
            used_var = jnp.square(wide - _spread(used_mean, x)).mean(axes)
            if not self.is_initializing():
                unbiased = used_var * (count / (count - 1))
                mean.value += self.momentum * (used_mean - mean.value)
                var.value += self.momentum * (unbiased - var.value)
        else:
            used_mean, used_var = mean.value, var.value
        factor = scale * lax.rsqrt(used_var + self.eps)
        y = (wide - _spread(used_mean, x)) * _spread(factor, x) + _spread(bias, x)
        return y.astype(self.dtype or x.dtype)


def _spread(values: Array, x: Array) -> Array:
    return jnp.broadcast_to(values, x.shape)
