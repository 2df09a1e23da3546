from __future__ import annotations

import jax
import numpy as np
import pytest

from liverjax.data import resident
from liverjax.data.resident import Parts, place, take
from liverjax.errors import InputError
from liverjax.train.compile import group_sharding
from tests.cohort.small import write_cohort


def aligned(shape, *, seed=0):
    array = resident.aligned_empty(shape, dtype=np.uint8)
    array[:] = np.random.default_rng(seed).integers(0, 256, shape)
    array.flags.writeable = False
    return array


def test_host_devices_alias_one_array():
    array = aligned((200, 8, 8, 1))
    assert array.ctypes.data % 64 == 0
    for device in jax.devices()[:2]:
        placed = place({"image": array}, group_sharding([device]))["image"]
        assert placed.unsafe_buffer_pointer() == array.ctypes.data


def test_parts_alias_the_same_memory():
    array = aligned((200, 3, 3, 1))
    sharding = group_sharding(jax.devices()[:1])
    placed = place({"image": array}, sharding, overlap=3, max_elements=9 * 70)["image"]
    assert placed.stride == 64
    starts = [part.unsafe_buffer_pointer() - array.ctypes.data for part in placed.parts]
    assert starts == [0, 64 * 9, 128 * 9, 192 * 9]


@pytest.mark.parametrize("count", [1, 4])
def test_runs_of_records_are_the_same_from_parts(count):
    array = aligned((200, 3, 3, 1))
    sharding = group_sharding(jax.devices()[:1])
    parts = place({"a": array}, sharding, overlap=3, max_elements=9 * 70)["a"]
    assert isinstance(parts, Parts)
    firsts = np.array([0, 61, 63, 64, 127, 128, 130, 200 - count])
    found = jax.vmap(lambda first: take(parts, first, count=count))(firsts)
    expected = np.stack([array[first : first + count] for first in firsts])
    np.testing.assert_array_equal(found, expected)


def test_shapes_are_cut_like_arrays():
    sharding = group_sharding(jax.devices()[:1])
    options = {"overlap": 3, "max_elements": 9 * 70}
    array = place({"a": aligned((200, 3, 3, 1))}, sharding, **options)
    empty = jax.ShapeDtypeStruct((200, 3, 3, 1), np.uint8)
    shape = place({"a": empty}, sharding, **options)
    assert jax.tree.structure(array) == jax.tree.structure(shape)
    assert jax.tree.map(np.shape, array) == jax.tree.map(lambda leaf: leaf.shape, shape)


def test_rows_longer_than_a_part_are_refused():
    sharding = group_sharding(jax.devices()[:1])
    with pytest.raises(InputError, match="rows of 32 records do not fit"):
        place({"a": aligned((200, 3, 3, 1))}, sharding, overlap=31, max_elements=500)


def test_the_cohort_is_read_as_it_is_and_cannot_be_changed(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 48, 48, 1), np.uint8)
    cohort = write_cohort(tmp_path, images, subjects=["a"] * 5 + ["b"] * 4)
    arrays = resident.read_host_arrays(cohort)
    np.testing.assert_array_equal(arrays["image"], images)
    assert arrays["image"].ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        arrays["image"][0] = 0


def test_a_cohort_that_does_not_fit_is_refused_with_figures():
    fits = {
        "data": "cohort",
        "data_bytes": 4_000_000_000,
        "group_bytes": 500_000_000,
        "groups": 2,
        "device": jax.devices()[0],
    }
    resident.check_fit(**fits, available_bytes=5_600_000_000)
    with pytest.raises(InputError, match=r"4\.00 GB \+ 2 x 0\.50 .* = 5\.00 GB.*batch"):
        resident.check_fit(**fits, available_bytes=5_500_000_000)
