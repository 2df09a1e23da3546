"""Networks against timm's, of random weights that are converted and exported.

What the stored references cannot show: other sizes, one input channel, statistics after
a step of training, and that PyTorch takes an exported file without a complaint.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from liverjax.models import make, option_names
from liverjax.weights import convert, export
from tests.models import parity

SIZE_PX = (97, 129)  # no multiple of any stride
NUM_OUTPUTS = 5
TIMM = {
    "convnext_tiny": ("timm", "convnext_tiny"),
    "mobilenet_v3_small_timm": ("timm", "mobilenetv3_small_100"),
    "pvt_v2_b0": ("timm", "pvt_v2_b0"),
    "resnet18": ("torchvision", "resnet18"),
    "vgg16_bn": ("timm", "vgg16_bn"),
}
"""Scheme and timm's name of the smallest network of each family."""


def _network(name: str, *, channels: int) -> Any:
    """timm's network in double precision, of random weights and statistics."""
    import timm
    import torch

    network = timm.create_model(
        TIMM[name][1], num_classes=NUM_OUTPUTS, in_chans=channels
    )
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                drawn = parity.tensor(key, tuple(value.shape), "float32", 1.4)
                value.copy_(torch.from_numpy(drawn))
    return network.double().eval()


def _image(*, channels: int) -> np.ndarray:
    return parity.draws("image", (3, *SIZE_PX, channels))


def _as_torch(image: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))


def _tensors(network: Any) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in network.state_dict().items()}


def _double(variables: Any) -> Any:
    return jax.tree.map(lambda a: a.astype(np.float64), variables)


def _jit(function: Any) -> Any:
    # One run is all it gets: compiling takes longer than running.
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_random_weights_give_timms_logits_and_go_back_to_it(name, tmp_path):
    pytest.importorskip("timm")
    import torch
    from safetensors.torch import load_file

    network, image = _network(name, channels=1), _image(channels=1)
    variables = convert(name, _tensors(network))
    with torch.no_grad():
        expected = network(_as_torch(image)).numpy()
    model = make(name, num_outputs=NUM_OUTPUTS)
    with jax.enable_x64(True):
        apply = _jit(functools.partial(model.apply, train=False))
        assert parity.error(apply(_double(variables), image), expected) < 1e-9

    path = tmp_path / "exported.safetensors"
    save_file(export(name, variables, scheme=TIMM[name][0]), path)
    fresh = _network(name, channels=1).float()
    for value in fresh.parameters():
        value.data.zero_()
    fresh.load_state_dict(load_file(path), strict=True)
    with torch.no_grad():
        again = fresh.double()(_as_torch(image)).numpy()
    np.testing.assert_array_equal(again, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small_timm", "resnet18", "vgg16_bn"])
def test_a_training_pass_moves_statistics_as_timms_does(name):
    pytest.importorskip("timm")
    network, image = _network(name, channels=3), _image(channels=3)
    before = _tensors(network)
    for module in network.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    network.drop_rate = 0.0
    expected = network.train()(_as_torch(image)).detach().numpy()
    dropped = {o: 0.0 for o in ("dropout", "drop_path") if o in option_names(name)}
    model = make(name, num_outputs=NUM_OUTPUTS, **dropped)
    variables = convert(name, before)
    with jax.enable_x64(True):
        apply = _jit(
            functools.partial(model.apply, train=True, mutable=["batch_stats"])
        )
        logits, moved = apply(_double(variables), image)
    assert parity.error(logits, expected) < 1e-9
    variables["batch_stats"] = moved["batch_stats"]
    found = export(name, variables, scheme=TIMM[name][0])
    for key, value in _tensors(network).items():
        if "running" in key:
            assert (value != before[key]).any()
            assert parity.error(found[key], value) < 1e-9, key
