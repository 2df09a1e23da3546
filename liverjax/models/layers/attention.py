"""Attention of tokens to tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def attention(
    query: Float[Array, "b m c"],
    *,
    keys: Float[Array, "b n c"],
    values: Float[Array, "b n c"],
    heads: int,
) -> Float[Array, "b m c"]:
    """What each query gathers from the values, head by head.

    Channels are cut into ``heads`` consecutive parts; weights are the softmax, in
    float32 at least, of products of queries and keys over the square root of a part's
    width.

    Raises:
        ValueError: If the channels cannot be cut into as many parts.
    """
    channels = query.shape[-1]
    if channels % heads:
        raise ValueError(f"{channels} channels cannot be cut into {heads} heads")
    q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (query, keys, values))
    scores = jnp.einsum("bmhd,bnhd->bhmn", q * (channels // heads) ** -0.5, k)
    wide = jnp.promote_types(scores.dtype, jnp.float32)
    weights = jax.nn.softmax(scores.astype(wide), axis=-1).astype(v.dtype)
    return jnp.einsum("bhmn,bnhd->bmhd", weights, v).reshape(query.shape)
