from __future__ import annotations

import dataclasses
import pathlib
import pickle

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.cohort.examination import Examination
from liverjax.cohort.schema import INDEX_COLUMNS
from liverjax.cohort.write import our_columns
from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.prepare import Prepared, prepare_examination, slice_hash
from tests.imaging.study import REGISTERED, STILL, read, write_study


@pytest.fixture
def examination(tmp_path) -> Examination:
    return read(write_study(tmp_path, subjects=1)).examinations[0]


def prepare(examination: Examination, **recipe) -> Prepared:
    return prepare_examination(examination, recipe=dataclasses.replace(STILL, **recipe))


def array_of(path: pathlib.Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def rewrite(path: pathlib.Path, change) -> None:
    image = sitk.ReadImage(str(path))
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def test_records_index_and_columns_are_as_the_schema_says(examination):
    found = prepare(examination)
    image = found.arrays["image"]
    assert image.shape == (len(found.index), 40, 40, 3)
    assert image.dtype == np.uint8
    assert {len(np.unique(image[..., c])) > 20 for c in range(3)} == {True}
    for row in found.index:
        assert tuple(row) == INDEX_COLUMNS[3:]
    assert set(found.values) <= set(our_columns(STILL))
    assert found.values["has_native"] == 1
    assert found.findings == ()


@pytest.mark.slow
def test_preparing_twice_gives_the_same_bytes(examination):
    recipe = dataclasses.replace(REGISTERED, registration_region="liver_margin")
    first, second = (
        pickle.dumps(prepare_examination(examination, recipe=recipe)) for _ in range(2)
    )
    assert first == second


def test_registration_finds_that_nobody_moved(examination):
    found = prepare_examination(examination, recipe=REGISTERED)
    assert found.measures["arterial_rotation_deg"] < 0.5
    assert found.measures["arterial_translation_mm"] < 1
    assert found.measures["arterial_liver_residual_mm"] < 1.75
    matrix = np.fromstring(found.values["arterial_matrix"], sep=" ").reshape(3, 4)
    assert matrix[:, :3] == pytest.approx(np.eye(3), abs=0.01)


def test_native_pixels_of_the_reference_reach_the_record_unchanged(examination):
    found = prepare(examination, inplane_spacing_mm=None, store_px=20, patch_px=16)
    row = found.index[0]
    scan = array_of(examination.images["venous"])
    # The phantom's files run from caudal to cranial, front to back, right to left.
    grid = np.array(row["ijk_to_lps"].split(), float).reshape(3, 4)
    header = sitk.ReadImage(str(examination.images["venous"]))
    corner = header.TransformPhysicalPointToIndex(grid[:, 3].tolist())
    plane = scan[row["source_slice"], corner[1] :][:20, corner[0] :][:, :20]
    expected = np.floor(np.clip((plane + 160.0) * 255 / 400, 0, 255) + 0.5)
    assert np.array_equal(found.arrays["image"][0, ..., 2], expected)


def test_masks_are_stored_with_their_labels(examination):
    found = prepare(examination, mask_channels=("liver", "spleen"))
    planes = found.arrays["mask"]
    assert set(np.unique(planes[..., 0])) == {0, 1}
    assert set(np.unique(planes[..., 1])) <= {0, 2}
    area_mm2 = (planes[0, ..., 0] == 1).sum() * 7.0**2
    assert area_mm2 == pytest.approx(found.index[0]["liver_area_mm2"], rel=0.15)


def test_a_single_channel_needs_no_other_phase(examination):
    alone = dataclasses.replace(
        examination, images={"venous": examination.images["venous"]}
    )
    found = prepare(alone, channels=("venous",))
    assert found.arrays["image"].shape[-1] == 1
    assert not any("residual" in name for name in found.measures)


def test_an_optional_phase_that_is_absent_is_zero_and_flagged(examination):
    images = dict(examination.images)
    del images["native"]
    without = dataclasses.replace(examination, images=images)
    found = prepare(without, optional_channels=("native",))
    assert found.values["has_native"] == 0
    assert not found.arrays["image"][..., 0].any()
    assert found.arrays["image"][..., 1].any()
    with pytest.raises(ExaminationError, match="the native phase is missing"):
        prepare(without)


def test_a_missing_mask_is_named(examination):
    with pytest.raises(ExaminationError, match="no mask of the liver on the venous"):
        prepare(dataclasses.replace(examination, masks={}))
    with pytest.raises(ExaminationError, match="no mask of the spleen"):
        prepare(
            dataclasses.replace(examination, spleen_masks={}), mask_channels=("spleen",)
        )


def test_swapped_phases_are_refused_by_name_and_allowed_by_name(examination):
    images = dict(examination.images)
    images["native"], images["arterial"] = images["arterial"], images["native"]
    swapped = dataclasses.replace(examination, images=images)
    with pytest.raises(ExaminationError, match="native and arterial look swapped"):
        prepare(swapped)
    found = prepare_examination(swapped, recipe=STILL, allow=("phases-swapped",))
    assert [finding.code for finding in found.findings] == ["phases-swapped"]
    assert found.findings[0].level == "warning"


def test_a_failed_registration_names_the_phase(examination):
    def noise(array):
        rng = np.random.default_rng(0)
        return rng.integers(-1000, 1000, array.shape).astype(np.int16)

    rewrite(examination.images["arterial"], noise)
    with pytest.raises(ExaminationError) as caught:
        prepare_examination(examination, recipe=REGISTERED)
    assert caught.value.finding.code in ("registration-failed", "not-hounsfield")
    assert "arterial" in str(caught.value)


def test_little_of_the_liver_in_the_patch_warns(examination):
    found = prepare(examination, patch_px=12, store_px=40)
    (finding,) = found.findings
    assert finding.code == "liver-coverage"
    assert found.measures["liver_coverage"] < 0.9


def test_a_phase_that_ends_inside_the_liver_warns(examination):
    path = examination.images["arterial"]
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image[:, :, : image.GetDepth() // 2 + 1], str(path))
    codes = [finding.code for finding in prepare(examination).findings]
    assert "liver-not-scanned" in codes


def test_a_liver_at_the_border_has_no_volume_but_its_mask_has(examination):
    mask = examination.masks["venous"].path
    spleen = examination.spleen_masks["venous"].path
    low = int(np.flatnonzero(array_of(mask).any((1, 2)))[0]) + 3
    for path in (examination.images["venous"], mask, spleen):
        sitk.WriteImage(sitk.ReadImage(str(path))[:, :, low:], str(path))
    found = prepare(examination)
    assert "liver-touches-border" in [finding.code for finding in found.findings]
    assert found.values["liver_volume_ml"] is None
    assert found.values["liver_touches_border"] == 1
    assert found.measures["liver_mask_ml"] > 100


def test_a_slices_hash_does_not_depend_on_the_stored_type():
    hu = np.random.default_rng(0).integers(-1024, 3000, (8, 9))
    assert slice_hash(hu.astype(np.int16)) == slice_hash(hu.astype(np.float32))
    assert slice_hash(hu) != slice_hash(hu.reshape(9, 8))
    assert slice_hash(hu) != slice_hash(hu + 1)
