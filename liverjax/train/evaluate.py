"""Predictions of many rows through one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Num

from liverjax.data.resident import Resident, put
from liverjax.data.stream import Stream
from liverjax.train.compile import Predictor

Source = Resident | Stream


def predict_rows(
    variables: Mapping[str, Any],
    rows: Int[np.ndarray, "n r"],
    *,
    source: Source,
    predictor: Predictor,
    target: Num[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Returns a network's logits of rows in order, and their losses.

    Batch after batch; the last one is filled up with the first row, whose results are
    cut off.

    Args:
        variables: ``params`` and ``batch_stats``.
        rows: At least one.
        source: Of the records.
        predictor: Compiled for these variables and the source's arrays.
        target: What the losses compare with; without it they mean nothing.
    """
    count, size = len(rows), predictor.batch_size
    if target is None:
        target = np.zeros(count)
    place = np.arange(-(-count // size) * size)
    place[count:] = 0
    rows, target = rows[place].astype(np.int32), target[place]
    target = target.astype(predictor.target_dtype)
    parts, sharding = [], predictor.sharding
    variables = put(variables, sharding)
    with source.walk(rows, batch_size=size) as walk:
        for step in range(walk.steps):
            chosen = slice(step * size, (step + 1) * size)
            given = put((walk.rows[chosen], target[chosen]), sharding)
            arrays = walk.arrays(step)
            with jax.transfer_guard("disallow"):
                parts.append(predictor.predict(variables, *given, arrays))
            if walk.reach(step) == step + 1:
                # Before the next block comes, or the device's queue would hold many.
                jax.block_until_ready(parts[-1])
    logits, losses = zip(*parts, strict=True)
    return (
        np.concatenate([np.asarray(part) for part in logits])[:count],
        np.concatenate([np.asarray(part) for part in losses])[:count],
    )
