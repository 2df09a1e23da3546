"""The selective scan of state-space models, in a form whose memory stays small.

Every channel keeps a few states; each step they decay and take up the input, and the
output is a mix of them, where decay, intake and mix all depend on the input:
``h_t = exp(step_t a) h_{t-1} + step_t b_t u_t``, ``y_t = sum(c_t h_t)``. Kept for a
gradient, all states would take length x channels x states numbers. The chunked form
keeps those between chunks alone and computes the others again, chunk by chunk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

FORMS = ("sequential", "associative", "chunked_steps", "chunked_associative")
"""Ways to compute the same; ``sequential`` is the plainest, the others' oracle."""

FASTEST = {"cpu": "chunked_steps", "default": "chunked_associative"}
"""The form a device takes where none is asked for.

The CPU's is the measured one (``benchmarks/selective_scan.py``). On other devices
nothing was measured: there a step costs a launch, so few wide operations are taken.
"""


class _Inputs(NamedTuple):
    """Time first, channels cut into groups; all of one float type."""

    u: Array  # (l, b, g, e)
    step: Array  # (l, b, g, e)
    b: Array  # (l, b, g, n)
    c: Array  # (l, b, g, n)


def selective_scan(
    u: Float[Array, "b l c"],
    *,
    step: Float[Array, "b l c"],
    a: Float[Array, "c n"],
    b: Float[Array, "b l *g n"],
    c: Float[Array, "b l *g n"],
    skip: Float[Array, " c"] | None = None,
    gate: Float[Array, "b l c"] | None = None,
    step_bias: Float[Array, " c"] | None = None,
    softplus: bool = True,
    form: str | None = None,
    chunk: int = 64,
) -> tuple[Float[Array, "b l c"], Float[Array, "b c n"]]:
    """The outputs, of ``u``'s type, and the states after the last step.

    Computed in float32 whatever the inputs' types, in float64 where ``u`` has it. The
    chunked forms can be differentiated in reverse mode only; for that they keep, beside
    the inputs, one state every ``chunk`` steps.

    Args:
        u: Sequences, channels last.
        step: Length of each step, before ``step_bias`` and softplus.
        a: Rates of the states, negative where they decay.
        b: How the input enters the states; for all channels, or for each of ``g``
            equal, consecutive groups of channels.
        c: How the states give the output; shaped as ``b``.
        skip: Adds ``skip * u`` to the output.
        gate: Multiplies the output, with ``skip``, by ``silu(gate)``.
        step_bias: Added to ``step``.
        softplus: Whether steps then go through softplus, which makes them positive.
        form: One of ``FORMS``; ``None`` takes the device's of ``FASTEST``.
        chunk: Most steps in a chunk. At least as many as states, so that what is kept
            is no larger than ``u``.

    Raises:
        ValueError: If the form is unknown, ``chunk`` is below 1, there is no step, or
            channels do not fit the groups.

    Reference:
        Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces,
        2023, section 3.3 and algorithm 2.
    """
    groups = b.shape[2] if b.ndim == 4 else 1
    if form is not None and form not in FORMS:
        raise ValueError(f"unknown form {form!r}; known are {', '.join(FORMS)}")
    if chunk < 1 or u.shape[1] < 1:
        raise ValueError(f"chunk and length must be at least 1: {chunk}, {u.shape[1]}")
    if u.shape[2] % groups or b.shape != c.shape:
        raise ValueError(
            f"{u.shape[2]} channels, b {b.shape} and c {c.shape} do not fit each other"
        )
    dtype = jnp.promote_types(u.dtype, jnp.float32)
    wide, step = u.astype(dtype), step.astype(dtype)
    if step_bias is not None:
        step += jnp.broadcast_to(step_bias.astype(dtype), step.shape)
    step = jax.nn.softplus(step) if softplus else step
    inputs = _Inputs(
        *(_split(x, groups) for x in (wide, step)),
        *(x.astype(dtype).swapaxes(0, 1) for x in (b, c)),
    )
    inputs = inputs._replace(
        **{k: _grouped(x, groups) for k, x in (("b", inputs.b), ("c", inputs.c))}
    )
    rates = a.astype(dtype).reshape(groups, -1, a.shape[1]).swapaxes(1, 2)
    y, last = _by_form(inputs, rates, form=form, chunk=chunk)
    y = y.reshape(u.shape[1], u.shape[0], u.shape[2]).swapaxes(0, 1)
    if skip is not None:
        y += jnp.broadcast_to(skip.astype(dtype), y.shape) * wide
    if gate is not None:
        y *= jax.nn.silu(gate.astype(dtype))
    last = last.swapaxes(2, 3).reshape(u.shape[0], u.shape[2], a.shape[1])
    return y.astype(u.dtype), last


