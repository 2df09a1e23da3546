"""Predictions of many rows through one compiled program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from liverjax.train.compile import Programs


@dataclasses.dataclass(frozen=True)
class Exam:
    """Rows to predict, in order.

    Attributes:
        rows: ``(n, r)``.
        target: ``(n,)``, what the loss compares with; anything where there is none.
    """

    rows: Int[np.ndarray, "n r"]
    target: Num[np.ndarray, " n"]


def predict_exam(
    variables: Mapping[str, Any],
    exam: Exam,
    *,
    programs: Programs,
    arrays: Mapping[str, Any],
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Returns logits and losses of rows, batch after batch through one program.

    The last batch is filled up with the first row, whose results are cut off.
    """
    count, size = len(exam.rows), programs.batch_size
    place = np.arange(-(-count // size) * size)
    place[count:] = 0
    parts = [
        programs.predict(variables, exam.rows[chosen], exam.target[chosen], arrays)
        for chosen in np.split(place, len(place) // size)
    ]
    logits, losses = zip(*parts, strict=True)
    return (
        np.concatenate([np.asarray(part) for part in logits])[:count],
        np.concatenate([np.asarray(part) for part in losses])[:count],
    )
