"""Compiled once for all tests of this folder: toy networks on two devices."""

from __future__ import annotations

import jax
import pytest

from liverjax.data.resident import place
from liverjax.train.compile import Programs, group_sharding
from tests.train import toy


@pytest.fixture(scope="session")
def built() -> Programs:
    """The toy learner's programs for `toy.Career`, on the first device."""
    return _build(0)


@pytest.fixture(scope="session")
def built_elsewhere() -> Programs:
    """The same on another device."""
    return _build(1)


def _build(device: int) -> Programs:
    sharding = group_sharding([jax.devices()[device]])
    arrays = place(toy.Career().arrays, sharding)
    return toy.programs(arrays, device=device)
