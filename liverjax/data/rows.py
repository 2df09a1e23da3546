"""Which records an epoch visits, and how a row becomes an example.

The two functions that a kind of study brings: ``sample`` (host, numpy) draws an epoch's
rows, ``fetch`` (device, pure) reads one row's arrays. ``cover`` is the deterministic
twin of ``sample`` for evaluation. A row is a small vector of ints whose first is the
first record it reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Int, Num, Shaped

from liverjax.cohort.schema import RECORD, TARGET
from liverjax.data.resident import take
from liverjax.errors import InputError

# Columns of an index table beside `schema.RECORD` and `schema.TARGET`.
ROW = "row"
OCCURRENCE = "occurrence"

Spans = Int[np.ndarray, "e 2"]
Rows = Int[np.ndarray, "n r"]


@dataclasses.dataclass(frozen=True)
class RowKind:
    """How one kind of study turns examinations into rows and rows into examples.

    Attributes:
        sample: ``(rng, spans) -> rows (n, r)``: the rows of one epoch in order, of the
            same number every epoch. ``spans`` ``(e, 2)`` holds the first record and the
            number of records of each examination.
        cover: ``(spans) -> rows (n, r), examination (n,)``: every examination, always
            the same; the second is each row's place in ``spans``.
        fetch: ``(arrays, row (r,)) -> arrays`` of one example.
        records: Consecutive records that each number of a row stands for, its own
            first.
    """

    sample: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    cover: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    fetch: Callable[[Mapping[str, Any], Any], Mapping[str, Any]]
    records: int = 1


@dataclasses.dataclass(frozen=True)
class EpochRows:
    """The rows of one epoch.

    Attributes:
        rows: ``(n, r)``, ``n`` a multiple of the batch size.
        occurrence: ``(n,)``, how often the row's first record came before.
    """

    rows: Rows
    occurrence: Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Table:
    """One epoch's index table.

    Attributes:
        columns: ``row`` ``(capacity, r)``, ``record``, ``occurrence`` and ``target``
            ``(capacity,)``, as `liverjax.train.step.gather_batch` reads them.
        rows: How many of them are real.
    """

    columns: Mapping[str, np.ndarray]
    rows: int


def draw_epoch(
    rng: np.random.Generator,
    kind: RowKind,
    *,
    spans: Spans,
    batch_size: int,
    steps: int | None = None,
) -> EpochRows:
    """Returns an epoch's rows in full batches; the remainder is dropped.

    Args:
        rng: As `epoch_rng` makes it.
        kind: Of the study.
        spans: First record and number of records of each training examination.
        batch_size: Rows a step.
        steps: Steps of the epoch; None takes one walk of ``kind.sample``, more steps
            than that begin another walk.

    Raises:
        InputError: If there are fewer rows than a batch.
    """
    walk = kind.sample(rng, spans)
    if len(walk) == 0 or (steps is None and len(walk) < batch_size):
        raise InputError(
            f"{len(walk)} training rows are fewer than a batch of {batch_size}; lower "
            "train.batch_size or give more examinations to train"
        )
    wanted = (
        len(walk) // batch_size * batch_size if steps is None else steps * batch_size
    )
    walks = [walk]
    while sum(len(walk) for walk in walks) < wanted:
        walks.append(kind.sample(rng, spans))
    rows = np.concatenate(walks)[:wanted].astype(np.int32)
    return EpochRows(rows=rows, occurrence=count_occurrences(rows[:, 0]))


def make_table(
    epoch: EpochRows, *, targets: Num[np.ndarray, " records"], capacity: int
) -> Table:
    """Returns an epoch's index table, padded with zeros to the run's longest epoch.

    Raises:
        ValueError: If the epoch is longer than that.
    """
    count = len(epoch.rows)
    if count > capacity:
        raise ValueError(
            f"an epoch of {count} rows in a run of at most {capacity}: the kind of row "
            "must draw the same number every epoch"
        )
    columns = {
        ROW: epoch.rows,
        RECORD: epoch.rows[:, 0],
        OCCURRENCE: epoch.occurrence,
        TARGET: targets[epoch.rows[:, 0]],
    }
    padded = {
        name: np.concatenate(
            [column, np.zeros((capacity - count, *column.shape[1:]), column.dtype)]
        )
        for name, column in columns.items()
    }
    return Table(columns=padded, rows=count)


def epoch_rng(*, seed: int, fold: int, epoch: int) -> np.random.Generator:
    """Returns the generator of an epoch's permutation and draws, of nothing else."""
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence((seed, fold, epoch)))
    )


def count_occurrences(first: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Returns how often each entry's value stands before it."""
    order = np.argsort(first, kind="stable")
    ordered = first[order]
    place = np.arange(len(first))
    new = np.ones(len(first), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    before = np.empty(len(first), np.int32)
    before[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    return before


def sample_slices(rng: np.random.Generator, spans: Spans) -> Rows:
    """Returns every record of the examinations once, in random order."""
    rows, _ = cover_slices(spans)
    return rng.permutation(rows)


def cover_slices(spans: Spans) -> tuple[Rows, Int[np.ndarray, " n"]]:
    """Returns every record of the examinations in order, and whose it is."""
    examination = np.repeat(np.arange(len(spans)), spans[:, 1])
    start = np.repeat(np.cumsum(spans[:, 1]) - spans[:, 1], spans[:, 1])
    record = spans[examination, 0] + np.arange(len(examination)) - start
    return record[:, None].astype(np.int32), examination


def fetch_slice(
    arrays: Mapping[str, Any], row: Int[Array, " 1"]
) -> dict[str, Shaped[Array, "..."]]:
    """Returns one record's arrays, images or features."""
    return {name: take(array, row[0], count=1)[0] for name, array in arrays.items()}


ROWS: dict[str, RowKind] = {
    "slice": RowKind(sample=sample_slices, cover=cover_slices, fetch=fetch_slice),
}
