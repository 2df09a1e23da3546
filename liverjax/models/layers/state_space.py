"""A state-space model along sequences, its steps and states chosen by the input."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from liverjax.models.layers.selective_scan import selective_scan

STEPS = (1e-3, 1e-1)
"""Range of the first steps' lengths, as Mamba draws them."""

# PyTorch's start of a linear layer.
TORCH_LINEAR = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class StateSpace(nn.Module):
    """Selective scan over sequences whose ``step``, ``b`` and ``c`` they give.

    Attributes:
        rank: Numbers from which a step's length is made.
        states: Of each channel.
        bias_times: How often the bias of steps is added: published code may add it in
            the linear layer and again in the scan.
        dtype: Compute type of the linear layers; the scan's is float32 at least.
        kernel_init: Of the layer that chooses.
    """

    rank: int
    states: int
    bias_times: int = 1
    dtype: Any = None
    kernel_init: Any = TORCH_LINEAR

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b l c"],
        gate: Float[Array, "b l c"] | None = None,
    ) -> Float[Array, "b l c"]:
        """What the scan makes of ``x``, times ``silu(gate)`` if there is one."""
        channels, rank, states = x.shape[-1], self.rank, self.states
        chosen = nn.Dense(
            rank + 2 * states,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=self.kernel_init,
            name="x_proj",
        )(x)
        step, b, c = jnp.split(chosen, [rank, rank + states], axis=-1)
        step = nn.Dense(
            channels,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=step_kernel,
            name="dt_proj",
        )(step)
        bias = self.param("dt_bias", step_bias, (channels,), jnp.float32)
        a_log = self.param("a_log", rates_log, (channels, states), jnp.float32)
        skip = self.param("skip", nn.initializers.ones_init(), (channels,), jnp.float32)
        return selective_scan(
            x,
            step=step,
            a=-jnp.exp(jnp.asarray(a_log)),
            b=b,
            c=c,
            skip=jnp.asarray(skip),
            gate=gate,
            step_bias=self.bias_times * jnp.asarray(bias),
        )[0]


def step_kernel(
    key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> Float[Array, "..."]:
    """First weights (..., rank, channels): uniform, within rank ** -0.5."""
    bound = shape[-2] ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def step_bias(
    key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> Float[Array, "..."]:
    """First biases: softplus of them is log-uniform in ``STEPS``."""
    low, high = (jnp.log(jnp.asarray(value, dtype)) for value in STEPS)
    step = jnp.exp(jax.random.uniform(key, shape, dtype, low, high))
    return step + jnp.log(-jnp.expm1(-step))


def rates_log(
    key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> Float[Array, "..."]:
    """First logarithms of rates (..., states): of 1, 2, 3, ... in every channel."""
    del key
    counted = jnp.arange(1, shape[-1] + 1, dtype=dtype)
    return jnp.broadcast_to(jnp.log(counted), shape)
