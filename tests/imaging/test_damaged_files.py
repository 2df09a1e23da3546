"""Whatever a damaged file holds, it is read or refused, never a traceback."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import masks, volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans
from tests.imaging.test_segmentation_dicom import write_seg
from tests.imaging.test_structures import box_mm, write_struct

HU = scans.body_hu()[4:9]
ALLOWED = ("windowed", "not-hounsfield", "rescale-missing", "no-air")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with bytes overwritten, cut off, lost or put in."""
    changed = bytearray(content)
    at = int(rng.integers(min(len(changed), 3000)))
    match rng.integers(4):
        case 0:
            for _ in range(rng.integers(1, 6)):
                changed[rng.integers(min(len(changed), 3000))] = rng.integers(256)
        case 1:
            del changed[rng.integers(len(changed)) :]
        case 2:
            del changed[at : at + int(rng.integers(1, 20))]
        case _:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def attempt_all(path: pathlib.Path, read, *, seed: int, count: int = 15) -> None:
    rng = np.random.default_rng(seed)
    whole = path.read_bytes()
    refused = 0
    for _ in range(count):
        path.write_bytes(damaged(whole, rng))
        try:
            read()
        except ExaminationError:
            refused += 1
    assert refused > 0
    path.write_bytes(whole)
    read()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_damaged_volume_files(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    compress = suffix != ".nii"
    sitk.WriteImage(scans.volume(HU), str(path), useCompression=compress)
    attempt_all(path, lambda: volumes.read_volume(path, allow=ALLOWED), seed=1)


@pytest.mark.parametrize("compressor", [None, "JPEG2000"])
def test_damaged_slices(tmp_path, compressor):
    paths = scans.write_series(tmp_path, HU)
    if compressor:
        for path in paths:
            scans.compress(path, compressor=compressor)
    attempt_all(paths[2], lambda: volumes.read_volume(tmp_path, allow=ALLOWED), seed=2)


def test_damaged_enhanced_objects(tmp_path):
    path = tmp_path / "enhanced.dcm"
    scans.write_enhanced(path, HU)
    attempt_all(path, lambda: volumes.read_volume(path, allow=ALLOWED), seed=3)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "RTSTRUCT"])
def test_damaged_masks(tmp_path, kind):
    path = tmp_path / "mask.dcm"
    if kind == "RTSTRUCT":
        write_struct(path, {"liver": [box_mm(4), box_mm(5)]})
    else:
        scans.write_series(tmp_path / "ct", scans.body_hu())
        write_seg(path, tmp_path / "ct", kind=kind)
    image = scans.body_volume()
    attempt_all(
        path, lambda: masks.read_mask(MaskSource(path), image=image), seed=4, count=25
    )
