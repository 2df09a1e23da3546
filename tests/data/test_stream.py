from __future__ import annotations

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.data import resident, stream
from liverjax.data.rows import ROWS, RowKind
from liverjax.errors import InputError
from liverjax.train.compile import group_sharding
from tests.cohort.small import write_cohort
from tests.train import test_later_studies as later

RECORD_BYTES = 9 * 9
SLICE = ROWS["slice"]
FIVES = RowKind(later.sample_fives, later.cover_fives, later.fetch_fives)
RUNS = RowKind(
    later.sample_stacks,
    later.cover_stacks,
    lambda arrays, row: {"image": resident.take(arrays["image"], row[0], count=7)},
    records=7,
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 9, 1), np.uint8)
    subjects = [f"p{i // 10}" for i in range(50)]
    folder = tmp_path_factory.mktemp("cohort")
    return write_cohort(folder, images, subjects=subjects, per_shard=16)


def open_stream(cohort, *, kind=SLICE, cap=2**20, rows=4, numbers=1, steps=None):
    layout = stream.divide(
        cap,
        cohort=cohort,
        rows=rows,
        row_records=numbers * kind.records,
        groups=1,
        longest=9,
    )
    if steps is not None:
        count = steps * rows * numbers * kind.records
        layout = stream.Layout(steps, count, count * RECORD_BYTES, layout.kept)
    return stream.Stream(
        records=stream.Records(cohort, keep=layout.kept),
        layout=layout,
        kind=kind,
        sharding=group_sharding(jax.devices()[:1]),
    )


def walked(source, rows, *, kind, start=0):
    """What each row's ``fetch`` reads, in order."""
    images = []
    with source.walk(rows, batch_size=4, start=start) as walk:
        for step in range(start, walk.steps):
            for row in walk.rows[4 * step : 4 * step + 4]:
                images.append(kind.fetch(walk.arrays(step), jnp.asarray(row))["image"])
    return np.stack(images)


@pytest.mark.parametrize("start", [0, 2, 3])
@pytest.mark.parametrize(
    ("kind", "numbers", "last"),
    [(SLICE, 1, 49), (RUNS, 1, 43), (FIVES, 5, 49)],
    ids=["slices", "runs of seven", "five of their own"],
)
def test_rows_read_the_same_records_as_from_the_device(
    cohort, kind, numbers, last, start
):
    rows = np.random.default_rng(1).integers(0, last + 1, (20, numbers), np.int32)
    rows[0] = last
    host = resident.read_host_arrays(cohort)
    expected = walked(resident.Resident(host), rows, kind=kind, start=start)
    source = open_stream(cohort, kind=kind, numbers=numbers, steps=2)
    np.testing.assert_array_equal(
        walked(source, rows, kind=kind, start=start), expected
    )


