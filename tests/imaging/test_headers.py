from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import grids, headers, volume_files
from liverjax.imaging.findings import ExaminationError


def make(
    path: pathlib.Path,
    *,
    shape: tuple[int, int, int] = (6, 5, 4),
    spacing_mm: tuple[float, float, float] = (3.0, 2.0, 1.0),
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    origin_mm: tuple[float, float, float] = (-10.0, 20.0, 30.0),
) -> sitk.Image:
    image = grids.make_volume(
        np.zeros(shape, np.int16),
        origin_mm=origin_mm,
        spacing_mm=spacing_mm,
        direction=direction,
    )
    sitk.WriteImage(image, str(path))
    return image


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(order), range(3)] = signs
            yield matrix


def test_a_headers_grid_is_that_of_the_volume_read_in_all_48_orientations(tmp_path):
    for number, matrix in enumerate(signed_permutations()):
        path = tmp_path / f"{number}.nrrd"
        image = make(path, direction=tuple(map(float, matrix.ravel())))
        read = grids.to_caudal_cranial(image)
        grid = headers.read_header(path).grid
        assert grid is not None
        assert grid.shape == read.GetSize()[::-1]
        np.testing.assert_allclose(grid.spacing_mm, read.GetSpacing()[::-1])
        ends = [(0, n - 1) for n in grid.shape]
        corners = [
            read.TransformIndexToPhysicalPoint((w, h, d))
            for d, h, w in itertools.product(*ends)
        ]
        np.testing.assert_allclose(grid.corners_mm(), corners, atol=1e-9)


def test_an_oblique_grid_keeps_its_angle(tmp_path):
    c, s = np.cos(0.1), np.sin(0.1)
    make(
        tmp_path / "a.nrrd",
        direction=(1.0, 0.0, 0.0, 0.0, float(c), float(-s), 0.0, float(s), float(c)),
    )
    grid = headers.read_header(tmp_path / "a.nrrd").grid
    assert grid is not None
    np.testing.assert_allclose(grid.to_lps[:, 0] / 3.0, (0, -s, c), atol=1e-9)


def test_a_file_that_is_no_image_is_a_finding(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    header = headers.read_header(tmp_path / "a.nii.gz")
    assert header.grid is None
    assert [f.code for f in header.findings] == ["not-an-image"]


def test_a_truncated_nifti_is_seen_by_its_length(tmp_path):
    path = tmp_path / "a.nii"
    make(path)
    path.write_bytes(path.read_bytes()[:-10])
    assert [f.code for f in headers.read_header(path).findings] == ["truncated"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_in_a_nifti_is_seen_before_itk_makes_it_zero(tmp_path, suffix, dtype):
    array = np.arange(6 * 5 * 3, dtype=dtype).reshape(6, 5, 3)
    array[0, 0, 0], array[-1, -1, -1] = np.nan, np.inf
    image = grids.make_volume(
        array, origin_mm=(0.0, 0.0, 0.0), spacing_mm=(1.0, 1.0, 1.0)
    )
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    with pytest.raises(ExaminationError, match="2 voxels are NaN") as caught:
        volume_files.read(path)
    assert caught.value.finding.code == "not-finite"
    assert volume_files.read(path, allow=["not-finite"])[0].GetSize() == (3, 5, 6)


def test_impossible_spacing_is_a_finding(tmp_path):
    make(tmp_path / "a.nrrd", spacing_mm=(50.0, 1.0, 1.0))
    found = headers.read_header(tmp_path / "a.nrrd").findings
    assert [f.code for f in found] == ["impossible-spacing"]


def test_a_mask_stored_with_other_axes_on_the_same_grid_is_right(tmp_path):
    image = make(tmp_path / "image.nii.gz")
    sitk.WriteImage(sitk.DICOMOrient(image, "RAS"), str(tmp_path / "mask.nii.gz"))
    grid = headers.read_header(tmp_path / "image.nii.gz").grid
    source = MaskSource(tmp_path / "mask.nii.gz")
    assert headers.read_mask_header(source, image=grid, organ="liver").findings == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (6, 5, 3)}, "size (d, h, w) (6, 5, 3) instead of (6, 5, 4)"),
        ({"shape": (6, 4, 5)}, "axes are exchanged"),
        ({"spacing_mm": (3.0, 2.0, 1.1)}, "spacing mm (d, h, w) (3.0, 2.0, 1.1)"),
        ({"origin_mm": (-10.0, 20.0, 33.0)}, "corners lie up to 3.0 mm away"),
    ],
)
def test_a_mask_on_another_grid_is_named(tmp_path, change, words):
    make(tmp_path / "image.nrrd")
    make(tmp_path / "mask.nrrd", **change)
    grid = headers.read_header(tmp_path / "image.nrrd").grid
    source = MaskSource(tmp_path / "mask.nrrd")
    (finding,) = headers.read_mask_header(source, image=grid, organ="liver").findings
    assert finding.code == "mask-grid"
    assert words in finding.text


def test_a_folder_of_one_file_an_organ_is_read_by_the_organ(tmp_path):
    make(tmp_path / "image.nii.gz")
    make(tmp_path / "spleen.nii.gz", shape=(2, 2, 2))
    make(tmp_path / "liver.nii.gz")
    grid = headers.read_header(tmp_path / "image.nii.gz").grid
    found = {
        organ: headers.read_mask_header(
            MaskSource(tmp_path), image=grid, organ=organ
        ).findings
        for organ in ("liver", "spleen")
    }
    assert found["liver"] == ()
    assert found["spleen"][0].code == "mask-grid"


def test_the_number_of_pngs_is_compared_with_the_slices(tmp_path):
    make(tmp_path / "image.nrrd")
    (tmp_path / "masks").mkdir()
    for number in range(5):
        (tmp_path / "masks" / f"{number}.png").touch()
    grid = headers.read_header(tmp_path / "image.nrrd").grid
    source = MaskSource(tmp_path / "masks", "z_up")
    (finding,) = headers.read_mask_header(source, image=grid, organ="liver").findings
    assert "5 PNGs for 6 slices" in finding.text


def test_spread_is_the_excess_of_the_largest():
    assert headers.spacing_spread([0.8, 1.0, 0.9]) == pytest.approx(0.25)
    assert headers.spacing_spread([]) == 0.0
