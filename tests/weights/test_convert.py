from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from liverjax.models import MODELS, make
from liverjax.weights import FAMILIES, WeightsError, convert, export
from liverjax.weights.naming import flatten
from tests.models import parity
from tests.weights.published import equal, published


@pytest.mark.parametrize("name", FAMILIES)
def test_converted_variables_are_those_the_model_has(name):
    image = np.zeros((1, 32, 32, 3), np.float32)
    model = make(name, num_outputs=5, width=4)
    born = jax.eval_shape(
        lambda key: model.init(key, image, train=False), jax.random.key(0)
    )
    expected = {
        "/".join(key.key for key in path): (leaf.shape, leaf.dtype)
        for path, leaf in jax.tree_util.tree_flatten_with_path(born)[0]
    }
    flat = flatten(convert(name, published(name)))
    assert {key: (a.shape, a.dtype) for key, a in flat.items()} == expected


def test_every_model_has_a_naming_table():
    assert set(FAMILIES) == set(MODELS)


_SCHEMES = [(name, scheme) for name in FAMILIES for scheme in FAMILIES[name].tables]


@pytest.mark.parametrize(("name", "scheme"), _SCHEMES)
def test_export_gives_back_every_bit_in_published_order(name, scheme):
    tensors = published(name, scheme=scheme)
    assert equal(export(name, convert(name, tensors), scheme=scheme), tensors)


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if len(f.tables) > 1])
def test_schemes_of_one_network_give_equal_variables(name):
    variables = convert(name, published(name))
    for scheme in FAMILIES[name].tables:
        again = convert(name, export(name, variables, scheme=scheme))
        assert equal(flatten(again), flatten(variables))


def test_the_published_order_is_torchvisions():
    listing = parity.small()["listing"]
    tensors = published("resnet18", width=64, num_outputs=3)
    found = [[key, list(a.shape), str(a.dtype)] for key, a in tensors.items()]
    assert found == listing


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet152"])
def test_listings_of_the_shared_references_are_reproduced(shared, name):
    description = json.loads((shared / "parity" / f"{name}.json").read_text())
    for variant in description["variants"]:
        outputs = variant["num_classes"]
        tensors = published(name, width=64, num_outputs=outputs)
        found = [[key, list(a.shape), str(a.dtype)] for key, a in tensors.items()]
        assert found == variant["state_dict"]


def test_a_kernel_keeps_its_place_when_axes_change():
    tensors = published()
    kernel = convert("resnet18", tensors)["params"]["layer2_0"]["conv1"]["kernel"]
    weight = tensors["layer2.0.conv1.weight"]
    assert kernel.shape == (3, 3, 4, 8)
    assert kernel[0, 2, 3, 7] == weight[7, 3, 0, 2]


def test_counters_are_neither_needed_nor_in_the_way():
    tensors = published()
    without = {k: v for k, v in tensors.items() if not k.endswith("tracked")}
    assert len(without) < len(tensors)
    with_them = flatten(convert("resnet18", tensors))
    assert equal(flatten(convert("resnet18", without)), with_them)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.net."]
)
def test_what_training_tools_put_before_all_names_is_taken_off(prefix):
    tensors = published()
    prefixed = {f"{prefix}{key}": value for key, value in tensors.items()}
    converted = flatten(convert("resnet18", tensors))
    assert equal(flatten(convert("resnet18", prefixed)), converted)


def test_half_precision_files_become_float32():
    tensors = {
        key: value.astype(np.float16) if value.dtype == np.float32 else value
        for key, value in published().items()
    }
    kernel = convert("resnet18", tensors)["params"]["fc"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, tensors["fc.weight"].T.astype(np.float32))


def _without(tensors):
    del tensors["layer3.1.bn2.running_var"]


def _with_more(tensors):
    tensors["layer3.1.se.weight"] = np.zeros(3, np.float32)


def _misshapen(tensors):
    tensors["layer1.0.conv1.weight"] = np.zeros((4, 4, 1, 1), np.float32)


def _without_axes(tensors):
    tensors["conv1.weight"] = np.zeros(3, np.float32)


def _of_integers(tensors):
    tensors["bn1.weight"] = tensors["bn1.weight"].astype(np.int32)


def _not_finite(tensors):
    tensors["fc.bias"][0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without, r"missing: layer3\.1\.bn2\.running_var"),
        (_with_more, r"surplus: layer3\.1\.se\.weight"),
        (_misshapen, r"layer1\.0\.conv1\.weight has shape .*expected \(4, 4, 3, 3\)"),
        (_without_axes, r"conv1\.weight has shape \(3,\), expected 4 axes"),
        (_of_integers, r"bn1\.weight is int32, expected floats"),
        (_not_finite, r"fc\.bias has values that are not finite"),
    ],
)
def test_an_unfit_tensor_is_named(spoil, message):
    tensors = published()
    spoil(tensors)
    with pytest.raises(WeightsError, match=message):
        convert("resnet18", tensors)


def test_all_faults_are_named_at_once():
    tensors = published()
    _without(tensors)
    _with_more(tensors)
    with pytest.raises(WeightsError, match=r"missing: .*; surplus: "):
        convert("resnet18", tensors)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(WeightsError, match=r"weights of resnet50: missing"):
        convert("resnet50", published("resnet18"))
    with pytest.raises(WeightsError, match="not weights of resnet18"):
        convert("resnet18", {"stem.weight": np.zeros((4, 3, 7, 7), np.float32)})
    with pytest.raises(WeightsError, match=r"no naming table .*known are .*resnet18"):
        convert("vgg18", published())


def test_export_names_variables_that_are_missing_or_not_known():
    variables = convert("resnet18", published())
    del variables["batch_stats"]["bn1"]["mean"]
    variables["params"]["extra"] = np.zeros(1, np.float32)
    wanted = r"missing: batch_stats/bn1/mean; not known: params/extra"
    with pytest.raises(WeightsError, match=wanted):
        export("resnet18", variables)


def test_a_file_of_another_network_is_told_by_its_names():
    with pytest.raises(WeightsError, match=r"; the names are those of resnet18$"):
        convert("resnet50", published("resnet18"))
    several = r"; the names are those of vim_base or vim_small or vim_tiny$"
    with pytest.raises(WeightsError, match=several):
        convert("lfs", published("vim_tiny"))


def test_export_refuses_a_scheme_it_does_not_know():
    variables = convert("resnet18", published())
    with pytest.raises(WeightsError, match="known: timm, torchvision"):
        export("resnet18", variables, scheme="keras")
