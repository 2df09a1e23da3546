"""Predictions of many rows through one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from liverjax.train.compile import Predictor


def predict_rows(
    variables: Mapping[str, Any],
    rows: Int[np.ndarray, "n r"],
    *,
    arrays: Mapping[str, Any],
    predictor: Predictor,
    target: Num[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Returns a network's logits of rows in order, and their losses.

    Batch after batch; the last one is filled up with the first row, whose results are
    cut off.

    Args:
        variables: ``params`` and ``batch_stats``.
        rows: At least one.
        arrays: The records, on the device.
        predictor: Compiled for these variables and arrays.
        target: What the losses compare with; without it they mean nothing.
    """
    count, size = len(rows), predictor.batch_size
    if target is None:
        target = np.zeros(count)
    place = np.arange(-(-count // size) * size)
    place[count:] = 0
    rows, target = rows.astype(np.int32), target.astype(predictor.target_dtype)
    parts = [
        predictor.predict(variables, rows[chosen], target[chosen], arrays)
        for chosen in np.split(place, len(place) // size)
    ]
    logits, losses = zip(*parts, strict=True)
    return (
        np.concatenate([np.asarray(part) for part in logits])[:count],
        np.concatenate([np.asarray(part) for part in losses])[:count],
    )
