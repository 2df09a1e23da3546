from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import MODELS, make, option_names
from liverjax.models.resnet import ResNet

_IMAGE = np.random.default_rng(0).standard_normal((2, 40, 48, 3)).astype(np.float32)


def _small(**options) -> ResNet:
    """One block a stage, eight channels: what is tested does not depend on depth."""
    return ResNet(num_outputs=1, width=8, depths=(1, 1, 1, 1), **options)


def _shapes(model):
    return jax.eval_shape(
        lambda key: model.init(key, _IMAGE, train=False), jax.random.key(0)
    )


@functools.cache
def _trained():
    """Variables without a compiled start, as far from trivial as trained ones."""
    rng = np.random.default_rng(1)

    def leaf(path, born):
        n = rng.standard_normal(born.shape).astype(np.float32)
        if path[-1].key == "kernel":
            return n / np.float32(np.sqrt(np.prod(born.shape[:-1])))
        return 1 + np.abs(n) / 10 if path[-1].key in ("scale", "var") else n / 10

    return jax.tree_util.tree_map_with_path(leaf, _shapes(_small()))


def _apply(model, variables, **options):
    apply = jax.jit(lambda v, x: model.apply(v, x, train=False, **options))
    return apply(variables, _IMAGE)


def test_one_output_still_has_two_axes():
    model, variables = _small(), _trained()
    assert _apply(model, variables).shape == (2, 1)


def test_variables_are_float32_parameters_and_statistics_alone():
    born = _shapes(_small(dtype="bfloat16"))
    assert set(born) == {"params", "batch_stats"}
    assert {a.dtype for a in jax.tree.leaves(born)} == {jnp.dtype("float32")}


def test_half_precision_has_float32_outputs_close_to_those_of_single():
    half = _small(dtype="bfloat16")
    logits, shown = _apply(half, _trained(), mutable=["features"])
    single = _apply(_small(), _trained())
    # Measured 0.3 % here, 0.19 % at full width with the parity weights.
    assert 0 < np.abs(logits - single).max() < 0.01 * np.abs(single).max()
    assert logits.dtype == jnp.float32
    assert shown["features"]["layer2"].dtype == jnp.bfloat16
    assert shown["features"]["pooled"].dtype == jnp.float32


def test_every_stage_is_shown_when_asked_for():
    model, variables = _small(), _trained()
    shown = _apply(model, variables, mutable=["features"])[1]["features"]
    stages = ("stem", "layer1", "layer2", "layer3", "layer4", "pooled")
    assert set(shown) == set(stages)
    shapes = [shown[stage].shape for stage in stages]
    assert shapes == [
        (2, 10, 12, 8),
        (2, 10, 12, 8),
        (2, 5, 6, 16),
        (2, 3, 3, 32),
        (2, 2, 2, 64),
        (2, 64),
    ]


def test_gradient_of_a_stage_comes_from_its_perturbation_alone():
    model, variables = _small(), _trained()

    def logits(pooled):
        perturbed = {**variables, "perturbations": {"pooled": pooled}}
        return model.apply(perturbed, _IMAGE, train=False).sum()

    gradient = jax.jit(jax.grad(logits))(jnp.zeros((2, 64)))
    kernel = np.asarray(variables["params"]["fc"]["kernel"])[:, 0]
    np.testing.assert_allclose(gradient, np.stack([kernel, kernel]), rtol=1e-6)


def test_a_perturbation_is_added_to_its_stage():
    model, variables = _small(), _trained()
    perturbations = {"layer2": jnp.full((2, 5, 6, 16), 0.5)}
    plain = _apply(model, variables, mutable=["features"])[1]["features"]
    moved = _apply(
        model, {**variables, "perturbations": perturbations}, mutable=["features"]
    )[1]["features"]
    np.testing.assert_array_equal(plain["layer2"], moved["layer2"])  # shown before
    assert np.abs(plain["layer3"] - moved["layer3"]).max() > 1e-3


def test_training_moves_the_statistics_and_evaluation_does_not():
    model, variables = _small(), _trained()
    moved = jax.jit(
        lambda v: model.apply(v, _IMAGE, train=True, mutable=["batch_stats"])[1]
    )(variables)["batch_stats"]
    before = variables["batch_stats"]
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before, moved)
    assert all(jax.tree.leaves(changed))


def test_dropout_acts_in_training_only():
    model, plain, variables = _small(dropout=0.5), _small(), _trained()
    np.testing.assert_array_equal(_apply(model, variables), _apply(plain, variables))
    train = jax.jit(
        lambda key: model.apply(
            variables,
            _IMAGE,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )[0]
    )
    first, again, other = (train(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_jitted_equals_unjitted():
    model, variables = _small(), _trained()
    plain = model.apply(variables, _IMAGE, train=False)
    np.testing.assert_allclose(_apply(model, variables), plain, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # torchvision's counts for 1000 classes; 101 and 152 stand in its documentation.
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
    ],
)
def test_parameters_are_as_many_as_published(name, parameters):
    born = _shapes(make(name, num_outputs=1000))
    assert sum(a.size for a in jax.tree.leaves(born["params"])) == parameters


def test_initial_weights_are_torchvisions_kind():
    model = ResNet(num_outputs=1, width=64, depths=(1,))
    init = jax.jit(lambda key: model.init(key, _IMAGE, train=False)["params"])
    params = init(jax.random.key(0))
    kernel = np.asarray(params["layer1_0"]["conv2"]["kernel"])
    head = np.asarray(params["fc"]["kernel"])
    assert abs(kernel.std() / np.sqrt(2 / (9 * 64)) - 1) < 0.02
    assert 0.9 < np.abs(head).max() * np.sqrt(64) <= 1
    assert not np.asarray(params["fc"]["bias"]).any()


def test_unknown_models_and_options_name_the_known_ones():
    with pytest.raises(ValueError, match=r"resnet19.*known are .*resnet18, resnet34"):
        make("resnet19", num_outputs=1)
    with pytest.raises(ValueError, match=r"no option 'widht'.*dropout, dtype, width"):
        make("resnet18", num_outputs=1, widht=16)
    with pytest.raises(ValueError, match="num_outputs must be at least 1"):
        make("resnet18", num_outputs=0)


def test_what_makes_an_architecture_is_no_option():
    for name in MODELS:
        assert {*option_names(name)} >= {"dropout", "dtype", "width"}, name
    with pytest.raises(ValueError, match="no option 'depths'"):
        make("resnet18", num_outputs=1, depths=(1, 1, 1, 1))
