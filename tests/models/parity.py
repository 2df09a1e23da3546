"""Deterministic weights and images for parity tests, made from their names alone.

The parity references (torch outputs) belong to weights that are not stored: every
number follows from the name of its tensor. Rules: README.md beside this file.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).parent


def draws(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and variance 1, a function of ``name``; float64."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    count = int(np.prod(shape, dtype=np.int64))
    words = np.random.Philox(key=key).random_raw(count)
    total = sum((words >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4))
    return ((total.astype(np.float64) - 131070) * 2.6429e-5).reshape(shape)


def tensor(name: str, shape: tuple[int, ...], dtype: str, gain: float) -> np.ndarray:
    """The published tensor called ``name``."""
    if dtype == "int64":
        return np.zeros(shape, np.int64)
    n, leaf = draws(name, shape), name.rpartition(".")[2]
    if leaf == "running_var":
        value = (1 + 0.1 * n) ** 2
    elif leaf in ("bias", "running_mean"):
        value = 0.1 * n
    elif len(shape) == 1:
        value = 1 + 0.1 * n
    else:
        value = gain / np.sqrt(np.prod(shape[1:])) * n
    return value.astype(np.float32)


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
    """First, middle and last rows and columns of the first image, 8 channels."""
    first = np.asarray(x)[0]
    if first.ndim == 1:
        return first[:8]
    rows, columns = ([0, n // 2, n - 1] for n in first.shape[:2])
    return first[rows][:, columns][..., :8]


def error(ours: Any, reference: np.ndarray) -> float:
    """Largest difference over the reference's largest value."""
    return float(np.abs(np.asarray(ours) - reference).max() / np.abs(reference).max())


def small() -> dict[str, Any]:
    """The reference carried here: ResNet18 with three outputs."""
    return json.loads((HERE / "resnet18_parity.json").read_text())
