from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from liverjax.cohort import records, schema
from liverjax.errors import InputError

from .small import RECIPE, write_cohort


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 6, 6, 1), dtype=np.uint8)


@pytest.fixture
def cohort(tmp_path, images):
    return write_cohort(tmp_path, images, subjects=list("aaabbbcccc"))


def test_records_are_read_in_the_asked_order_across_shards(cohort, images):
    numbers = [9, 0, 4, 4, 3]
    read = records.read_records(cohort, numbers=numbers)
    np.testing.assert_array_equal(read["image"], images[numbers])


def test_all_records_are_read_by_default(cohort, images):
    np.testing.assert_array_equal(records.read_records(cohort)["image"], images)


def test_a_record_number_out_of_range_is_refused(cohort):
    with pytest.raises(InputError, match="reach 10, the cohort has 10"):
        records.read_records(cohort, numbers=[10])


def test_two_arrays_of_a_record_come_back_apart():
    recipe = dataclasses.replace(RECIPE, store_px=48, mask_channels=("liver", "spleen"))
    specs = recipe.arrays()
    image = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48, 1)
    mask = np.ones((48, 48, 2), np.uint8)
    content = records.encode({"image": image, "mask": mask}, specs=specs)
    decoded = records.decode(content, specs=specs)
    np.testing.assert_array_equal(decoded["image"], image)
    np.testing.assert_array_equal(decoded["mask"], mask)
    with pytest.raises(InputError, match="6911 bytes, 6912 declared"):
        records.decode(content[:-1], specs=specs)


def test_an_array_of_another_shape_is_not_written():
    with pytest.raises(ValueError, match=r"uint8\(3, 3, 1\) given"):
        records.encode({"image": np.zeros((3, 3, 1), np.uint8)}, specs=RECIPE.arrays())


def test_shards_of_the_same_records_have_the_same_bytes(tmp_path, images):
    one = write_cohort(tmp_path / "1", images, subjects=list("aaabbbcccc"))
    two = write_cohort(tmp_path / "2", images, subjects=list("aaabbbcccc"))
    assert one.shards == two.shards
    assert one.fingerprint == two.fingerprint


def test_the_recipe_comes_back_as_it_was_written(cohort):
    assert cohort.recipe == dataclasses.replace(RECIPE, store_px=6, patch_px=6)
    assert cohort.num_records == 10
    assert cohort.nbytes == 360


def test_an_altered_shard_is_named(cohort):
    path = cohort.path / cohort.shards[1].file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path.name}: altered"):
        schema.open_cohort(cohort.path)


@pytest.mark.parametrize("name", ["index.csv", "shards-00000-of-00003.array_record"])
def test_a_missing_file_of_a_cohort_is_named(cohort, name):
    (cohort.path / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: missing"):
        schema.open_cohort(cohort.path)
    with pytest.raises(InputError, match=r"missing"):
        schema.open_cohort(cohort.path, verify=False)


def test_another_schema_is_refused(cohort):
    header = cohort.path / "cohort.json"
    header.write_text(header.read_text().replace('"schema": 1', '"schema": 7'))
    with pytest.raises(InputError, match="schema 7, this version reads 1"):
        schema.open_cohort(cohort.path)


def test_a_folder_that_is_no_cohort_is_refused(tmp_path):
    with pytest.raises(InputError, match="no prepared cohort"):
        schema.open_cohort(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slice_range": (0.8, 0.2)}, "slice_range"),
        ({"store_px": 10}, "store_px=10: expected at least patch_px=48"),
        ({"reference": "late"}, "reference='late'"),
        ({"registration": "affine"}, "registration='affine': expected one of"),
        ({"channels": ()}, "channels"),
        ({"inplane_spacing_mm": -1.0}, "inplane_spacing_mm"),
    ],
)
def test_an_impossible_recipe_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(RECIPE, **change)
