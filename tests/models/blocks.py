"""Building blocks alone against the shared references of the published code."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from liverjax.weights.naming import Entry, flatten, nest
from tests.models import parity
from tests.models.references import TOLERANCE

Apply = Callable[[Any, jax.Array], jax.Array]
"""Of a block's variables and input; both in the published order of axes."""


def check_block(
    shared: pathlib.Path,
    name: str,
    entries: Sequence[Entry],
    apply: Apply,
    dtype: str = "float32",
) -> None:
    """Asserts a block's output, its input's gradient and norms of all gradients.

    Args:
        shared: Folder of the references.
        name: Of the block.
        entries: Our naming table of it; as complete as the published listing.
        apply: The block, from input (as published) to output.
        dtype: Of the comparison.
    """
    about = json.loads((shared / "parity" / "blocks.json").read_text())
    block = next(b for b in about["blocks"] if b["name"] == name)
    listing = next(v for v in about["variants"] if v["name"] == name)["state_dict"]
    arrays = np.load(shared / "parity" / "blocks.npz")
    tensors = parity.tensors(listing, gain=about["gain"])
    assert {e.name: e.shape for e in entries} == {n: tuple(s) for n, s, _ in listing}
    used = [e for e in entries if e.path]
    values, gradients = TOLERANCE[dtype]
    with jax.enable_x64(dtype == "float64"):
        found = {e.path: e.to_variable(tensors[e.name]).astype(dtype) for e in used}
        x = parity.affine(f"block/{name}/x", block["input_shape"], 0, 1).astype(dtype)
        cotangent = parity.affine(
            f"block/{name}/cotangent", block["output_shape"], 0, 1
        ).astype(dtype)

        @jax.jit
        def everything(variables, x, cotangent):
            y, pullback = jax.vjp(apply, variables, x)
            return y, *pullback(cotangent)

        y, of_variables, of_x = everything(nest(found), x, jnp.asarray(cotangent))
        y, of_x = np.asarray(y), np.asarray(of_x)
        assert y.dtype == dtype
    assert parity.error(y, arrays[f"{name}/out"]) < values
    assert parity.error(of_x, arrays[f"{name}/grad_x"]) < values
    flat = flatten(of_variables)
    by_name = {e.name: np.linalg.norm(flat[e.path].astype(np.float64)) for e in used}
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    norms = np.array([by_name[n] for n, _, _ in listing if not n.endswith(buffers)])
    assert np.abs(norms / arrays[f"{name}/gradient_norms"] - 1).max() < gradients


def inside(entries: Sequence[Entry], *, published: str, ours: str) -> list[Entry]:
    """The entries under a published name, without it, their paths without ours."""
    return [
        dataclasses.replace(
            e,
            name=e.name.removeprefix(published),
            path=e.path.replace(f"/{ours}/", "/", 1),
        )
        for e in entries
        if e.name.startswith(published)
    ]
