"""The networks against torchvision's, by weights that are functions of their names."""

from __future__ import annotations

import functools
import hashlib
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.models import make
from liverjax.weights import convert, export
from tests.models import parity

# Relative errors allowed, by float type: values, and norms of gradients.
TOLERANCE = {"float32": (2e-5, 1e-3), "float64": (1e-9, 1e-9)}
_PUBLISHED = {"pooled": "features"}
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@functools.cache
def _case(dtype: str) -> types.SimpleNamespace:
    """The small reference's network with three outputs, in one float type."""
    listing = parity.small()["listing"]
    variables = convert("resnet18", parity.tensors(listing))
    return types.SimpleNamespace(
        model=make("resnet18", num_outputs=3),
        variables=jax.tree.map(lambda a: a.astype(dtype), variables),
        listing=listing,
    )


def _objective(model, params, stats, x, target, *, train):
    variables = {"params": params, "batch_stats": stats}
    if not train:
        logits = model.apply(variables, x, train=False)
        return jnp.square(logits - target).mean(), (logits, stats)
    logits, updated = model.apply(variables, x, train=True, mutable=["batch_stats"])
    return jnp.square(logits - target).mean(), (logits, updated["batch_stats"])


def _gradient(model, *, train):
    objective = functools.partial(_objective, model, train=train)
    return jax.jit(jax.value_and_grad(objective, has_aux=True))


def _norms(name, gradient, stats, listing) -> np.ndarray:
    """Norm of each parameter's gradient, in published order."""
    published = export(name, {"params": gradient, "batch_stats": stats})
    return np.array(
        [
            np.linalg.norm(published[entry].ravel().astype(np.float64))
            for entry, _, _ in listing
            if not entry.endswith(_BUFFERS)
        ]
    )


def _close(ours, reference, tolerance) -> bool:
    return bool(np.abs(np.asarray(ours) / np.asarray(reference) - 1).max() < tolerance)


def _check_evaluation(dtype: str) -> None:
    case, reference = _case(dtype), parity.small()["evaluation"]
    x = parity.image(reference["input_shape"]).astype(dtype)
    apply = jax.jit(
        lambda v, x: case.model.apply(v, x, train=False, mutable=["features"])
    )
    logits, shown = apply(case.variables, x)
    assert logits.dtype == dtype
    assert parity.error(logits, np.array(reference["logits"])) < TOLERANCE[dtype][0]
    for stage, x in shown["features"].items():
        expected = reference["stages"][_PUBLISHED.get(stage, stage)]
        x = x if x.ndim == 4 else x[:, None, None]
        difference = parity.corners(x) - np.array(expected["corners"])
        assert np.abs(difference).max() / expected["std"] < TOLERANCE[dtype][0], stage


def _check_training(dtype: str) -> None:
    case, reference = _case(dtype), parity.small()["training"]
    values, gradients = TOLERANCE[dtype]
    params, stats = case.variables["params"], case.variables["batch_stats"]
    x = parity.image(reference["input_shape"]).astype(dtype)
    target = parity.target((len(x), 3)).astype(dtype)
    gradient = _gradient(case.model, train=True)

    (loss, (logits, moved)), found = gradient(params, stats, x, target)
    assert abs(float(loss) / reference["loss"] - 1) < values
    assert parity.error(logits, np.array(reference["logits"])) < values
    published = export("resnet18", {"params": params, "batch_stats": moved})
    for name, expected in reference["statistics"].items():
        assert parity.error(published[name], np.array(expected)) < values, name
    norms = _norms("resnet18", found, stats, case.listing)
    assert _close(norms, reference["norms"], gradients)

    rate = reference["learning_rate"]
    stepped = jax.tree.map(lambda p, g: p - rate * g, params, found)
    (loss, (_, moved)), _ = gradient(stepped, moved, x, target)
    assert abs(float(loss) / reference["loss_after_step"] - 1) < values
    after = jax.jit(lambda v, x: case.model.apply(v, x, train=False))(
        {"params": stepped, "batch_stats": moved}, x
    )
    assert parity.error(after, np.array(reference["evaluation_after"])) < values


def _check_gradients(dtype: str) -> None:
    case, reference = _case(dtype), parity.small()["gradients"]
    x = parity.image(reference["input_shape"]).astype(dtype)
    target = parity.target((1, 3)).astype(dtype)
    params, stats = case.variables["params"], case.variables["batch_stats"]
    (loss, _), found = _gradient(case.model, train=False)(params, stats, x, target)
    values, gradients = TOLERANCE[dtype]
    assert abs(float(loss) / reference["loss"] - 1) < values
    norms = _norms("resnet18", found, stats, case.listing)
    assert _close(norms, reference["norms"], gradients)
    names = [
        e for e, _, _ in case.listing if not e.endswith(("mean", "var", "tracked"))
    ]
    for block, expected in reference["block_norms"].items():
        inside = [n for n, e in zip(norms, names, strict=True) if e.startswith(block)]
        assert _close(np.linalg.norm(inside), expected, gradients), block


def test_the_rebuilt_weights_are_the_references_bit_by_bit():
    digest = hashlib.sha256()
    for value in parity.tensors(parity.small()["listing"]).values():
        digest.update(value.astype(value.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest() == parity.small()["weights_sha256"]


def test_logits_and_stages_are_torchvisions():
    _check_evaluation("float32")


def test_training_statistics_gradients_and_one_step_are_torchvisions():
    _check_training("float32")


@pytest.mark.slow
def test_evaluation_gradients_are_torchvisions():
    _check_gradients("float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", [_check_evaluation, _check_gradients, _check_training]
)
def test_everything_agrees_in_double_precision(check):
    with jax.enable_x64(True):
        check("float64")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet152"])
def test_each_run_of_the_shared_references_is_reproduced(shared, name):
    folder = shared / "parity"
    description = json.loads((folder / f"{name}.json").read_text())
    arrays = np.load(folder / f"{name}.npz")
    variants = {v["name"]: v for v in description["variants"]}
    runs = description["runs"]
    # The published 1000 classes too, where a compiled shape costs only seconds.
    for run in (runs[0], runs[-1]) if name == "resnet18" else runs[:1]:
        variant = variants[run["variant"]]
        model = make(name, num_outputs=variant["num_classes"])
        tensors = parity.tensors(variant["state_dict"], gain=description["gain"])
        apply = jax.jit(
            lambda v, x, model=model: model.apply(
                v, x, train=False, mutable=["features"]
            )
        )
        logits, shown = apply(convert(name, tensors), parity.image(run["input_shape"]))
        assert parity.error(logits, arrays[run["logits"]]) < TOLERANCE["float32"][0]
        for stage in run.get("intermediates", ()):
            mine = {_PUBLISHED.get(k, k): v for k, v in shown["features"].items()}
            x = mine[stage["name"]]
            x = x if x.ndim == 4 else x[:, None, None]
            difference = np.abs(parity.corners(x) - arrays[stage["slice"]]).max()
            assert difference / stage["std"] < TOLERANCE["float32"][0], stage["name"]
