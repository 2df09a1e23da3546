from __future__ import annotations

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models.layers.selective_scan import FASTEST, FORMS, selective_scan
from tests.models import parity

_CHANNELS_LAST = ("u", "delta", "B", "C", "z")
_OURS = {
    "u": "u",
    "delta": "step",
    "B": "b",
    "C": "c",
    "D": "skip",
    "z": "gate",
    "delta_bias": "step_bias",
}
# Relative to the largest value: outputs and states, and gradients.
_TOLERANCE = {"float32": (2e-6, 1e-5), "float64": (1e-12, 1e-11)}
_CASES = (
    "plain",
    "vim",
    "medmamba",
    "mambavision",
    "length_one",
    "strong_decay",
    "long_memory",
)


def _moved(name: str, x):
    """Between the reference's order of axes, time last, and ours."""
    return jnp.moveaxis(x, -1, 1) if name in _CHANNELS_LAST else x


def _reference(shared, name):
    folder = shared / "parity"
    cases = json.loads((folder / "selective_scan.json").read_text())["cases"]
    arrays = np.load(folder / "selective_scan.npz")
    case = next(case for case in cases if case["name"] == name)
    means = {"D": (1.0, 0.1), "delta": case["delta"], "delta_bias": case["bias"]}
    inputs = {}
    for key, shape in case["inputs"].items():
        full = f"scan/{name}/{'.' if key == 'A_log' else ''}{key}"
        inputs[key] = (
            parity.tensor(full, tuple(shape), "float32", 1.0)
            if key == "A_log"
            else parity.affine(full, tuple(shape), *means.get(key, (0.0, 1.0)))
        )
    expected = {key: arrays[f"{name}/{key}"] for key in case["outputs"]}
    return inputs, case["softplus"], expected


def _check(shared, name, form, dtype):
    inputs, softplus, expected = _reference(shared, name)

    def scanned(inputs):
        moved = {
            _OURS[key]: _moved(key, x) for key, x in inputs.items() if key != "A_log"
        }
        return selective_scan(
            moved.pop("u"),
            a=-jnp.exp(inputs["A_log"]),
            softplus=softplus,
            form=form,
            chunk=19,
            **moved,
        )

    with jax.enable_x64(dtype == "float64"):
        inputs = {key: jnp.asarray(x, dtype) for key, x in inputs.items()}
        out = expected["out"]
        cotangent = parity.draws(f"scan/{name}/cotangent", out.shape)
        cotangent = cotangent.astype(np.float32).swapaxes(1, 2).astype(dtype)

        @jax.jit
        def everything(inputs):
            (y, last), pullback = jax.vjp(scanned, inputs)
            return y, last, pullback((jnp.asarray(cotangent), jnp.zeros_like(last)))[0]

        y, last, gradients = everything(inputs)
    assert y.dtype == last.dtype == dtype
    values, slopes = _TOLERANCE[dtype]
    assert parity.error(y.swapaxes(1, 2), out) < values
    assert parity.error(last, expected["last_state"]) < values
    for key, gradient in gradients.items():
        # A single step has no gradient with respect to the rates.
        scale = np.abs(expected[f"grad_{key}"]).max() or 1.0
        difference = np.abs(np.asarray(gradient) - expected[f"grad_{key}"]).max()
        assert difference < slopes * scale, key


@pytest.mark.parametrize("name", _CASES)
def test_values_states_and_gradients_are_the_references(shared, name):
    _check(shared, name, "chunked_steps", "float32")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", _CASES)
def test_each_form_agrees_in_double_precision(shared, name, form):
    _check(shared, name, form, "float64")


def _problem(length, *, batch=2, channels=6, states=4, groups=2, dtype=jnp.float32):
    rng = np.random.default_rng(length)

    def normal(*shape):
        return jnp.asarray(rng.standard_normal(shape), dtype)

    rates = jnp.broadcast_to(jnp.linspace(0, 3, states), (channels, states))
    return {
        "u": normal(batch, length, channels),
        "step": normal(batch, length, channels) - 4,
        "a": -jnp.exp(rates + normal(channels, states) / 10),
        "b": normal(batch, length, groups, states),
        "c": normal(batch, length, groups, states),
        "skip": normal(channels),
        "gate": normal(batch, length, channels),
        "step_bias": normal(channels) / 10,
    }


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def _judged(problem, form, chunk=64):
    """Outputs, states and the gradient of a sum that sees both."""

    def loss(problem):
        y, last = selective_scan(**problem, form=form, chunk=chunk)
        return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum() + last.sum(), (
            y,
            last,
        )

    return jax.grad(loss, has_aux=True)(problem)