@pytest.mark.parametrize(
    ("kind", "numbers", "last"),
    [(SLICE, 1, 49), (RUNS, 1, 43), (FIVES, 5, 49)],
    ids=["slices", "runs of seven", "five of their own"],
)
def test_each_device_of_a_group_has_its_rows_of_every_batch(
    cohort, kind, numbers, last
):
    """Five batches of four rows, two a device, in blocks of two batches."""
    rows = np.random.default_rng(1).integers(0, last + 1, (20, numbers), np.int32)
    host = resident.read_host_arrays(cohort)
    expected = walked(resident.Resident(host), rows, kind=kind)
    source = dataclasses.replace(
        open_stream(cohort, kind=kind, numbers=numbers, steps=2),
        sharding=group_sharding(jax.devices()[:2]),
    )
    shapes = stream.block_shapes(
        cohort, source.layout, sharding=source.sharding, kind=kind
    )
    with source.walk(rows, batch_size=4) as walk:
        for step in range(walk.steps):
            block = walk.arrays(step)
            assert jax.tree.map(jax.typeof, block) == jax.tree.map(jax.typeof, shapes)
            for place in range(4):
                own = {
                    name: array.addressable_shards[place // 2].data
                    for name, array in block.items()
                }
                row = jnp.asarray(walk.rows[4 * step + place])
                found = kind.fetch(own, row)["image"]
                np.testing.assert_array_equal(found, expected[4 * step + place])


def test_a_process_has_blocks_of_its_own_rows_alone(cohort):
    whole, half = (
        stream.divide(
            2**20,
            cohort=cohort,
            rows=4,
            row_records=1,
            groups=1,
            longest=9,
            share=share,
        )
        for share in (stream.WHOLE, stream.Fraction(1, 2))
    )
    assert (whole.steps, whole.block_records) == (half.steps, half.block_records)
    assert whole.block_bytes == 2 * half.block_bytes == 9 * 4 * RECORD_BYTES


def test_the_largest_share_of_a_batch_is_the_same_for_all_processes():
    class Device:
        def __init__(self, process):
            self.process_index = process

    devices = [Device(process) for process in (0, 0, 0, 1)]
    assert stream.largest_share(devices) == stream.Fraction(3, 4)


def test_a_record_is_read_from_the_shards_once_as_far_as_the_cap_goes(
    cohort, monkeypatch
):
    source = open_stream(cohort, steps=1)
    asked, original = [], source.records._shards.__getitems__

    def note(numbers):
        asked.extend(numbers)
        return original(numbers)

    monkeypatch.setattr(source.records._shards, "__getitems__", note, raising=False)
    rows = np.random.default_rng(2).permutation(48)[:, None].astype(np.int32)
    for _ in range(3):
        walked(source, rows, kind=SLICE)
    assert sorted(asked) == list(range(48))
    assert source.records.in_memory == 48


def test_a_cap_is_divided_into_blocks_and_records_that_are_kept(cohort):
    batch = 4 * RECORD_BYTES
    least = stream.BLOCKS * 2 * batch
    smallest = stream.divide(
        least, cohort=cohort, rows=4, row_records=1, groups=2, longest=9
    )
    assert (smallest.steps, smallest.kept) == (1, 0)
    twice = stream.divide(
        2 * least, cohort=cohort, rows=4, row_records=1, groups=2, longest=9
    )
    assert (twice.steps, twice.kept) == (1, least // RECORD_BYTES)
    more = stream.divide(
        8 * least, cohort=cohort, rows=4, row_records=1, groups=2, longest=9
    )
    assert (more.steps, more.block_records, more.block_bytes) == (2, 8, 2 * batch)
    large = stream.divide(
        2**40, cohort=cohort, rows=4, row_records=1, groups=2, longest=9
    )
    assert large.block_bytes <= stream.BLOCK_BYTES
    assert large.kept == cohort.num_records


def test_a_cap_below_a_batch_says_how_much_is_needed(cohort):
    with pytest.raises(
        InputError, match=r"1000 B .* rows is 324 B, .*data\.memory_gib to 1\.266 KiB"
    ):
        stream.divide(1000, cohort=cohort, rows=4, row_records=1, groups=1, longest=9)


def test_shards_with_another_number_of_records_are_refused(cohort):
    shard = dataclasses.replace(cohort.shards[0], records=17)
    changed = dataclasses.replace(cohort, shards=(shard,))
    with pytest.raises(InputError, match=r"16 records in its shards, .* says 17"):
        stream.Records(changed, keep=0)


READ = """
import pathlib, sys
import numpy as np
from jax._src import xla_bridge
from liverjax.cohort.schema import open_cohort
from liverjax.data import stream
cohort = open_cohort(pathlib.Path(sys.argv[1]))
records = stream.Records(cohort, keep=10)
out = {"image": np.zeros((3, 9, 9, 1), np.uint8)}
dataset = stream.grain.MapDataset.source([np.array([1, 4, 40])]).map(
    lambda numbers: records.read(numbers, out=out)
)
list(dataset.to_iter_dataset(stream.grain.ReadOptions(num_threads=1)))
assert out["image"].any()
assert not xla_bridge.backends_are_initialized()
"""


def test_reading_starts_no_jax_backend(cohort):
    words = [sys.executable, "-c", READ, str(cohort.path)]
    subprocess.run(words, check=True, timeout=120)
