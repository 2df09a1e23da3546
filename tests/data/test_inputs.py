from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.data.inputs import network_input


def test_intensities_are_normalised_channel_by_channel():
    image = jnp.full((2, 2, 2), 0.75)
    seen = network_input({"image": image}, mean=(0.5, 0.25), std=(0.25, 0.5))["image"]
    np.testing.assert_array_equal(seen, np.ones((2, 2, 2)))


def test_masks_follow_as_further_channels_of_zeros_and_ones():
    arrays = {
        "image": jnp.zeros((5, 2, 2, 3)),
        "mask": jnp.full((5, 2, 2, 2), 2, jnp.uint8).at[..., 1].set(0),
    }
    seen = network_input(arrays, mean=(0.5,) * 3, std=(0.25,) * 3)["image"]
    assert seen.shape == (5, 2, 2, 5)
    np.testing.assert_array_equal(seen[0, 0, 0], [-2, -2, -2, 1, 0])


def test_each_channel_needs_its_mean():
    with pytest.raises(ValueError, match="1 means, 1 deviations, 3 channels"):
        network_input({"image": jnp.zeros((2, 2, 3))}, mean=(0.5,), std=(0.5,))
