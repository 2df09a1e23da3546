"""Stochastic depth: in training, whole branches are left out for some images."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class DropPath(nn.Module):
    """A residual branch, zero for some images in training, the others scaled up.

    One draw an image from the stream ``dropout``; kept branches are divided by the
    share that is kept, so the mean stays what it was.

    Attributes:
        rate: Share of images whose branch is left out, in [0, 1).

    Reference:
        Huang et al., Deep Networks with Stochastic Depth, ECCV 2016.
    """

    rate: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *rest"], *, train: bool
    ) -> Float[Array, "b *rest"]:
        """The branch; ``x`` itself unless ``train``.

        Raises:
            ValueError: If the rate is not in [0, 1).
        """
        if not 0 <= self.rate < 1:
            raise ValueError(f"drop_path must be in [0, 1), got {self.rate}")
        if not train or self.rate == 0:
            return x
        keep = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = jax.random.bernoulli(self.make_rng("dropout"), keep, shape)
        return jnp.where(kept, x / keep, jnp.zeros_like(x))


def drop_path_rates(rate: float, *, blocks: int) -> tuple[float, ...]:
    """A rate a block: from 0 at the first, in equal steps, to ``rate`` at the last."""
    return tuple(float(value) for value in np.linspace(0, rate, blocks))
