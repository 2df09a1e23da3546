"""MedMamba against its authors' code."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import pytest

from liverjax.models import make
from liverjax.models.medmamba import FourWayScan, MedMambaBlock, PatchMerging
from liverjax.weights import medmamba
from tests.models.blocks import check_block, inside
from tests.models.references import (
    Reference,
    check_gradients,
    check_listing,
    check_round_trip,
    check_run,
)

_STAGES = {
    "patch_embed": "stem",
    **{f"layers.{i}": f"stage{i + 1}" for i in range(4)},
    "features": "pooled",
}
SMALL = Reference("medmamba_s", "medmamba_s", "authors", _STAGES)
_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


@_types
def test_the_scan_in_four_directions_is_the_authors(shared, dtype):
    entries = inside(medmamba.scan("x", ours="x", width=16), published="x.", ours="x")
    check_block(shared, "medmamba_ss2d", entries, FourWayScan().apply, dtype)


@_types
def test_a_block_is_the_authors(shared, dtype):
    entries = medmamba.block("x", ours="x", width=32)
    entries = inside(entries, published="x.", ours="x")
    # The reference's epsilon is the class's default; the whole network has another.
    apply = functools.partial(MedMambaBlock(eps=1e-6).apply, train=False)
    check_block(shared, "medmamba_block", entries, apply, dtype)


@_types
def test_merging_of_an_odd_map_is_the_authors(shared, dtype):
    entries = medmamba.merge("x", ours="x", width=8)
    entries = inside(entries, published="x.", ours="x")
    check_block(shared, "medmamba_merge", entries, PatchMerging().apply, dtype)


def test_names_shapes_order_and_counts_are_the_published_ones(shared):
    check_listing(shared, SMALL)


@pytest.mark.slow
def test_export_returns_every_published_bit(shared):
    check_round_trip(shared, SMALL)


@pytest.mark.slow
@_types
def test_logits_and_stages_are_the_authors(shared, dtype):
    check_run(shared, SMALL, "b2_224", dtype)


@pytest.mark.slow
def test_an_oblong_image_agrees(shared):
    check_run(shared, SMALL, "b1_192x256")


@pytest.mark.slow
def test_gradients_agree_in_double_precision(shared):
    check_gradients(shared, SMALL, "float64")


@pytest.mark.parametrize(
    ("width", "size_px", "message"),
    [(5, 32, "width must be even, got 5"), (4, 28, "1 x 1 cannot be halved")],
)
def test_what_cannot_be_halved_is_refused(width, size_px, message):
    model = make("medmamba_t", num_outputs=1, width=width)
    image = jax.ShapeDtypeStruct((1, size_px, size_px, 3), jnp.float32)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            functools.partial(model.init, train=False), jax.random.key(0), image
        )
