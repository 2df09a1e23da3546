"""MambaVision against its authors' code."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import make
from liverjax.models.layers.conv import Conv
from liverjax.models.mambavision import (
    Attention,
    MambaVisionMixer,
    WindowBlock,
    cut_windows,
    join_windows,
)
from liverjax.weights import mambavision
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
    **{f"levels.{i}": f"stage{i + 1}" for i in range(4)},
    "norm": "map",
    "features": "pooled",
}
REFERENCES = tuple(
    Reference(name, name, "authors", _STAGES)
    for name in ("mambavision_t", "mambavision_t2", "mambavision_s")
)
_each = pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.file)
_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


@_types
def test_the_mixer_is_the_authors(shared, dtype):
    entries = mambavision.mixer("x", ours="x", width=32)
    entries = inside(entries, published="x.", ours="x")
    check_block(shared, "mambavision_mixer", entries, MambaVisionMixer().apply, dtype)


@_types
def test_attention_is_the_authors(shared, dtype):
    entries = mambavision.attention("x", ours="x", width=32)
    entries = inside(entries, published="x.", ours="x")
    check_block(shared, "mambavision_attention", entries, Attention(2).apply, dtype)


class _Stage(nn.Module):
    """Four blocks inside windows of 7 pixels, on an image of any size."""

    @nn.compact
    def __call__(self, x):
        windows = cut_windows(x, size=7)
        for index in range(4):
            first = mambavision.is_mixer(index, depth=4)
            part = MambaVisionMixer if first else lambda **o: Attention(2, **o)
            block = WindowBlock(part, scaled=True, name=f"x_{index}")
            windows = block(windows, train=False)
        x = join_windows(windows, shape=x.shape)
        return Conv(64, (3, 3), 2, 1, name="x_down")(x)


@_types
def test_a_stage_in_padded_windows_is_the_authors(shared, dtype):
    entries = mambavision.window_stage("x", ours="x", width=32, depth=4, scaled=True)
    entries += mambavision.reduction("x", ours="x", width=32)
    entries = inside(entries, published="x.", ours="none")

    def apply(variables, x):
        return _Stage().apply(variables, x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    check_block(shared, "mambavision_window_stage", entries, apply, dtype)


def test_windows_are_cut_row_by_row_and_joined_again():
    x = jnp.arange(2 * 3 * 5, dtype=jnp.float32).reshape(2, 3, 5, 1)
    windows = cut_windows(x, size=2)
    assert windows.shape == (2 * 2 * 3, 4, 1)
    np.testing.assert_array_equal(windows[1, :, 0], [2, 3, 7, 8])
    np.testing.assert_array_equal(windows[5, :, 0], [14, 0, 0, 0])
    np.testing.assert_array_equal(join_windows(windows, shape=x.shape), x)


@_each
def test_names_shapes_order_and_counts_are_the_published_ones(shared, reference):
    check_listing(shared, reference)


@pytest.mark.parametrize(
    ("name", "millions"),
    # The authors' table for 1000 classes.
    [("t", 31.8), ("t2", 35.1), ("s", 50.1), ("b", 97.7)],
)
def test_parameters_are_as_many_as_the_authors_say(name, millions):
    model = make(f"mambavision_{name}", num_outputs=1000)
    image = jnp.zeros((1, 32, 32, 3))
    born = jax.eval_shape(
        lambda key: model.init(key, image, train=False), jax.random.key(0)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(born["params"]))
    assert round(count / 1e6, 1) == millions


@pytest.mark.slow
@_each
def test_export_returns_every_published_bit(shared, reference):
    check_round_trip(shared, reference)


@pytest.mark.slow
@_types
@_each
def test_logits_and_stages_are_the_authors(shared, reference, dtype):
    check_run(shared, reference, "b2_224", dtype)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["b1_192x256", "b1_224_classes1000"])
def test_padded_windows_and_the_published_classes_agree(shared, run):
    check_run(shared, REFERENCES[0], run)


@pytest.mark.slow
def test_gradients_agree_in_double_precision(shared):
    check_gradients(shared, REFERENCES[0], "float64")
