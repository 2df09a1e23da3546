from __future__ import annotations

import argparse
import builtins
import importlib.util
import logging
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from liverjax.weights import WeightsError, read
from tests.weights.published import equal, published

_HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not _HAS_TORCH, reason="PyTorch is not installed")


def test_a_safetensors_file_is_read(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(published(), path)
    found = read(path)
    assert equal(dict(sorted(found.items())), dict(sorted(published().items())))


@needs_torch
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_torch_file_is_read_and_unwrapped(tmp_path, wrapper):
    import torch

    tensors = {key: torch.from_numpy(value) for key, value in published().items()}
    path = tmp_path / "model.pth"
    torch.save({wrapper: tensors} if wrapper else tensors, path)
    assert equal(read(path), published())


def test_a_safetensors_file_in_half_precision_becomes_float32(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = tmp_path / "model.safetensors"
    half = np.arange(3).astype(ml_dtypes.bfloat16)
    save_file({"weight": half}, path)
    found = read(path)["weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 1, 2])


@needs_torch
def test_a_trainers_checkpoint_is_unwrapped_however_deep(tmp_path, caplog):
    import torch

    tensors = {key: torch.from_numpy(value) for key, value in published().items()}
    path = tmp_path / "checkpoint.pth"
    command = argparse.Namespace(lr=1e-3, model="resnet18")
    torch.save({"model": {"state_dict": tensors}, "args": command, "epoch": 3}, path)
    with caplog.at_level(logging.WARNING):
        assert equal(read(path), published())
    assert not caplog.records
    torch.save({"model": tensors, "model_ema": tensors}, path)
    assert equal(read(path), published())
    assert "under 'model' are taken, not those under 'model_ema'" in caplog.text
    caplog.clear()
    torch.save({"model_ema": tensors, "epoch": 3}, path)
    assert equal(read(path), published())
    assert not caplog.records


@needs_torch
def test_a_checkpoint_without_known_keys_names_what_it_holds(tmp_path):
    import torch

    path = tmp_path / "checkpoint.pth"
    torch.save({"network": {"weight": torch.zeros(3)}}, path)
    with pytest.raises(WeightsError, match=r"'network' is not a tensor; expected .*"):
        read(path)


@needs_torch
def test_a_torch_file_that_could_run_code_is_not_opened(tmp_path):
    import torch

    ran = tmp_path / "ran"
    path = tmp_path / "model.pth"
    torch.save({"weight": _Trap(str(ran))}, path)
    with pytest.raises(WeightsError, match=r"holds \w+\.open, no tensor, .* run code"):
        read(path)
    assert not ran.exists()


class _Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@needs_torch
def test_a_plain_pickle_or_a_cut_off_file_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    for content in (pickle.dumps({"weight": np.zeros(3)}), b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"no PyTorch file of tensors|no tensor"):
            read(path)


def test_without_torch_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    path.write_bytes(b"anything")
    imported = builtins.__import__

    def without_torch(name, *args, **kwargs):
        if name == "torch":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(WeightsError, match=r"not installed: `pip install torch`, or"):
        read(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        read(tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"ending in \.safetensors, \.pth"):
        read(tmp_path / "model.h5")
