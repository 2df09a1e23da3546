"""Deterministic weights and images for parity tests, made from their names alone.

The parity references (torch outputs) belong to weights that are not stored: every
number follows from the name of its tensor. Rules: README.md beside this file.
"""

from __future__ import annotations

import hashlib
import json
import math
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).parent


_CHUNK = 1 << 20
_A_LOGS, _SKIPS = ("A_log", "A_b_log", "A_logs"), ("D", "D_b", "Ds")
_STEP_BIASES = ("dt_projs_bias", "dt_proj.bias", "dt_proj_b.bias")
_LAYER_SCALES = ("layer_scale", "gamma", "gamma_1", "gamma_2")


def draws(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and variance 1, a function of ``name``; float64."""
    return affine(name, shape, 0.0, 1.0, dtype=np.float64)


def affine(
    name: str, shape: tuple[int, ...], mean: float, std: float, dtype: Any = np.float32
) -> np.ndarray:
    """``mean + std * draws``, made in pieces, rounded once."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    bits, found = np.random.Philox(key=key), np.empty(math.prod(shape), dtype)
    for start in range(0, found.size, _CHUNK):
        words = bits.random_raw(min(_CHUNK, found.size - start))
        parts = ((words >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4))
        n = (sum(parts).astype(np.float64) - 131070) * 2.6429e-5
        found[start : start + n.size] = mean + std * n
    return found.reshape(shape)


def tensor(name: str, shape: tuple[int, ...], dtype: str, gain: float) -> np.ndarray:
    """The published tensor called ``name``."""
    if dtype == "int64":
        return np.zeros(shape, np.int64)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return ((1 + 0.1 * draws(name, shape)) ** 2).astype(np.float32)
    if leaf in _A_LOGS:
        index = np.broadcast_to(np.arange(shape[-1], dtype=np.float64), shape)
        return (0.18 * index + 0.1 * draws(name, shape)).astype(np.float32)
    if leaf in _SKIPS:
        return affine(name, shape, 1.0, 0.1)
    if name.endswith(_STEP_BIASES):
        return affine(name, shape, -4.0, 1.0)
    if leaf in _LAYER_SCALES:
        return affine(name, shape, 0.5, 0.1)
    if leaf in ("pos_embed", "cls_token"):
        return affine(name, shape, 0.0, 0.5)
    if leaf in ("bias", "running_mean"):
        return affine(name, shape, 0.0, 0.1)
    if len(shape) == 1:
        return affine(name, shape, 1.0, 0.1)
    inputs = shape[-1] if leaf.endswith("_weight") else math.prod(shape[1:])
    return affine(name, shape, 0.0, gain / np.sqrt(float(inputs)))


def tensors(listing: Iterable[Any], *, gain: float = 1.0) -> dict[str, np.ndarray]:
    """All tensors of a listing of (name, shape, dtype)."""
    return {name: tensor(name, tuple(s), dtype, gain) for name, s, dtype in listing}


def image(shape: tuple[int, int, int, int]) -> np.ndarray:
    """The test image of NCHW ``shape``, as NHWC, float32."""
    b, c, h, w = shape
    coarse = draws("input/coarse", (b, c, h // 32, w // 32)).astype(np.float32)
    coarse = coarse.repeat(32, axis=2).repeat(32, axis=3)
    fine = np.float32(0.5) * draws("input/fine", shape).astype(np.float32)
    return np.ascontiguousarray((coarse + fine).transpose(0, 2, 3, 1))


def target(shape: tuple[int, ...]) -> np.ndarray:
    """What the reference losses compare logits with, float32."""
    return draws("target", shape).astype(np.float32)


def corners(x: np.ndarray) -> np.ndarray:
    """First, middle and last rows and columns of the first image, 8 channels.

    Of tokens (b, n, c) the first, middle and last; of vectors (b, c) the channels.
    """
    first = np.asarray(x)[0]
    for axis, length in enumerate(first.shape[:-1]):
        first = first.take([0, length // 2, length - 1], axis=axis)
    return first[..., :8]


def error(ours: Any, reference: np.ndarray) -> float:
    """Largest difference over the reference's largest value."""
    return float(np.abs(np.asarray(ours) - reference).max() / np.abs(reference).max())


def small() -> dict[str, Any]:
    """The reference carried here: ResNet18 with three outputs."""
    return json.loads((HERE / "resnet18_parity.json").read_text())
