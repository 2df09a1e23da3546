from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging import grids
from liverjax.imaging.enhancement import Enhancement, measure_enhancement
from liverjax.imaging.roles import phase_of_voxels
from liverjax.imaging.volumes import read_volume


def body(
    *, liver_hu: float, aorta_hu: float, pixel_mm: float = 4.0, liver_mm: float = 55.0
) -> sitk.Image:
    """A fat body on a table with a liver on its right, a spine and an aorta."""
    slices, pixels = 32, round(320 / pixel_mm)
    z = (np.arange(slices)[:, None, None] - 16) * 5.0
    y = (np.arange(pixels)[None, :, None] - pixels / 2) * pixel_mm
    x = (np.arange(pixels)[None, None, :] - pixels / 2) * pixel_mm
    hu = np.full((slices, pixels, pixels), -1000.0)
    hu[np.broadcast_to(np.hypot(x / 140, y / 110) < 1, hu.shape)] = -90.0
    hu[np.broadcast_to((y > 130) & (y < 140), hu.shape)] = 0.0
    hu[np.sqrt(z**2 + (y + 20) ** 2 + (x + 70) ** 2) < liver_mm] = liver_hu
    hu[np.broadcast_to(np.hypot(x, y - 70) < 18, hu.shape)] = 400.0
    hu[np.broadcast_to(np.hypot(x, y - 70) < 10, hu.shape)] = 20.0
    hu[np.broadcast_to(np.hypot(x - 12, y - 15) < 13, hu.shape)] = aorta_hu
    noise = np.random.default_rng(0).normal(0, 10, hu.shape)
    return grids.make_volume(
        (hu + noise).astype(np.float32),
        origin_mm=(0.0, 0.0, 0.0),
        spacing_mm=(5.0, pixel_mm, pixel_mm),
    )


def test_air_has_neither_vessels_nor_liver():
    air = grids.make_volume(
        np.full((8, 20, 20), -1000, np.float32),
        origin_mm=(0.0, 0.0, 0.0),
        spacing_mm=(5.0, 4.0, 4.0),
    )
    found = measure_enhancement(air)
    assert math.isnan(found.vessel_hu)
    assert math.isnan(found.liver_hu)


@pytest.mark.parametrize("pixel_mm", [4.0, 1.6])
@pytest.mark.parametrize(
    ("liver_hu", "aorta_hu", "phase"),
    [(55.0, 42.0, "native"), (65.0, 300.0, "arterial"), (110.0, 150.0, "venous")],
)
def test_a_phase_is_seen_by_its_vessel_and_liver(liver_hu, aorta_hu, phase, pixel_mm):
    found = measure_enhancement(
        body(liver_hu=liver_hu, aorta_hu=aorta_hu, pixel_mm=pixel_mm)
    )
    assert found.liver_hu == pytest.approx(liver_hu, abs=3)
    # The disc is the brightest of some by noise and by the edge's absence.
    assert found.vessel_hu == pytest.approx(aorta_hu, abs=12)
    assert phase_of_voxels(found) == phase


def test_no_liver_is_found_where_no_ball_of_tissue_is_large():
    found = measure_enhancement(body(liver_hu=55.0, aorta_hu=42.0, liver_mm=20.0))
    assert math.isnan(found.liver_hu)


def test_a_mirrored_body_has_no_liver_on_its_right():
    image = body(liver_hu=55.0, aorta_hu=42.0)
    mirrored = grids.make_volume(
        sitk.GetArrayFromImage(image)[:, :, ::-1],
        origin_mm=(0.0, 0.0, 0.0),
        spacing_mm=(5.0, 4.0, 4.0),
    )
    assert math.isnan(measure_enhancement(mirrored).liver_hu)


def test_a_native_scan_is_seen_as_one(shared):
    path = shared / "data" / "totalsegmentator-ct-mr" / "example_ct.nii.gz"
    found = measure_enhancement(read_volume(path)[0])
    assert isinstance(found, Enhancement)
    # The mask of the reference set says 44.5 HU.
    assert found.liver_hu == pytest.approx(44.5, abs=2)
    assert phase_of_voxels(found) == "native"
