from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.cohort.schema import TARGET
from liverjax.data import rows
from liverjax.data.rows import OCCURRENCE, ROW, ROWS
from liverjax.errors import InputError

SPANS = np.array([[4, 3], [10, 2], [20, 4]])
RECORDS = [4, 5, 6, 10, 11, 20, 21, 22, 23]


def draw(*, epoch=0, batch_size=3, steps=None, seed=0, fold=0):
    rng = rows.epoch_rng(seed=seed, fold=fold, epoch=epoch)
    return rows.draw_epoch(
        rng, ROWS["slice"], spans=SPANS, batch_size=batch_size, steps=steps
    )


def test_an_epoch_visits_every_record_once():
    epoch = draw()
    assert sorted(epoch.rows[:, 0]) == RECORDS
    assert not epoch.occurrence.any()


def test_the_order_is_a_function_of_seed_fold_and_epoch():
    np.testing.assert_array_equal(draw(epoch=3).rows, draw(epoch=3).rows)
    orders = [draw(), draw(epoch=1), draw(fold=1), draw(seed=1)]
    assert len({tuple(epoch.rows[:, 0]) for epoch in orders}) == 4


def test_the_remainder_of_an_epoch_is_dropped():
    assert draw(batch_size=4).rows.shape == (8, 1)


def test_more_steps_than_rows_begin_another_walk_and_count_it():
    epoch = draw(batch_size=6, steps=3)
    assert epoch.rows.shape == (18, 1)
    assert sorted(epoch.rows[:9, 0]) == sorted(epoch.rows[9:, 0]) == RECORDS
    np.testing.assert_array_equal(epoch.occurrence, [0] * 9 + [1] * 9)


def test_fewer_rows_than_a_batch_are_an_error():
    with pytest.raises(InputError, match="9 training rows are fewer than a batch"):
        draw(batch_size=10)
    with pytest.raises(InputError, match="0 training rows"):
        rows.draw_epoch(
            rows.epoch_rng(seed=0, fold=0, epoch=0),
            ROWS["slice"],
            spans=np.zeros((0, 2), int),
            batch_size=1,
            steps=2,
        )


def test_occurrences_count_what_came_before():
    first = np.array([7, 7, 3, 7, 3, 9])
    np.testing.assert_array_equal(rows.count_occurrences(first), [0, 1, 0, 2, 1, 0])


def test_evaluation_covers_each_examination_in_order():
    covered, whose = ROWS["slice"].cover(SPANS)
    assert list(covered[:, 0]) == RECORDS
    assert list(whose) == [0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_a_row_of_the_kind_slice_is_one_record():
    arrays = {"image": np.arange(48).reshape(6, 2, 2, 2), "mask": np.ones((6, 2, 2, 1))}
    example = ROWS["slice"].fetch(jax.device_put(arrays), jnp.array([4]))
    np.testing.assert_array_equal(example["image"], arrays["image"][4])
    assert example["mask"].shape == (2, 2, 1)


def test_a_table_is_padded_to_the_longest_epoch_of_the_run():
    targets = np.arange(30, dtype=np.float32)
    epoch = draw()
    table = rows.make_table(epoch, targets=targets, capacity=12)
    assert table.rows == 9
    assert table.columns[ROW].shape == (12, 1)
    np.testing.assert_array_equal(table.columns[TARGET][:9], epoch.rows[:, 0])
    assert not any(table.columns[name][9:].any() for name in (ROW, OCCURRENCE, TARGET))
    with pytest.raises(ValueError, match="9 rows in a run of at most 6"):
        rows.make_table(epoch, targets=targets, capacity=6)
