"""PVTv2 against its authors' code and timm's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from liverjax.models import make
from liverjax.models.pvt import ConvolvedMlp, ReducedAttention
from liverjax.weights import pvt
from tests.models.blocks import check_block, inside
from tests.models.references import (
    Reference,
    check_gradients,
    check_listing,
    check_round_trip,
    check_run,
)

_AUTHORS = {"patch_embed1": "stem", **{f"norm{i}": f"stage{i}" for i in range(1, 5)}}
_TIMM = {f"stages.{i}": f"stage{i + 1}" for i in range(4)}
REFERENCES = (
    Reference("pvt_v2_b2", "pvt_v2_b2", "authors", _AUTHORS),
    Reference("pvt_v2_b2.timm", "pvt_v2_b2", "timm", _TIMM),
)
_each = pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.file)
_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


def _on_map(module, height, width):
    def apply(variables, tokens):
        x = tokens.reshape(tokens.shape[0], height, width, -1)
        return module.apply(variables, x).reshape(tokens.shape)

    return apply


@_types
def test_attention_is_the_authors(shared, dtype):
    entries = pvt.block(
        "x", ours="x", width=32, reduction=2, wide=64, depthwise="dwconv"
    )
    entries = inside(entries, published="x.attn.", ours="x/attention")
    module = ReducedAttention(heads=2, reduction=2)
    check_block(shared, "pvt_attention_sr", entries, _on_map(module, 8, 6), dtype)


@_types
def test_linear_layers_around_a_window_are_the_authors(shared, dtype):
    entries = pvt.block(
        "x", ours="x", width=16, reduction=1, wide=64, depthwise="dwconv.dwconv"
    )
    entries = inside(entries, published="x.mlp.", ours="x/mlp")
    check_block(shared, "pvt_mlp", entries, _on_map(ConvolvedMlp(64), 8, 6), dtype)


@_each
def test_names_shapes_order_and_counts_are_the_published_ones(shared, reference):
    check_listing(shared, reference)


@pytest.mark.parametrize(
    ("name", "millions"),
    # The authors' table for 1000 classes.
    [("b0", 3.7), ("b1", 14.0), ("b2", 25.4), ("b3", 45.2), ("b4", 62.6), ("b5", 82.0)],
)
def test_parameters_are_as_many_as_the_authors_say(name, millions):
    model = make(f"pvt_v2_{name}", num_outputs=1000)
    born = jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((1, 32, 32, 3)), train=False),
        jax.random.key(0),
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(born["params"]))
    assert round(count / 1e6, 1) == millions


@pytest.mark.slow
@_each
def test_export_returns_every_published_bit(shared, reference):
    check_round_trip(shared, reference)


@pytest.mark.slow
@_each
def test_logits_and_stages_are_the_references(shared, reference):
    check_run(shared, reference, "b2_224")


@pytest.mark.slow
def test_an_image_that_is_no_square_agrees(shared):
    check_run(shared, REFERENCES[0], "b1_192x256")


@pytest.mark.slow
def test_the_published_classes_agree(shared):
    check_run(shared, REFERENCES[1], "b1_224_classes1000")


@pytest.mark.slow
@_each
def test_logits_and_stages_agree_in_double_precision(shared, reference):
    check_run(shared, reference, "b2_224", "float64")


@pytest.mark.slow
def test_gradients_agree_in_double_precision(shared):
    check_gradients(shared, REFERENCES[0], "float64")
