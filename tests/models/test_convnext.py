"""ConvNeXt against torchvision, timm and its authors' code."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from liverjax.models.convnext import ConvNeXtBlock
from liverjax.weights import FAMILIES
from liverjax.weights.naming import Sizes
from tests.models.blocks import check_block, inside
from tests.models.references import (
    Reference,
    check_gradients,
    check_listing,
    check_round_trip,
    check_run,
)

_STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "pooled")
_PUBLISHED = ("stem", *(f"stages.{i}" for i in range(4)), "features")


def _reference(file, scheme, published=_PUBLISHED):
    stages = dict(zip(published, _STAGES, strict=True))
    return Reference(file, "convnext_base", scheme, stages)


_NUMBERED = (*(f"features.{i}" for i in (0, 1, 3, 5, 7)), "features")
REFERENCES = (
    _reference("convnext_base", "torchvision", _NUMBERED),
    _reference("convnext_base.timm", "timm"),
    _reference("convnext_base.facebook", "facebook"),
)
_each = pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.file)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_block_is_torchvisions(shared, dtype):
    sizes = Sizes(width=16, in_channels=3, num_outputs=3)
    entries = FAMILIES["convnext_tiny"].tables["torchvision"]("convnext_tiny", sizes)
    entries = inside(entries, published="features.1.0.", ours="stage1_0")

    def apply(variables, x):
        y = ConvNeXtBlock().apply(variables, jnp.moveaxis(x, 1, -1), train=False)
        return jnp.moveaxis(y, -1, 1)

    check_block(shared, "convnext_block", entries, apply, dtype)


@_each
def test_names_shapes_order_and_counts_are_the_published_ones(shared, reference):
    check_listing(shared, reference)


@_each
@pytest.mark.slow
def test_export_returns_every_published_bit(shared, reference):
    check_round_trip(shared, reference)


@_each
@pytest.mark.slow
def test_each_reference_is_reproduced(shared, reference):
    check_run(shared, reference, "b2_224")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_torchvisions(shared, dtype):
    check_gradients(shared, REFERENCES[0], dtype)


@pytest.mark.slow
def test_logits_agree_in_double_precision(shared):
    check_run(shared, REFERENCES[0], "b2_224", "float64")
