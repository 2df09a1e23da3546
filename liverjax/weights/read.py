"""Published files into named arrays: safetensors, and .pth through PyTorch."""

from __future__ import annotations

import os
import pathlib
import pickle
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.weights.naming import WeightsError

_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".tar")
_WRAPPERS = ("state_dict", "model")


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The named arrays of a published file, in its order.

    ``.safetensors`` is read directly; ``.pth``, ``.pt``, ``.bin`` and ``.tar`` through
    PyTorch with ``weights_only=True``, so no code in the file can run. A dictionary
    under the key ``state_dict`` or ``model`` is unwrapped.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the suffix is another one, PyTorch is needed and not installed,
            or the file is damaged or holds more than tensors.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        return open_safetensors(path)[0]
    if path.suffix in _TORCH_SUFFIXES:
        return _read_torch(path)
    known = ", ".join((".safetensors", *_TORCH_SUFFIXES))
    raise WeightsError(f"{path}: weights are read from files ending in {known}")


def open_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file and its metadata.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a whole safetensors file, or has a type that numpy
            does not know.
    """
    from safetensors import SafetensorError, safe_open

    path = _existing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return {
                name: file.get_tensor(name) for name in names
            }, file.metadata() or {}
    except (SafetensorError, TypeError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}") from error


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    path = _existing(path)
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"{path.name} can only be read through PyTorch, which is not installed: "
            "`pip install torch`, or give the .safetensors file of the same weights"
        ) from None
    try:
        with warnings.catch_warnings():
            # What matters about a foreign pickle is whether it opens.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(
            f"{path} is damaged, or holds more than tensors and is not opened because "
            f"it could run code: {str(error).splitlines()[0]}"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return _as_arrays(path, content)


def _as_arrays(path: pathlib.Path, content: Any) -> dict[str, np.ndarray]:
    import torch

    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds no dictionary of tensors")
    other = [key for key, value in content.items() if not torch.is_tensor(value)]
    if other:
        raise WeightsError(f"{path}: {other[0]!r} is not a tensor")
    tensors = ((str(key), value.detach()) for key, value in content.items())
    return {
        key: (value.float() if value.is_floating_point() else value).numpy()
        for key, value in tensors
    }


def _existing(path: str | os.PathLike[str]) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    return path
