from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models.layers.conv import conv
from liverjax.weights import WeightsError, adapt, convert, spread
from liverjax.weights.naming import flatten
from tests.weights.published import equal, published


def _variables():
    return convert("resnet18", published())


def test_nothing_changes_where_the_sizes_agree():
    adapted = adapt(_variables(), model="resnet18", num_outputs=5, in_channels=3)
    assert adapted.fresh == ()
    assert equal(flatten(adapted.variables), flatten(_variables()))


def test_a_head_of_another_size_is_left_to_the_random_start():
    adapted = adapt(_variables(), model="resnet18", num_outputs=1, in_channels=3)
    assert adapted.fresh == ("params/fc/kernel", "params/fc/bias")
    assert set(flatten(_variables())) - set(flatten(adapted.variables)) == {
        *adapted.fresh
    }


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_an_image_of_equal_channels_gives_what_it_gave_in_colour(channels):
    grey = np.random.default_rng(0).standard_normal((1, 9, 9, 1)).astype(np.float32)
    adapted = adapt(
        _variables(), model="resnet18", num_outputs=5, in_channels=channels
    ).variables

    def stem(variables, channels):
        kernel = variables["params"]["conv1"]["kernel"]
        x = jnp.asarray(grey.repeat(channels, axis=3))
        return conv(x, jnp.asarray(kernel), strides=2, padding=3)

    np.testing.assert_allclose(
        stem(adapted, channels), stem(_variables(), 3), rtol=1e-4, atol=1e-5
    )


def test_one_channel_gets_the_sum_of_three():
    kernel = adapt(
        _variables(), model="resnet18", num_outputs=5, in_channels=1
    ).variables["params"]["conv1"]["kernel"]
    colour = _variables()["params"]["conv1"]["kernel"]
    np.testing.assert_allclose(kernel[:, :, 0], colour.sum(2), rtol=1e-5, atol=1e-7)
    assert kernel.dtype == np.float32


def test_the_given_variables_stay_as_they_are():
    variables = _variables()
    adapt(variables, model="resnet18", num_outputs=2, in_channels=1)
    assert equal(flatten(variables), flatten(_variables()))


def test_input_statistics_are_kept_or_averaged():
    assert spread((0.1, 0.2, 0.6), in_channels=3) == (0.1, 0.2, 0.6)
    assert spread((0.1, 0.2, 0.6), in_channels=2) == pytest.approx((0.3, 0.3))


def test_what_cannot_be_adapted_is_refused():
    with pytest.raises(WeightsError, match="at least 1"):
        adapt(_variables(), model="resnet18", num_outputs=0, in_channels=3)
    with pytest.raises(WeightsError, match="params/conv1/kernel is missing"):
        adapt({"params": {}}, model="resnet18", num_outputs=1, in_channels=3)


def test_places_of_a_square_are_resized_as_by_timm_and_the_class_stays_amid_them():
    torch = pytest.importorskip("torch")
    places = np.random.default_rng(0).standard_normal((1, 17, 3)).astype(np.float32)
    variables = convert("vim_tiny", published("vim_tiny"))
    width = variables["params"]["pos_embed"].shape[2]
    places = np.resize(places, (1, 17, width))
    variables["params"]["pos_embed"] = places
    for side in (3, 6):
        adapted = adapt(
            variables,
            model="vim_tiny",
            num_outputs=5,
            in_channels=3,
            image_px=16 * side,
        ).variables["params"]["pos_embed"]
        assert adapted.shape == (1, side * side + 1, width)
        middle = side * side // 2
        np.testing.assert_array_equal(adapted[:, middle], places[:, 8])
        square = np.delete(places, 8, axis=1).reshape(1, 4, 4, width)
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(square.transpose(0, 3, 1, 2)),
            size=(side, side),
            mode="bicubic",
            antialias=True,
        ).numpy()
        found = np.delete(adapted, middle, axis=1).reshape(1, side, side, width)
        np.testing.assert_allclose(
            found, expected.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-5
        )


def test_weights_without_a_last_layer_start_one_anew():
    tensors = {k: v for k, v in published().items() if not k.startswith("fc.")}
    variables = convert("resnet18", tensors)
    assert "fc" not in variables["params"]
    adapted = adapt(variables, model="resnet18", num_outputs=2, in_channels=3)
    assert adapted.fresh == ("params/fc/kernel", "params/fc/bias")
    assert equal(flatten(adapted.variables), flatten(variables))


def test_half_a_last_layer_is_named():
    tensors = published()
    del tensors["fc.bias"]
    with pytest.raises(WeightsError, match=r"missing: '?fc\.bias"):
        convert("resnet18", tensors)
