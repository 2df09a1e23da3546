from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import MODELS, make, option_names
from liverjax.models.resnet import STAGES

_IMAGE = np.random.default_rng(0).standard_normal((2, 40, 48, 3)).astype(np.float32)


@functools.cache
def _initial():
    model = make("resnet18", num_outputs=1, width=8)
    init = jax.jit(lambda key: model.init(key, _IMAGE, train=False))
    return init(jax.random.key(0))


def _born(**options):
    """A narrow network and its initial variables, which no option changes."""
    return make("resnet18", num_outputs=1, width=8, **options), _initial()


@functools.cache
def _trained():
    """Variables with statistics and scales that are not the initial ones."""
    variables = _born()[1]
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda a: a + 0.1 * np.abs(rng.standard_normal(a.shape)).astype(np.float32),
        variables,
    )


def _apply(model, variables, **options):
    apply = jax.jit(lambda v, x: model.apply(v, x, train=False, **options))
    return apply(variables, _IMAGE)


def test_one_output_still_has_two_axes():
    model, variables = _born()
    assert _apply(model, variables).shape == (2, 1)


def test_variables_are_parameters_and_statistics_alone():
    assert set(_born()[1]) == {"params", "batch_stats"}


def test_half_precision_keeps_float32_variables_and_outputs():
    model, variables = _born(dtype="bfloat16")
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    logits, shown = _apply(model, variables, mutable=["features"])
    assert logits.dtype == jnp.float32
    assert shown["features"]["layer2"].dtype == jnp.bfloat16
    assert shown["features"]["pooled"].dtype == jnp.float32


def test_half_precision_moves_logits_by_less_than_three_percent():
    # Measured 0.7 % with these weights; eight bits of mantissa a layer.
    single = _apply(_born()[0], _trained())
    half = _apply(_born(dtype="bfloat16")[0], _trained())
    assert 0 < np.abs(half - single).max() < 0.03 * np.abs(single).max()


def test_every_stage_is_shown_when_asked_for():
    model, variables = _born()
    shown = _apply(model, variables, mutable=["features"])[1]["features"]
    assert set(shown) == set(STAGES)
    shapes = [shown[stage].shape for stage in STAGES]
    assert shapes == [
        (2, 10, 12, 8),
        (2, 10, 12, 8),
        (2, 5, 6, 16),
        (2, 3, 3, 32),
        (2, 2, 2, 64),
        (2, 64),
    ]


def test_gradient_of_a_stage_comes_from_its_perturbation_alone():
    model, variables = _born()[0], _trained()

    def logits(pooled):
        perturbed = {**variables, "perturbations": {"pooled": pooled}}
        return model.apply(perturbed, _IMAGE, train=False).sum()

    gradient = jax.jit(jax.grad(logits))(jnp.zeros((2, 64)))
    kernel = np.asarray(variables["params"]["fc"]["kernel"])[:, 0]
    np.testing.assert_allclose(gradient, np.stack([kernel, kernel]), rtol=1e-6)


def test_a_perturbation_is_added_to_its_stage():
    model, variables = _born()[0], _trained()
    perturbations = {"layer2": jnp.full((2, 5, 6, 16), 0.5)}
    plain = _apply(model, variables, mutable=["features"])[1]["features"]
    moved = _apply(
        model, {**variables, "perturbations": perturbations}, mutable=["features"]
    )[1]["features"]
    np.testing.assert_array_equal(plain["layer2"], moved["layer2"])  # shown before
    assert np.abs(plain["layer3"] - moved["layer3"]).max() > 1e-3


def test_training_moves_the_statistics_and_evaluation_does_not():
    model, variables = _born()
    moved = jax.jit(
        lambda v: model.apply(v, _IMAGE, train=True, mutable=["batch_stats"])[1]
    )(variables)["batch_stats"]
    before = variables["batch_stats"]
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), before, moved)
    assert all(jax.tree.leaves(changed))


def test_dropout_acts_in_training_only():
    model, variables = _born(dropout=0.5)
    plain = _born()[0]
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
    model, variables = _born()[0], _trained()
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
    model = make(name, num_outputs=1000)
    born = jax.eval_shape(
        lambda key: model.init(key, _IMAGE, train=False), jax.random.key(0)
    )
    assert sum(a.size for a in jax.tree.leaves(born["params"])) == parameters


def test_initial_weights_are_torchvisions_kind():
    params = _initial()["params"]
    kernel = np.asarray(params["layer4_1"]["conv2"]["kernel"])
    head = np.asarray(params["fc"]["kernel"])
    assert abs(kernel.std() / np.sqrt(2 / (9 * 64)) - 1) < 0.02
    assert 0.9 < np.abs(head).max() * np.sqrt(64) <= 1
    assert not np.asarray(params["fc"]["bias"]).any()


def test_unknown_models_and_options_name_the_known_ones():
    with pytest.raises(ValueError, match=r"resnet19.*known are resnet18, resnet34"):
        make("resnet19", num_outputs=1)
    with pytest.raises(ValueError, match=r"no option 'widht'.*width, dtype, dropout"):
        make("resnet18", num_outputs=1, widht=16)
    with pytest.raises(ValueError, match="num_outputs must be at least 1"):
        make("resnet18", num_outputs=0)


def test_what_makes_an_architecture_is_no_option():
    for name in MODELS:
        assert option_names(name) == ("width", "dtype", "dropout")
    with pytest.raises(ValueError, match="no option 'depths'"):
        make("resnet18", num_outputs=1, depths=(1, 1, 1, 1))