def _difference(ours, oracle) -> float:
    """Largest, relative to the largest value of the array; zeros count absolutely."""
    return max(
        float(np.abs(a - b).max() / (np.abs(b).max() or 1.0))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(oracle), strict=True)
    )


def test_a_cpu_takes_the_form_written_down_for_it():
    problem = _problem(65)
    by_default, asked = _judged(problem, None), _judged(problem, FASTEST["cpu"])
    for a, b in zip(jax.tree.leaves(by_default), jax.tree.leaves(asked), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("length", [1, 65, 197])
def test_every_form_is_the_sequential_one(length, form):
    problem = _problem(length)
    assert _difference(_judged(problem, form), _judged(problem, "sequential")) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[2:])
@pytest.mark.parametrize("length", [196, 257, 784, 1009, 3136])
def test_every_form_is_the_sequential_one_at_length(length, form):
    problem = _problem(length, channels=32, states=16, groups=4)
    assert _difference(_judged(problem, form), _judged(problem, "sequential")) < 1e-5


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_the_length_of_a_chunk_changes_nothing(chunk):
    problem = _problem(50)
    found = _judged(problem, "chunked_steps", chunk)
    assert _difference(found, _judged(problem, "sequential")) < 1e-5


def test_two_steps_by_hand():
    y, last = selective_scan(
        jnp.array([[[1.0], [3.0]]]),
        step=jnp.array([[[0.5], [1.0]]]),
        a=jnp.array([[-np.log(2)]]),
        b=jnp.array([[[2.0], [1.0]]]),
        c=jnp.array([[[1.0], [10.0]]]),
        skip=jnp.array([100.0]),
        softplus=False,
    )
    # States: 0.5 * 2 * 1 = 1, then 1 / 2 + 1 * 1 * 3 = 3.5.
    np.testing.assert_allclose(y[0, :, 0], [101, 335], rtol=1e-6)
    np.testing.assert_allclose(last, [[[3.5]]], rtol=1e-6)


def test_half_precision_is_computed_in_single():
    problem = {k: jnp.asarray(v, jnp.bfloat16) for k, v in _problem(197).items()}
    wide = {k: v.astype(jnp.float32) for k, v in problem.items()}
    y, last = selective_scan(**problem)
    expected, states = selective_scan(**wide)
    assert (y.dtype, last.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_array_equal(y, expected.astype(jnp.bfloat16))
    np.testing.assert_array_equal(last, states)


def test_a_step_sees_no_later_one():
    problem = _problem(50)
    changed = {**problem, "u": problem["u"].at[:, 30:].add(1)}
    y, other = (selective_scan(**p)[0] for p in (problem, changed))
    np.testing.assert_array_equal(y[:, :30], other[:, :30])
    assert (y[:, 30:] != other[:, 30:]).any()


def _gradient_bytes(form, length) -> int:
    problem = _problem(length, channels=64, states=16, groups=1)
    compiled = _judged.lower(problem, form=form).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_of_the_chunked_gradient_does_not_grow_with_states_times_length():
    states = 4 * 2 * 64 * 16  # bytes of all states after one step
    growth = _gradient_bytes("chunked_steps", 2048) - _gradient_bytes(
        "chunked_steps", 1024
    )
    of_oracle = _gradient_bytes("sequential", 2048) - _gradient_bytes(
        "sequential", 1024
    )
    assert of_oracle > 1024 * states
    assert growth < 1024 * states


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "fast"}, r"unknown form 'fast'; known are sequential"),
        ({"chunk": 0}, "at least 1"),
        (dict.fromkeys("bc", jnp.zeros((2, 5, 4, 4))), "do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        selective_scan(**{**_problem(5), **changes})
