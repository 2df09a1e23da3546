"""Masks from label files and PNGs: placed on the image's grid, or refused."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import masks, volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans

LIVER = scans.liver_mask()


def read(path: pathlib.Path, *, order: str = "", segment: str = "", **options):
    options.setdefault("image", scans.body_volume())
    return masks.read_mask(MaskSource(path, order, segment), **options)


def refused(path: pathlib.Path, **options) -> tuple[str, str]:
    with pytest.raises(ExaminationError) as caught:
        read(path, **options)
    assert str(caught.value).startswith(str(path))
    return caught.value.finding.code, str(caught.value)


def write(path: pathlib.Path, array: np.ndarray) -> pathlib.Path:
    sitk.WriteImage(scans.volume(array), str(path))
    return path


def as_array(mask: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(mask)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("value", [1, 255])
def test_a_binary_file_is_a_mask(tmp_path, suffix, value):
    path = write(tmp_path / f"liver{suffix}", LIVER.astype(np.uint8) * value)
    mask, findings = read(path)
    np.testing.assert_array_equal(as_array(mask), LIVER)
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert mask.GetOrigin() == scans.body_volume().GetOrigin()
    assert findings == ()


def test_a_float_file_of_zeros_and_ones_is_a_mask(tmp_path):
    mask, _ = read(write(tmp_path / "liver.nii.gz", LIVER.astype(np.float32)))
    np.testing.assert_array_equal(as_array(mask), LIVER)


def test_a_mask_stored_along_other_axes_is_turned(tmp_path):
    turned = sitk.DICOMOrient(scans.mask_volume(LIVER), "PIR")
    sitk.WriteImage(turned, str(tmp_path / "liver.nii.gz"))
    mask, _ = read(tmp_path / "liver.nii.gz")
    np.testing.assert_array_equal(as_array(mask), LIVER)


def labels() -> np.ndarray:
    return (5 * LIVER + scans.spleen_mask()).astype(np.uint8)


def test_a_label_map_needs_a_segment(tmp_path):
    path = write(tmp_path / "labels.nii.gz", labels())
    mask, _ = read(path, segment="5")
    np.testing.assert_array_equal(as_array(mask), LIVER)
    mask, _ = read(path, segment="1", organ="spleen")
    np.testing.assert_array_equal(as_array(mask), scans.spleen_mask())
    code, text = refused(path)
    assert code == "segment"
    assert "holds the labels 1, 5" in text
    assert "liver 5, spleen 1" in text


@pytest.mark.parametrize("segment", ["7", "liver", "5.0", "-1"])
def test_a_segment_that_is_not_there_is_refused(tmp_path, segment):
    path = write(tmp_path / "labels.nii.gz", labels())
    assert refused(path, segment=segment)[0] == "segment"


def test_one_label_that_is_not_1_must_be_named(tmp_path):
    path = write(tmp_path / "liver.nii.gz", LIVER.astype(np.uint8) * 5)
    assert refused(path)[0] == "segment"
    assert read(path, segment="5")[0] is not None


@pytest.mark.parametrize("array", [LIVER * 0.5, LIVER * -1.0, LIVER * 70000.0])
def test_values_that_are_no_labels_are_refused(tmp_path, array):
    path = write(tmp_path / "liver.nii.gz", array.astype(np.float32))
    assert refused(path)[0] == "not-binary"


def test_an_empty_mask_is_refused(tmp_path):
    path = write(tmp_path / "liver.nii.gz", np.zeros(LIVER.shape, np.uint8))
    assert refused(path)[0] == "mask-empty"


def test_a_mask_outside_the_body_is_refused_unless_allowed(tmp_path):
    corner = np.zeros(LIVER.shape, np.uint8)
    corner[2:6, 1:5, 1:5] = 1
    path = write(tmp_path / "liver.nii.gz", corner)
    code, text = refused(path)
    assert code == "mask-outside-body"
    assert "100% of the liver mask lies in air" in text
    _, findings = read(path, allow=["mask-outside-body"])
    assert [item.level for item in findings] == ["warning"]


def test_a_mask_on_no_organ_is_named(tmp_path):
    lungs = scans.body_hu() < -700
    lungs[:, :10] = lungs[:, -10:] = False
    lungs |= LIVER
    path = write(tmp_path / "liver.nii.gz", lungs.astype(np.uint8))
    _, findings = read(path, allow=["mask-outside-body"])
    assert findings[0].code in ("organ-hu", "mask-outside-body")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda mask: mask.SetSpacing((4, 4, 5.5)), "spacing"),
        (lambda mask: mask.SetOrigin((-100, -80, 305)), "origin"),
    ],
)
def test_a_mask_on_another_grid_is_refused_and_says_how(tmp_path, change, field):
    mask = scans.mask_volume(LIVER)
    change(mask)
    sitk.WriteImage(mask, str(tmp_path / "liver.nii.gz"))
    code, text = refused(tmp_path / "liver.nii.gz")
    assert code == "mask-grid"
    assert field in text
    assert "never resampled" in text


def test_a_totalsegmentator_folder_is_read_as_it_is(tmp_path):
    write(tmp_path / "liver.nii.gz", LIVER.astype(np.uint8))
    write(tmp_path / "spleen.nii.gz", scans.spleen_mask().astype(np.uint8))
    mask, _ = read(tmp_path)
    np.testing.assert_array_equal(as_array(mask), LIVER)
    mask, _ = read(tmp_path, organ="spleen")
    np.testing.assert_array_equal(as_array(mask), scans.spleen_mask())


def test_what_is_no_mask_says_what_was_expected(tmp_path):
    (tmp_path / "mask.txt").write_text("nothing " * 40)
    code, text = refused(tmp_path / "mask.txt")
    assert code == "not-a-mask"
    assert "TotalSegmentator folder with liver.nii.gz" in text
    (tmp_path / "other.txt").write_text("nothing")
    assert refused(tmp_path)[0] == "not-a-mask"


def test_a_liver_cut_by_the_scan_is_named_with_the_side(tmp_path):
    hu = scans.body_hu()[5:].astype(np.float32)
    path = write(tmp_path / "liver.nii.gz", LIVER[5:].astype(np.uint8))
    mask, (finding,) = read(path, image=scans.volume(hu))
    assert finding.code == "liver-touches-border"
    voxels = np.count_nonzero(LIVER[5])
    for words in (
        f"the liver mask reaches the caudal edge of the scan ({voxels} voxels of",
        "liver_volume_ml stays empty",
        "prepare.slice_range counts slices from the cut end. The examination is used",
        "a series that holds the whole liver",
    ):
        assert words in finding.text
    assert masks.touches_border(mask)
    assert not masks.touches_border(scans.mask_volume(LIVER))


def test_a_liver_cut_at_its_side_is_told_that_patches_lack_it(tmp_path):
    start = np.flatnonzero(LIVER.any(axis=(0, 1)))[2]
    hu = scans.body_hu()[:, :, start:].astype(np.float32)
    path = write(tmp_path / "liver.nii.gz", LIVER[:, :, start:].astype(np.uint8))
    _, (finding,) = read(path, image=scans.volume(hu))
    assert "the right edge of the scan" in finding.text
    assert "patches lack what lies beyond the edge" in finding.text
    assert "slice_range" not in finding.text


def test_a_cut_spleen_costs_its_volume_alone(tmp_path):
    image = scans.volume(scans.body_hu()[5:].astype(np.float32))
    mask = scans.mask_volume(LIVER[5:])
    (finding,) = masks.check_mask(mask, image=image, organ="spleen", modality="mr")
    assert finding.code == "spleen-touches-border"
    assert "spleen_volume_ml stays empty" in finding.text
    assert "slice_range" not in finding.text


def test_loose_pieces_are_named_and_left_out_of_the_largest(tmp_path):
    loose = LIVER.copy()
    loose[5:9, 30:36, 40:44] = True
    mask, findings = read(write(tmp_path / "liver.nii.gz", loose.astype(np.uint8)))
    assert [item.code for item in findings] == ["mask-in-pieces"]
    largest = masks.largest_component(mask)
    np.testing.assert_array_equal(as_array(largest), LIVER)
    assert largest.GetOrigin() == mask.GetOrigin()


def test_pieces_that_meet_at_a_corner_are_two():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0, 0, :3] = 1
    array[1, 1, 3] = 1
    assert as_array(masks.largest_component(scans.mask_volume(array))).sum() == 3


def test_the_largest_piece_of_nothing_is_nothing():
    empty = scans.mask_volume(np.zeros((3, 4, 5)))
    assert as_array(masks.largest_component(empty)).sum() == 0


def test_a_volume_is_voxels_times_their_size():
    array = np.zeros((3, 4, 5), np.uint8)
    array[1, 1:3, 1:4] = 1
    assert masks.volume_ml(scans.mask_volume(array)) == pytest.approx(6 * 80 / 1000)


# PNG stacks.


def write_pngs(
    folder: pathlib.Path, planes: np.ndarray, *, name: str = "liver_{}.png"
) -> pathlib.Path:
    folder.mkdir()
    for number, plane in enumerate(planes):
        picture = sitk.GetImageFromArray(plane.astype(np.uint8) * 255)
        sitk.WriteImage(picture, str(folder / name.format(number)))
    return folder


def test_a_png_stack_is_ordered_by_number_and_by_what_is_said(tmp_path):
    up = write_pngs(tmp_path / "up", LIVER)
    down = write_pngs(tmp_path / "down", LIVER[::-1])
    for folder, order in ((up, "z_up"), (down, "z_down")):
        mask, findings = read(folder, order=order)
        np.testing.assert_array_equal(as_array(mask), LIVER)
        assert findings == ()


def test_a_png_stack_without_an_order_is_refused(tmp_path):
    code, text = refused(write_pngs(tmp_path / "pngs", LIVER))
    assert code == "png-order"
    assert "file_order, z_up, z_down" in text


def test_a_reversed_png_stack_is_refused_and_told(tmp_path):
    low = np.roll(LIVER, -4, axis=0)
    hu = np.roll(scans.body_hu(), -4, axis=0).astype(np.float32)
    folder = write_pngs(tmp_path / "pngs", low[::-1])
    code, text = refused(folder, order="z_up", image=scans.volume(hu))
    assert code == "png-order"
    assert "say z_down" in text


def test_file_order_follows_the_names_of_the_dicom_files(tmp_path):
    # Written names descend as positions ascend, so the first name is the top slice.
    scans.write_series(tmp_path / "ct", scans.body_hu())
    folder = write_pngs(tmp_path / "pngs", LIVER[::-1])
    mask, _ = read(folder, order="file_order", image_path=tmp_path / "ct")
    np.testing.assert_array_equal(as_array(mask), LIVER)


def test_file_order_needs_dicom_files(tmp_path):
    folder = write_pngs(tmp_path / "pngs", LIVER)
    code, text = refused(folder, order="file_order")
    assert code == "png-order"
    assert "say z_up or z_down" in text


def test_pngs_lie_like_the_rows_and_columns_of_the_dicom(tmp_path):
    def prone(dataset, number):
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        z = scans.ORIGIN_MM[2] + 5 * number
        dataset.ImagePositionPatient = [
            scans.ORIGIN_MM[0] + 4 * 59,
            scans.ORIGIN_MM[1] + 4 * 47,
            z,
        ]

    scans.write_series(tmp_path / "ct", scans.body_hu()[:, ::-1, ::-1], change=prone)
    folder = write_pngs(tmp_path / "pngs", LIVER[:, ::-1, ::-1])
    mask, _ = read(folder, order="z_up", image_path=tmp_path / "ct")
    np.testing.assert_array_equal(as_array(mask), LIVER)


def test_too_few_or_too_small_pngs_are_refused(tmp_path):
    code, text = refused(write_pngs(tmp_path / "few", LIVER[:9]), order="z_up")
    assert code == "mask-grid"
    assert "9 pictures for 16 slices" in text
    assert refused(write_pngs(tmp_path / "s", LIVER[:, 1:]), order="z_up")[0] == (
        "mask-grid"
    )


def test_a_broken_png_is_named(tmp_path):
    folder = write_pngs(tmp_path / "pngs", LIVER)
    whole = (folder / "liver_3.png").read_bytes()
    for content in (b"not a png", whole[: len(whole) // 2], b""):
        (folder / "liver_3.png").write_bytes(content)
        code, text = refused(folder, order="z_up")
        assert code == "truncated"
        assert "liver_3.png" in text


def test_in_mri_the_order_of_pngs_cannot_be_tested(tmp_path):
    folder = write_pngs(tmp_path / "pngs", LIVER)
    _, (finding,) = read(folder, order="z_up", modality="mr")
    assert finding.code == "order-unchecked"


# Real masks.


@pytest.fixture(scope="module")
def chaos(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chaos")
    for name in ("DICOM_anon", "Ground"):
        shutil.unpack_archive(shared / f"data/chaos-ct-set3/{name}.zip", folder)
    pngs = next(folder.rglob("liver_GT_000.png")).parent
    dicom = next(folder.rglob("i0000*")).parent
    return dicom, pngs, volumes.read_volume(dicom)[0]


@pytest.mark.parametrize(
    "order", ["file_order", pytest.param("z_down", marks=pytest.mark.slow)]
)
def test_the_chaos_liver_has_1417_5_ml_and_141_hu(chaos, order):
    dicom, pngs, image = chaos
    mask, findings = read(pngs, order=order, image=image, image_path=dicom)
    assert masks.volume_ml(mask) == pytest.approx(1417.49, abs=0.01)
    hu = sitk.GetArrayFromImage(image)[as_array(mask) == 1]
    assert hu.mean() == pytest.approx(141.0, abs=0.05)
    assert hu.std() == pytest.approx(34.1, abs=0.05)
    assert [item.code for item in findings] == ["liver-touches-border"]
    assert as_array(mask)[0].sum() == 3025


def test_the_chaos_liver_reversed_is_refused_with_its_figures(chaos):
    dicom, pngs, image = chaos
    code, text = refused(pngs, order="z_up", image=image, image_path=dicom)
    assert code == "png-order"
    assert "35.6 HU, sd 248.1" in text
    assert "141.0 HU, sd 34.1" in text
    assert "say z_down" in text


def test_totalsegmentator_names_its_labels_in_the_file(shared):
    folder = shared / "data/totalsegmentator-ct-mr"
    image, _ = volumes.read_volume(folder / "example_ct.nii.gz")
    path = folder / "example_seg_fast_force_split.nii.gz"
    by_number, _ = read(path, image=image, segment="5")
    by_organ, _ = read(path, image=image)
    assert masks.volume_ml(by_number) == pytest.approx(1125.7, abs=0.05)
    np.testing.assert_array_equal(as_array(by_number), as_array(by_organ))
    spleen, _ = read(path, image=image, organ="spleen")
    hu = sitk.GetArrayFromImage(image)[as_array(spleen) == 1]
    assert hu.mean() == pytest.approx(32.8, abs=0.05)


def test_a_totalsegmentator_folder_reads_with_its_scan(shared):
    folder = shared / "data/totalsegmentator-ct-mr"
    image, _ = volumes.read_volume(folder / "example_ct_sm.nii.gz")
    mask, _ = read(folder / "example_seg_fast", image=image)
    assert masks.volume_ml(mask) == pytest.approx(1062.45, abs=0.01)


def test_masks_and_scan_in_ras_and_lps_meet(shared):
    folder = shared / "data/totalsegmentator-ct-mr"
    image, _ = volumes.read_volume(folder / "example_mr_sm.nii.gz", modality="mr")
    mask, _ = read(folder / "example_seg_mr.nii.gz", image=image, modality="mr")
    assert masks.volume_ml(mask) == pytest.approx(499.0, abs=0.05)
