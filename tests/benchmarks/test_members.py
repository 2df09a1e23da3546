from __future__ import annotations

import jax
import pytest

from benchmarks import members
from benchmarks.train import Case, Trainer


@pytest.mark.slow
def test_a_bundle_trains_as_many_images_as_it_says():
    trainer = Trainer(Case(size_px=16, width=4, batch_size=2), jax.devices()[0])
    train = members.bundle(trainer, members=3)
    assert train(0.01) > 0
