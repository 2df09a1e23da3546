"""Published files into named arrays: safetensors, and .pth through PyTorch."""

from __future__ import annotations

import argparse
import logging
import os
import pathlib
import pickle
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.weights.naming import WeightsError

_LOG = logging.getLogger(__name__)

_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".ckpt")
_AVERAGED = ("state_dict_ema", "model_ema", "ema")
_WRAPPERS = ("state_dict", "model", *_AVERAGED)


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The named arrays of a published file, in its order.

    ``.safetensors`` is read directly; ``.pth``, ``.pt``, ``.bin``, ``.tar`` and
    ``.ckpt`` through PyTorch with ``weights_only=True``, so no code in the file can
    run. A dictionary under the key ``state_dict`` or ``model`` is unwrapped; averaged
    weights (``ema``) are taken where there are no others, and left with a warning where
    there are. bfloat16 comes back as float32.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the suffix is another one, PyTorch is needed and not installed,
            or the file is damaged or holds more than tensors.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        return {key: _wide(a) for key, a in open_safetensors(path)[0].items()}
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
    import ml_dtypes  # noqa: F401  (numpy then knows bfloat16)
    from safetensors import SafetensorError, safe_open

    path = _existing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return {
                name: file.get_tensor(name) for name in names
            }, file.metadata() or {}
    except (SafetensorError, TypeError, AttributeError) as error:
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
    # Trainers keep their command line beside the weights; it is values alone.
    harmless = torch.serialization.safe_globals([argparse.Namespace])
    try:
        with warnings.catch_warnings(), harmless:
            # What matters about a foreign pickle is whether it opens.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        # PyTorch's own text advises to let the code in the file run.
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        raise WeightsError(
            f"{path} holds {foreign[1]}, no tensor, and is not opened because it could "
            "run code; whoever trusts it saves model.state_dict() alone"
            if foreign
            else f"{path} is no PyTorch file of tensors, or is damaged"
        ) from error
    return _as_arrays(path, _unwrapped(path, content))


def _unwrapped(path: pathlib.Path, content: Any) -> Any:
    """What lies in a checkpoint under the keys of weights, however deep."""
    while isinstance(content, Mapping):
        inside = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inside:
            break
        averaged = [key for key in _AVERAGED if key in content]
        if averaged and inside[0] not in averaged:
            _LOG.warning(
                "%s: the weights under %r are taken, not those under %r",
                *(path, inside[0], averaged[0]),
            )
        content = content[inside[0]]
    return content


def _as_arrays(path: pathlib.Path, content: Any) -> dict[str, np.ndarray]:
    import torch

    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds no dictionary of tensors")
    other = [key for key, value in content.items() if not torch.is_tensor(value)]
    if other:
        raise WeightsError(
            f"{path}: {other[0]!r} is not a tensor; expected a dictionary of tensors, "
            f"bare or under one of {', '.join(_WRAPPERS)}"
        )
    tensors = ((str(key), value.detach()) for key, value in content.items())
    return {
        key: (value.float() if value.is_floating_point() else value).numpy()
        for key, value in tensors
    }


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _existing(path: str | os.PathLike[str]) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    return path
