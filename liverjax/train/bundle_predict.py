"""Predictions of a bundle of heads, some rows at a time: memory stays bounded."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from liverjax.cohort.schema import IMAGE
from liverjax.data.resident import Device
from liverjax.train import heads
from liverjax.train.compile import Learner, compile_ahead, group_sharding

PREDICT_BYTES = 128 * 2**20  # of the features and logits of one call, about


def predict_bundle(
    best: Mapping[str, Any],
    rows: Sequence[Int[np.ndarray, "_ r"]],
    *,
    learner: Learner,
    features: Float[np.ndarray, "records d"],
    device: Device,
) -> list[Float[np.ndarray, "s t _ k"]]:
    """Returns for each fold its heads' logits of that fold's rows.

    Args:
        best: Variables with the axes fold, seed and trial.
        rows: Of each fold.
        learner: As for `fit_bundle`.
        features: Of each record.
        device: Where.
    """
    sharding = group_sharding((device,))
    bias = best["params"][learner.model.layer]["bias"]
    size = rows_a_call(bias.shape, width=features.shape[1], rows=rows)
    batches = cut_rows(rows, np.zeros(len(features)), size=size)
    given = best, batches, {IMAGE: features}
    best, batches, arrays = jax.device_put(given, sharding)
    predict = functools.partial(heads.predict_heads, learner=learner)
    compiled = compile_ahead(predict, best, *batches[0], arrays, sharding=sharding)
    logits, _ = predict_all(compiled, best, batches, arrays)
    return [one[:, :, : len(own)] for one, own in zip(logits, rows, strict=True)]


def rows_a_call(
    heads_shape: Sequence[int], *, width: int, rows: Sequence[np.ndarray]
) -> int:
    """Returns how many rows of each fold are predicted by one call.

    Args:
        heads_shape: Folds, seeds, trials and outputs.
        width: Number of features.
        rows: Of each fold.
    """
    fitting = PREDICT_BYTES // _row_bytes(heads_shape, width=width)
    return max(1, min(fitting, max(map(len, rows))))


def most_bytes(heads_shape: Sequence[int], *, width: int, num_rows: int) -> int:
    """Returns what a call takes at most beside its arguments, however many rows follow.

    Args:
        heads_shape: Folds, seeds, trials and outputs.
        width: Number of features.
        num_rows: Of a fold, at most.
    """
    row_bytes = _row_bytes(heads_shape, width=width)
    # Features as they are gathered, and once more as the product takes them.
    return 2 * min(max(PREDICT_BYTES, row_bytes), num_rows * row_bytes)


def cut_rows(
    rows: Sequence[np.ndarray], targets: np.ndarray, *, size: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns index rows and targets of all folds, the same number in every call.

    Those of a fold that has fewer are filled up with record 0.
    """
    calls = max(1, -(-max(map(len, rows)) // size))
    padded = np.zeros((len(rows), calls * size, rows[0].shape[1]), np.int32)
    for place, own in enumerate(rows):
        padded[place, : len(own)] = own
    parts = np.split(padded, calls, axis=1)
    return [(part, targets[part[..., 0]]) for part in parts]


def _row_bytes(heads_shape: Sequence[int], *, width: int) -> int:
    """Returns the bytes of a row's features and logits in every fold."""
    folds, *others = heads_shape
    return 4 * folds * (width + math.prod(others))


def predict_all(
    predict: Any, variables: Any, batches: Sequence[Any], arrays: Any
) -> tuple[Float[np.ndarray, "f s t n k"], Float[np.ndarray, "f s t n"]]:
    """Returns logits and losses of all rows; one call's are on the device at a time."""
    parts = []
    for batch in batches:
        with jax.transfer_guard("disallow"):
            found = predict(variables, *batch, arrays)
        parts.append(jax.tree.map(np.asarray, found))
    logits, losses = zip(*parts, strict=True)
    return np.concatenate(logits, axis=3), np.concatenate(losses, axis=3)
