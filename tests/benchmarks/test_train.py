from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from benchmarks import rival_resnet
from liverjax import models

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("width", [16, 64])
def test_the_rival_is_the_same_network(width):
    rival = rival_resnet._resnet18(width)
    theirs = sorted(tuple(p.shape) for p in rival.parameters() if p.ndim == 4)
    model = models.make("resnet18", num_outputs=1, width=width)
    image = jnp.zeros((1, 64, 64, 3))
    ours = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    leaves = jax.tree.leaves(ours["params"])
    kernels = (leaf.shape for leaf in leaves if len(leaf.shape) == 4)
    assert sorted((o, i, h, w) for h, w, i, o in kernels) == theirs
    count = sum(p.numel() for p in rival.parameters())
    assert sum(leaf.size for leaf in leaves) == count


def test_the_rival_learns():
    rival = rival_resnet.Rival(size_px=32, width=4, batch_size=4)
    step = rival_resnet._make_step(rival)
    for _ in range(9):
        step()
