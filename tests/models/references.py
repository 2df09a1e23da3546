"""Networks against the shared references: outputs of the published PyTorch code.

A reference is a pair of files, ``NAME.json`` and ``NAME.npz``; what is in them is told
in the README beside them. A family's test lists its references and calls these checks.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from liverjax.models import make
from liverjax.weights import FAMILIES, convert, export
from liverjax.weights.naming import flatten
from tests.models import parity

MOST_BYTES = 6 * 2**30  # that the gradient of any reference may need
# Relative errors allowed, by float type: values, and norms of gradients.
TOLERANCE = {"float32": (2e-5, 1e-3), "float64": (1e-9, 1e-9)}
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclasses.dataclass(frozen=True)
class Reference:
    """One published network under one naming scheme.

    Attributes:
        file: Name of the pair of files.
        model: Our name of the network.
        scheme: Our name of the naming scheme.
        stages: Our names of stages by the published names of intermediates.
        options: Of the model, besides the published ones.
    """

    file: str
    model: str
    scheme: str
    stages: Mapping[str, str]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.file)


def description(shared: pathlib.Path, reference: Reference) -> dict[str, Any]:
    """What the reference's JSON file says."""
    return json.loads((shared / "parity" / f"{reference.file}.json").read_text())


def _arrays(shared: pathlib.Path, reference: Reference) -> Mapping[str, np.ndarray]:
    return np.load(shared / "parity" / f"{reference.file}.npz")


@functools.lru_cache(maxsize=1)
def _tensors(
    shared: pathlib.Path, reference: Reference, variant: str
) -> dict[str, np.ndarray]:
    """The published tensors, one variant's at a time: some are half a gigabyte."""
    about = description(shared, reference)
    listing = next(v for v in about["variants"] if v["name"] == variant)["state_dict"]
    return parity.tensors(listing, gain=about["gain"])


@functools.lru_cache(maxsize=4)
def _programs(name: str, outputs: int, options: tuple[tuple[str, Any], ...]) -> Any:
    """Compiled evaluation and gradient of a network, for any of its references."""
    model = make(name, num_outputs=outputs, **dict(options))

    def evaluate(variables, x):
        return model.apply(variables, x, train=False, mutable=["features"])

    def objective(params, rest, x, target):
        logits = model.apply({"params": params, **rest}, x, train=False)
        return jnp.square(logits - target).mean()

    # One run is all the gradient gets: compiling takes longer than running.
    fast = {"xla_backend_optimization_level": 0}
    gradient = jax.jit(jax.value_and_grad(objective), compiler_options=fast)
    return jax.jit(evaluate), gradient


def _prepared(shared, reference, variant, dtype):
    about = description(shared, reference)
    outputs = next(v for v in about["variants"] if v["name"] == variant)["num_classes"]
    variables = convert(reference.model, _tensors(shared, reference, variant))
    variables = jax.tree.map(lambda a: a.astype(dtype), variables)
    options = tuple(sorted(reference.options.items()))
    return variables, *_programs(reference.model, outputs, options)


def check_run(
    shared: pathlib.Path, reference: Reference, run_name: str, dtype: str = "float32"
) -> None:
    """Asserts logits, and intermediates where the run has them."""
    with jax.enable_x64(dtype == "float64"):
        about, arrays = description(shared, reference), _arrays(shared, reference)
        run = next(r for r in about["runs"] if r["name"] == run_name)
        prepared = _prepared(shared, reference, run["variant"], dtype)
        variables, evaluate, _ = prepared
        image = parity.image(run["input_shape"]).astype(dtype)
        logits, shown = evaluate(variables, image)
        assert logits.dtype == dtype
        error = parity.error(logits, arrays[run["logits"]])
        assert error < TOLERANCE[dtype][0], error
        compared = 0
        for stage in run.get("intermediates", ()):
            if stage["name"] not in reference.stages:
                continue
            expected = arrays[stage["slice"]]
            x = np.asarray(shown["features"][reference.stages[stage["name"]]])
            x = x.reshape(stage["compared_shape"])
            error = np.abs(parity.corners(x) - expected).max() / stage["std"]
            assert error < TOLERANCE[dtype][0], (stage["name"], error)
            moments = (x.mean() - stage["mean"], x.std() - stage["std"])
            assert np.abs(moments).max() / stage["std"] < TOLERANCE[dtype][0]
            compared += 1
        assert compared == (len(reference.stages) if "intermediates" in run else 0)


