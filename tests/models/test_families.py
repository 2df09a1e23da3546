"""What holds of every architecture, on one narrow network a family."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import MODELS, make, option_names, stages
from tests.models.families import SMALLEST, image, small, variables

_each = pytest.mark.parametrize("name", SMALLEST)


@functools.cache
def _evaluated(name):
    """Logits and stages in single precision."""
    apply = jax.jit(
        lambda v, x: small(name).apply(v, x, train=False, mutable=["features"])
    )
    return apply(variables(name), image())


@_each
def test_one_output_has_two_axes_and_every_stage_is_shown(name):
    logits, shown = _evaluated(name)
    assert logits.shape == (2, 1)
    assert logits.dtype == jnp.float32
    expected = stages(small(name), image_shape=(2, 40, 56, 3))
    assert {k: a.shape for k, a in shown["features"].items()} == expected
    assert list(expected)[-1] == "pooled"
    assert any(len(shape) == 4 for shape in expected.values())


@_each
def test_every_stage_bears_on_the_logits(name):
    # Grad-CAM needs the gradient with respect to each; zeros start a perturbation.
    shapes = stages(small(name), image_shape=(2, 40, 56, 3))
    zeros = {stage: jnp.zeros(shape) for stage, shape in shapes.items()}

    def score(perturbations):
        given = {**variables(name), "perturbations": perturbations}
        return small(name).apply(given, image(), train=False).sum()

    for stage, gradient in jax.jit(jax.grad(score))(zeros).items():
        assert np.isfinite(gradient).all(), stage
        assert np.abs(gradient).max() > 0, stage


@_each
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_input_channels_is_taken(name, channels):
    init = functools.partial(small(name).init, train=False)
    born = jax.eval_shape(init, jax.random.key(0), jnp.asarray(image(channels)))
    apply = functools.partial(small(name).apply, train=False)
    shape = jax.eval_shape(apply, born, jnp.asarray(image(channels))).shape
    assert shape == (2, 1)
    sizes = [leaf.size for leaf in jax.tree.leaves(born["params"])]
    colour = [leaf.size for leaf in jax.tree.leaves(variables(name)["params"])]
    assert sum(a != b for a, b in zip(sizes, colour, strict=True)) == 1


def _drops(name):
    """The options of a network that leave something out in training."""
    return [o for o in ("dropout", "drop_path") if hasattr(small(name), o)]


def _trained(name, **options):
    """Logits and gradients of training passes with two keys, the first one twice."""
    model = small(name, **options)
    given = variables(name)
    rest = {key: value for key, value in given.items() if key != "params"}

    def objective(params, key):
        logits, _ = model.apply(
            {"params": params, **rest},
            image(),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        return jnp.square(logits).sum(), logits

    step = jax.jit(jax.grad(objective, has_aux=True))
    return [step(given["params"], jax.random.key(seed)) for seed in (0, 0, 1)]


@pytest.mark.slow
@_each
def test_half_precision_trains_with_finite_float32_gradients(name):
    options = dict.fromkeys(_drops(name), 0.5)
    (gradients, first), (_, again), (_, other) = _trained(
        name, dtype="bfloat16", **options
    )
    for leaf in jax.tree.leaves(gradients):
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@_each
def test_half_precision_is_close_to_single(name):
    single = _evaluated(name)[0]
    apply = jax.jit(functools.partial(small(name, dtype="bfloat16").apply, train=False))
    half = apply(variables(name), image())
    assert half.dtype == jnp.float32
    assert 0 < np.abs(half - single).max() < 0.05 * np.abs(single).max()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("drop_path", 1.5),
        ("width", 0),
        ("width", 2.5),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be .*, got {value}"):
        make("convnext_tiny", num_outputs=1, **{option: value})


@pytest.mark.parametrize("name", MODELS)
def test_every_network_takes_the_options_that_a_study_sets(name):
    assert {*option_names(name)} >= {"dropout", "dtype", "width"}
    assert make(name, num_outputs=1, width=None) == make(name, num_outputs=1)


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in SMALLEST for option in _drops(name)]
)
def test_each_drop_acts_in_training_alone(name, option):
    options = dict.fromkeys(_drops(name), 0.0) | {option: 0.5}
    model = small(name, **options)

    def draw(key, *, train):
        return model.apply(
            variables(name),
            image(),
            train=train,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )[0]

    draw = jax.jit(draw, static_argnames="train")
    first, second = (jax.random.key(seed) for seed in (0, 1))
    assert (draw(first, train=True) != draw(second, train=True)).any()
    plain = draw(first, train=False)
    np.testing.assert_array_equal(plain, draw(second, train=False))
    np.testing.assert_allclose(plain, _evaluated(name)[0], rtol=2e-5, atol=1e-6)
