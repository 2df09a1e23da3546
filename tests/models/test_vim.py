"""Vision Mamba against its authors' code."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import make
from liverjax.models.vim import VimBlock, VimMixer
from liverjax.weights import convert, vim
from liverjax.weights.naming import Entry
from tests.models import parity
from tests.models.blocks import check_block, inside
from tests.models.references import (
    TOLERANCE,
    Reference,
    check_gradients,
    check_listing,
    check_round_trip,
    check_run,
    description,
)

_STAGES = {"patch_embed": "stem", "features": "pooled"}
AT_256 = Reference("vim_small", "vim_small", "authors", _STAGES, {"image_size": 256})
AT_224 = Reference(
    "vim_small_224", "vim_small", "authors", _STAGES, {"image_size": 224}
)
_each = pytest.mark.parametrize("reference", [AT_256, AT_224], ids=lambda r: r.file)
_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


@_types
def test_the_mixer_is_the_authors(shared, dtype):
    entries = vim.mixer("x", ours="x", width=32)
    entries = inside(entries, published="x.", ours="x")
    check_block(shared, "vim_mixer", entries, VimMixer().apply, dtype)


@_types
def test_a_block_behind_another_is_the_authors(shared, dtype):
    entries = vim.mixer("x.mixer", ours="x/mixer", width=32)
    entries.append(Entry("x.norm.weight", (32,), "params/x/norm/scale"))
    residual = parity.affine("block/vim_block_second/residual", (2, 20, 32), 0, 1)

    def apply(variables, x):
        total = x + jnp.asarray(residual, x.dtype)
        return jnp.concatenate([VimBlock().apply(variables, total), total], -1)

    entries = inside(entries, published="x.", ours="x")
    check_block(shared, "vim_block_second", entries, apply, dtype)


@_each
def test_names_shapes_order_and_counts_are_the_published_ones(shared, reference):
    check_listing(shared, reference)


@pytest.mark.parametrize(
    ("name", "millions"), [("vim_tiny", 7), ("vim_small", 26), ("vim_base", 98)]
)
def test_parameters_are_as_many_as_the_authors_say(name, millions):
    model = make(name, num_outputs=1000, image_size=224)
    image = jnp.zeros((1, 224, 224, 3))
    born = jax.eval_shape(
        lambda key: model.init(key, image, train=False), jax.random.key(0)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(born["params"]))
    assert round(count / 1e6) == millions


def test_images_of_another_size_are_refused():
    model = make("vim_tiny", num_outputs=2, image_size=64, width=16)
    with pytest.raises(ValueError, match=r"image_size is 64, but images are \(64, 32"):
        jax.eval_shape(
            lambda key: model.init(key, jnp.zeros((1, 64, 32, 3)), train=False),
            jax.random.key(0),
        )


def test_images_of_another_number_of_patches_are_refused():
    model = make("vim_tiny", num_outputs=2, width=16)
    born = jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((1, 64, 64, 3)), train=False),
        jax.random.key(0),
    )
    with pytest.raises(ValueError, match=r"4 x 5 patches do not fit .* of 16"):
        jax.eval_shape(
            lambda v: model.apply(v, jnp.zeros((1, 64, 80, 3)), train=False), born
        )


@pytest.mark.slow
@_each
def test_export_returns_every_published_bit(shared, reference):
    check_round_trip(shared, reference)


def _check_blocks(shared, reference, run_name, dtype):
    """Asserts logits, stages, blocks' outputs and the sums before them."""
    about = description(shared, reference)
    run = next(r for r in about["runs"] if r["name"] == run_name)
    listing = next(v for v in about["variants"] if v["name"] == run["variant"])
    arrays = np.load(shared / "parity" / f"{reference.file}.npz")
    tensors = parity.tensors(listing["state_dict"], gain=about["gain"])
    model = make(reference.model, num_outputs=3, **reference.options)
    with jax.enable_x64(dtype == "float64"):
        variables = jax.tree.map(
            lambda a: a.astype(dtype), convert(reference.model, tensors)
        )
        image = parity.image(run["input_shape"]).astype(dtype)
        logits, shown = jax.jit(
            lambda v, x: model.apply(
                v,
                x,
                train=False,
                mutable=["features", "intermediates"],
                capture_intermediates=lambda m, _: isinstance(m, VimBlock),
            )
        )(variables, image)
    assert parity.error(logits, arrays[run["logits"]]) < TOLERANCE[dtype][0]
    shown = jax.tree.map(np.asarray, shown)
    params = variables["params"]
    x = shown["features"]["stem"].reshape(len(image), -1, 384)
    middle = x.shape[1] // 2
    token = np.broadcast_to(params["cls_token"], (len(image), 1, 384))
    x = np.concatenate([x[:, :middle], token, x[:, middle:]], 1) + params["pos_embed"]
    stages = {s["name"]: s for s in run["intermediates"]}
    compared = 0
    for name, ours in reference.stages.items():
        found = shown["features"][ours].reshape(stages[name]["compared_shape"])
        difference = parity.corners(found) - arrays[stages[name]["slice"]]
        assert np.abs(difference).max() / stages[name]["std"] < TOLERANCE[dtype][0]
    for index in range(24):
        hidden = shown["intermediates"][f"block{index}"]["__call__"][0]
        for part, found in (("hidden", hidden), ("residual", x)):
            name = f"layers.{index}/{part}"
            if name in stages:
                difference = parity.corners(found) - arrays[stages[name]["slice"]]
                error = np.abs(difference).max() / stages[name]["std"]
                assert error < TOLERANCE[dtype][0], (name, error)
                compared += 1
        x = x + hidden
    assert compared == 8


@pytest.mark.slow
@_types
def test_logits_and_every_block_are_the_authors_at_224_pixels(shared, dtype):
    _check_blocks(shared, AT_224, "b2_224", dtype)


@pytest.mark.slow
@_types
def test_logits_agree_at_256_pixels(shared, dtype):
    check_run(shared, AT_256, "b2_256", dtype)


@pytest.mark.slow
def test_the_published_classes_agree(shared):
    check_run(shared, AT_224, "b1_224_classes1000")


@pytest.mark.slow
def test_gradients_agree_in_double_precision(shared):
    check_gradients(shared, AT_224, "float64")