def check_gradients(
    shared: pathlib.Path,
    reference: Reference,
    dtype: str = "float32",
    *,
    tolerance: float | None = None,
) -> None:
    """Asserts loss, memory and norm of each parameter's gradient, evaluation mode."""
    with jax.enable_x64(dtype == "float64"):
        about, arrays = description(shared, reference), _arrays(shared, reference)
        expected = about["gradients"]
        variant = expected["variant"]
        variables, _, gradient = _prepared(shared, reference, variant, dtype)
        image = parity.image(expected["input_shape"]).astype(dtype)
        target = parity.target((len(image), 3)).astype(dtype)
        rest = {key: value for key, value in variables.items() if key != "params"}
        compiled = gradient.lower(variables["params"], rest, image, target).compile()
        needs = compiled.memory_analysis()
        peak = needs.temp_size_in_bytes + needs.output_size_in_bytes
        assert peak + needs.argument_size_in_bytes < MOST_BYTES
        loss, found = compiled(variables["params"], rest, image, target)
        values, gradients = TOLERANCE[dtype]
        assert abs(float(loss) / expected["loss_value"] - 1) < values
        published = export(
            reference.model, {"params": found, **rest}, scheme=reference.scheme
        )
        norms = np.array(
            [
                np.linalg.norm(value.ravel().astype(np.float64))
                for name, value in published.items()
                if not name.endswith(_BUFFERS)
            ]
        )
        error = np.abs(norms / arrays["gradient_norms"] - 1).max()
        assert error < (tolerance or gradients), error


def check_listing(shared: pathlib.Path, reference: Reference) -> None:
    """Asserts that our tables give the published names, shapes and order.

    And that parameters are as many as the reference's, without any memory for them.
    """
    for variant in description(shared, reference)["variants"]:
        outputs = variant["num_classes"]
        model = make(reference.model, num_outputs=outputs, **reference.options)
        side = reference.options.get("image_size", 224)
        image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
        born = jax.eval_shape(
            functools.partial(model.init, train=False), jax.random.key(0), image
        )
        count = sum(leaf.size for leaf in jax.tree.leaves(born["params"]))
        assert count == variant["parameters"]
        # Shapes alone, without memory.
        zeros = jax.tree.map(
            lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), born
        )
        exported = export(reference.model, zeros, scheme=reference.scheme)
        found = [[key, list(a.shape), str(a.dtype)] for key, a in exported.items()]
        assert found == variant["state_dict"]


def check_round_trip(
    shared: pathlib.Path, reference: Reference, variant: str = "classes3"
) -> None:
    """Asserts the checksum of the tensors, and that export returns their bits.

    By way of each other scheme of the family, whose variables must be equal.
    """
    about = description(shared, reference)
    expected = next(v for v in about["variants"] if v["name"] == variant)
    tensors, digest = _tensors(shared, reference, variant), hashlib.sha256()
    for value in tensors.values():
        digest.update(value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes())
    assert digest.hexdigest() == expected["weights_sha256"]
    variables = convert(reference.model, tensors)
    flat = flatten(variables)
    for scheme in FAMILIES[reference.model].tables:
        exported = export(reference.model, variables, scheme=scheme)
        if scheme == reference.scheme:
            assert list(exported) == list(tensors)
            assert all(np.array_equal(exported[key], tensors[key]) for key in tensors)
        again = flatten(convert(reference.model, exported))
        assert list(again) == list(flat)
        assert all(np.array_equal(again[key], flat[key]) for key in flat)
