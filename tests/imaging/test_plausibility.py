"""Voxels that are no CT, or a mirrored one, are named."""

from __future__ import annotations

import numpy as np
import pytest

from liverjax.imaging import plausibility
from tests.imaging import scans

HU = scans.body_hu().astype(np.float32)


def codes(array: np.ndarray, **options) -> list[str]:
    image = scans.volume(array.astype(np.float32))
    return [item.code for item in plausibility.check_voxels(image, **options)]


def test_a_ct_in_hu_passes():
    assert codes(HU) == []


@pytest.mark.parametrize(
    ("corrupt", "code"),
    [
        (lambda hu: hu + 1024, "rescale-missing"),
        (lambda hu: np.maximum(hu - 1000, -1024), "not-hounsfield"),
        (lambda hu: np.clip(hu, -160, 240), "windowed"),
        (lambda hu: np.round((np.clip(hu, -160, 240) + 160) / 400 * 255), "windowed"),
        (lambda hu: (np.clip(hu, -160, 240) + 160) / 400, "windowed"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "windowed"),
        (lambda hu: hu / 1000, "windowed"),
        (lambda hu: np.where(hu < 0, hu + 65536, hu), "not-hounsfield"),
        (lambda hu: np.full_like(hu, 7), "constant"),
        (lambda hu: np.where(hu > 490, np.nan, hu), "not-finite"),
        (lambda hu: np.where(hu > 490, np.inf, hu), "not-finite"),
        (lambda hu: np.abs(hu) * 0.3 + 5, "not-hounsfield"),
        (lambda hu: hu[:, ::-1], "flipped-anterior-posterior"),
    ],
)
def test_what_is_no_ct_is_named(corrupt, code):
    assert codes(corrupt(HU)) == [code]


def test_a_crop_inside_the_body_is_a_ct_without_air():
    fat = np.where(np.arange(HU.size).reshape(HU.shape) % 5 == 0, -100, 45)
    noise = np.random.default_rng(0).normal(0, 8, HU.shape)
    assert codes(fat + noise) == ["no-air"]


def test_mr_is_asked_for_finite_and_varying_values_only():
    assert codes(np.abs(HU), modality="mr") == []
    assert codes(np.full_like(HU, 7), modality="mr") == ["constant"]


def side_codes(array, liver, spleen=None, **options) -> list[str]:
    findings = plausibility.check_sides(
        scans.volume(array.astype(np.float32)),
        liver=scans.mask_volume(liver),
        spleen=None if spleen is None else scans.mask_volume(spleen),
        **options,
    )
    return [item.code for item in findings]


def test_an_upright_body_is_not_flipped():
    assert side_codes(HU, scans.liver_mask(), scans.spleen_mask()) == []


def test_a_scan_mirrored_left_to_right_is_seen_by_its_liver():
    mirrored = HU[:, :, ::-1], scans.liver_mask()[:, :, ::-1]
    assert side_codes(*mirrored) == ["flipped-left-right"]


@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_a_liver_left_of_the_spleen_is_a_flip(modality):
    liver, spleen = scans.liver_mask()[:, :, ::-1], scans.spleen_mask()[:, :, ::-1]
    found = side_codes(HU[:, :, ::-1], liver, spleen, modality=modality)
    assert found == ["flipped-left-right"]


def test_lungs_below_the_liver_are_a_flip():
    upside_down = HU[::-1], scans.liver_mask()[::-1]
    assert side_codes(*upside_down) == ["flipped-cranial-caudal"]


def test_gas_of_the_bowel_below_the_liver_is_no_lung(shared):
    from liverjax.cohort.examination import MaskSource
    from liverjax.imaging import masks, volumes

    folder = shared / "data/totalsegmentator-ct-mr"
    image, _ = volumes.read_volume(folder / "example_ct.nii.gz")
    source = MaskSource(folder / "example_seg_fast_force_split.nii.gz", segment="5")
    liver, _ = masks.read_mask(source, image=image)
    assert plausibility.check_sides(image, liver=liver) == []


def test_empty_masks_say_nothing_of_sides():
    empty = np.zeros(HU.shape, bool)
    assert side_codes(HU, empty, empty) == []


def test_real_scans_pass_and_their_corrupted_copies_do_not(shared):
    from liverjax.imaging import volumes

    path = shared / "data/totalsegmentator-ct-mr/example_ct.nii.gz"
    image, findings = volumes.read_volume(path)
    assert findings == ()
    image += 1024
    found = [item.code for item in plausibility.check_voxels(image)]
    assert found == ["rescale-missing"]
