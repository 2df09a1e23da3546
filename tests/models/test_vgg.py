"""VGG against torchvision."""

from __future__ import annotations

import pytest

from tests.models.references import (
    Reference,
    check_gradients,
    check_listing,
    check_round_trip,
    check_run,
)

_POOLS = {f"features.{n}": f"stage{i + 1}" for i, n in enumerate((4, 9, 18, 27, 36))}
_STAGES = _POOLS | {"avgpool": "map", "classifier.4": "pooled"}
VGG19 = Reference("vgg19", "vgg19", "torchvision", _STAGES)


def test_names_shapes_order_and_counts_are_the_published_ones(shared):
    check_listing(shared, VGG19)


@pytest.mark.slow
def test_export_returns_every_published_bit(shared):
    check_round_trip(shared, VGG19)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_and_stages_are_torchvisions(shared, dtype):
    check_run(shared, VGG19, "b2_224", dtype)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["b1_256", "b1_192x256"])
def test_other_sizes_are_averaged_to_the_map_as_in_torchvision(shared, run):
    check_run(shared, VGG19, run)


@pytest.mark.slow
def test_gradients_are_torchvisions_in_double_precision(shared):
    check_gradients(shared, VGG19, "float64")


@pytest.mark.slow
def test_gradients_are_torchvisions_but_for_units_at_their_kink(shared):
    # In single precision rounding switches ReLUs and pools that are nearly tied, and
    # each switches a whole unit's gradient: 1.6e-3 in the first biases (6e-15 in
    # double), 4e-7 behind the last pool.
    check_gradients(shared, VGG19, tolerance=1e-2)