def _split(x: Array, groups: int) -> Array:
    """(b, l, c) as (l, b, g, e)."""
    x = x.swapaxes(0, 1)
    return x.reshape(*x.shape[:2], groups, -1)


def _grouped(x: Array, groups: int) -> Array:
    """(l, b, n) or (l, b, g, n) as (l, b, g, n)."""
    return x.reshape(*x.shape[:2], groups, x.shape[-1])


def _by_form(
    inputs: _Inputs, a: Array, *, form: str | None, chunk: int
) -> tuple[Array, Array]:
    length, *batch = inputs.u.shape
    start = jnp.zeros((*batch[:2], a.shape[1], batch[2]), inputs.u.dtype)
    if form == "sequential":
        return _steps_forward(inputs, a, start)
    if form == "associative":
        return _associative_forward(inputs, a, start)
    # Chunks of equal length, the last filled up by steps of length zero, which leave
    # the states as they are.
    count = -(-length // chunk)
    size = -(-length // count)

    def cut(x: Array) -> Array:
        x = jnp.pad(x, [(0, count * size - length)] + [(0, 0)] * (x.ndim - 1))
        return x.reshape(count, size, *x.shape[1:])

    found: Any = _chunked(_Inputs(*map(cut, inputs)), a, form)
    y, last = found
    return y.reshape(count * size, *batch)[:length], last


def _over_states(x: Array, states: int) -> Array:
    """(..., e) as (..., n, e); rank promotion is off, so shapes are written out."""
    return jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], states, x.shape[-1]))


def _over_channels(x: Array, channels: int) -> Array:
    """(..., n) as (..., n, e)."""
    return jnp.broadcast_to(x[..., None], (*x.shape, channels))


def _decay_and_drive(x: _Inputs, a: Array) -> tuple[Array, Array]:
    """What a step multiplies the states by, and what it adds."""
    states, channels = a.shape[1:]
    step = _over_states(x.step, states)
    drive = _over_states(x.step * x.u, states) * _over_channels(x.b, channels)
    return jnp.exp(step * jnp.broadcast_to(a, step.shape)), drive


def _mixed(states: Array, c: Array) -> Array:
    return (states * _over_channels(c, states.shape[-1])).sum(-2)


def _sum_channels(x: Array, y: Array) -> Array:
    """(..., n, e) times (..., e), summed over channels."""
    return jnp.einsum("...ne,...e->...n", x, y, precision=lax.Precision.HIGHEST)


def _steps_forward(x: _Inputs, a: Array, start: Array) -> tuple[Array, Array]:
    """Outputs and last states, one step after the other."""

    def advance(h: Array, x: _Inputs) -> tuple[Array, Array]:
        decay, drive = _decay_and_drive(x, a)
        h = decay * h + drive
        return h, _mixed(h, x.c)

    last, y = lax.scan(advance, start, x)
    return y, last


def _associative_forward(x: _Inputs, a: Array, start: Array) -> tuple[Array, Array]:
    """Outputs and last states, of all steps at once."""
    states = _accumulated(*_decay_and_drive(x, a), start)
    return _mixed(states, x.c), states[-1]


def _accumulated(decay: Array, drive: Array, start: Array) -> Array:
    """All states of ``h_t = decay_t h_{t-1} + drive_t``, in log2(length) rounds."""

    def join(one: tuple[Array, Array], two: tuple[Array, Array]) -> tuple[Array, Array]:
        return one[0] * two[0], two[0] * one[1] + two[1]

    drive = jnp.concatenate([(drive[0] + decay[0] * start)[None], drive[1:]])
    return lax.associative_scan(join, (decay, drive))[1]


_Forward = Callable[[_Inputs, Array, Array], tuple[Array, Array]]
_FORWARD: dict[str, _Forward] = {
    "chunked_steps": _steps_forward,
    "chunked_associative": _associative_forward,
}


def _on_device(forms: dict[str, Callable], form: str | None) -> Callable:
    if form is not None:
        return forms[form]
    return functools.partial(
        lax.platform_dependent,
        cpu=forms[FASTEST["cpu"]],
        default=forms[FASTEST["default"]],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _chunked(chunks: _Inputs, a: Array, form: str | None) -> tuple[Array, Array]:
    return _chunked_forward(chunks, a, form)[0]


def _chunked_forward(
    chunks: _Inputs, a: Array, form: str | None
) -> tuple[tuple[Array, Array], tuple[_Inputs, Array, Array]]:
    forward = _on_device(_FORWARD, form)

    def advance(start: Array, x: _Inputs) -> tuple[Array, tuple[Array, Array]]:
        y, last = forward(x, a, start)
        return last, (y, start)

    b, g, e = chunks.u.shape[2:]
    start = jnp.zeros((b, g, a.shape[1], e), chunks.u.dtype)
    last, (y, starts) = lax.scan(advance, start, chunks)
    return (y, last), (chunks, a, starts)


def _chunked_backward(
    form: str | None,
    kept: tuple[_Inputs, Array, Array],
    cotangents: tuple[Array, Array],
) -> tuple[_Inputs, Array]:
    chunks, a, starts = kept
    dy, d_last = cotangents
    backward = _on_device(_BACKWARD, form)

    def retreat(carry, x):
        later, da = carry
        before, da_here, found = backward(*x, a, later)
        return (before, da + da_here), found

    (_, da), found = lax.scan(
        retreat, (d_last, jnp.zeros_like(a)), (chunks, starts, dy), reverse=True
    )
    return found, da


_chunked.defvjp(_chunked_forward, _chunked_backward)


def _steps_backward(
    x: _Inputs, start: Array, dy: Array, a: Array, later: Array
) -> tuple[Array, Array, _Inputs]:
    """Gradients of a chunk, step by step from its end.

    Args:
        x: The chunk.
        start: States before it.
        dy: Gradient of its outputs.
        a: Rates.
        later: Gradient of its last states, from what follows.

    Returns:
        Gradients of ``start``, of ``a`` (this chunk's share) and of ``x``.
    """

    def advance(h: Array, x: _Inputs) -> tuple[Array, Array]:
        decay, drive = _decay_and_drive(x, a)
        return decay * h + drive, h

    last, before = lax.scan(advance, start, x)

    def retreat(carry, xs):
        later, da, h = carry
        x, before, dy = xs
        decay = _decay_and_drive(x, a)[0]
        dh = later + _over_states(dy, a.shape[1]) * _over_channels(x.c, dy.shape[-1])
        dx, da_here = _gradients(x, a, h, before, dh, decay, dy)
        return (decay * dh, da + da_here, before), dx

    carry = (later, jnp.zeros_like(start), last)
    (d_start, da, _), dx = lax.scan(retreat, carry, (x, before, dy), reverse=True)
    return d_start, da.sum(0), dx


def _associative_backward(
    x: _Inputs, start: Array, dy: Array, a: Array, later: Array
) -> tuple[Array, Array, _Inputs]:
    """As :func:`_steps_backward`, of all steps at once."""
    decay, drive = _decay_and_drive(x, a)
    states = _accumulated(decay, drive, start)
    before = jnp.concatenate([start[None], states[:-1]])
    arriving = _over_states(dy, a.shape[1]) * _over_channels(x.c, dy.shape[-1])
    following = jnp.concatenate([decay[1:], jnp.ones_like(decay[:1])])
    dh = _accumulated(following[::-1], arriving[::-1], later)[::-1]
    dx, da = _gradients(x, a, states, before, dh, decay, dy)
    return decay[0] * dh[0], da.sum((0, 1)), dx


def _gradients(
    x: _Inputs, a: Array, h: Array, before: Array, dh: Array, decay: Array, dy: Array
) -> tuple[_Inputs, Array]:
    """Gradients of a step's (or of many steps') inputs and of the rates.

    Given the states after and ``before`` it, and the gradient ``dh`` of those after.
    """
    through_b = _mixed(dh, x.b)
    d_exponent = dh * before * decay
    dx = _Inputs(
        u=x.step * through_b,
        step=(d_exponent * jnp.broadcast_to(a, d_exponent.shape)).sum(-2)
        + x.u * through_b,
        b=_sum_channels(dh, x.step * x.u),
        c=_sum_channels(h, dy),
    )
    return dx, d_exponent * _over_states(x.step, a.shape[1])


_BACKWARD: dict[str, Callable] = {
    "chunked_steps": _steps_backward,
    "chunked_associative": _associative_backward,
}
