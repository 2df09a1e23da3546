"""Volume files are read as they lie in the patient, or refused with the reason."""

from __future__ import annotations

import gzip
import pathlib
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging import volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans


def refused(path: pathlib.Path, **options) -> tuple[str, str]:
    with pytest.raises(ExaminationError) as caught:
        volumes.read_volume(path, **options)
    assert str(caught.value).startswith(str(path))
    return caught.value.finding.code, str(caught.value)


def write(path: pathlib.Path, array: np.ndarray | None = None) -> pathlib.Path:
    image = scans.body_volume() if array is None else scans.volume(array)
    sitk.WriteImage(image, str(path), useCompression=path.suffix != ".nii")
    return path


def patch(path: pathlib.Path, fields: dict[int, tuple[str, tuple]]) -> pathlib.Path:
    """Overwrites fields of an uncompressed NIfTI-1 header: offset -> format, values."""
    content = bytearray(path.read_bytes())
    for offset, (code, values) in fields.items():
        struct.pack_into(f"<{code}", content, offset, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_every_format_gives_the_same_volume(tmp_path, suffix):
    image, findings = volumes.read_volume(write(tmp_path / f"scan{suffix}"))
    assert findings == ()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scans.body_hu())
    np.testing.assert_allclose(image.GetOrigin(), scans.ORIGIN_MM, atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), scans.SPACING_MM[::-1], rtol=1e-6)
    assert image.GetPixelID() == sitk.sitkFloat32


def test_a_ras_file_is_turned_to_lps(tmp_path):
    stored = sitk.DICOMOrient(scans.body_volume(), "RAS")
    sitk.WriteImage(stored, str(tmp_path / "scan.nii.gz"))
    image, _ = volumes.read_volume(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scans.body_hu())


def test_values_below_air_are_clamped(tmp_path):
    hu = scans.body_hu()
    hu[:, :4] = -3024
    image, _ = volumes.read_volume(write(tmp_path / "scan.nrrd", hu))
    assert sitk.GetArrayFromImage(image).min() == -1024


def test_mr_is_not_clamped(tmp_path):
    image, _ = volumes.read_volume(
        write(tmp_path / "scan.nrrd", scans.body_hu() * 3), modality="mr"
    )
    assert sitk.GetArrayFromImage(image).min() == -3000


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.02, 0.6, 0.995])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = write(tmp_path / f"scan{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    code, _ = refused(path)
    assert code in ("truncated", "not-an-image")


@pytest.mark.parametrize(
    "name", ["scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha", "scan.txt", "scan.dcm"]
)
def test_what_is_no_image_is_refused(tmp_path, name):
    (tmp_path / name).write_text("<html>not found</html>" * 40)
    assert refused(tmp_path / name)[0] == "not-an-image"


def test_a_missing_file_is_named(tmp_path):
    assert refused(tmp_path / "gone.nii.gz")[0] == "missing"


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "scan.zip").write_bytes(b"PK")
    code, text = refused(tmp_path / "scan.zip")
    assert code == "not-an-image"
    assert text.endswith("unpack it first")


def test_a_gzip_under_another_name_is_refused(tmp_path):
    path = write(tmp_path / "scan.nii")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert refused(path)[0] == "not-an-image"


def test_a_nifti_without_orientation_is_refused(tmp_path):
    path = patch(write(tmp_path / "scan.nii"), {252: ("hh", (0, 0))})
    code, text = refused(path)
    assert code == "no-orientation"
    assert "no orientation is invented" in text


def test_a_sheared_nifti_is_refused(tmp_path):
    sform = (4, 0.5, 0, 0, 0, 4, 0, 0, 0, 0, 5, 0)
    path = patch(write(tmp_path / "scan.nii"), {280: ("12f", sform)})
    assert refused(path)[0] == "sheared-axes"


def test_sform_and_qform_that_disagree_are_refused_unless_allowed(tmp_path):
    # The sform mirrored against the qform, both declared valid.
    sform = (4, 0, 0, -100, 0, -4, 0, 80, 0, 0, 5, 300)
    path = patch(
        write(tmp_path / "scan.nii"), {252: ("hh", (1, 1)), 280: ("12f", sform)}
    )
    code, text = refused(path)
    assert code == "conflicting-orientation"
    assert "apart" in text
    _, findings = volumes.read_volume(path, allow=["conflicting-orientation"])
    assert [item.level for item in findings] == ["warning"]


def test_a_spacing_of_zero_is_refused(tmp_path):
    sform = (4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    path = patch(write(tmp_path / "scan.nii"), {280: ("12f", sform)})
    assert refused(path)[0] == "impossible-spacing"


def test_slices_further_apart_than_2_cm_are_refused(tmp_path):
    image = scans.body_volume()
    image.SetSpacing((4, 4, 50))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    assert refused(tmp_path / "scan.nii.gz")[0] == "impossible-spacing"


def test_four_dimensions_are_refused_with_what_to_do(tmp_path):
    phases = sitk.JoinSeries([scans.body_volume()] * 3)
    sitk.WriteImage(phases, str(tmp_path / "scan.nii.gz"))
    code, text = refused(tmp_path / "scan.nii.gz")
    assert code == "four-dimensional"
    assert "write each time point or phase to a file of its own" in text


def test_a_fourth_axis_of_one_point_is_dropped(tmp_path):
    path = write(tmp_path / "scan.nii")
    patch(path, {40: ("8h", (4, 60, 48, 16, 1, 1, 1, 1))})
    image, _ = volumes.read_volume(path)
    assert image.GetSize() == (60, 48, 16)


def test_a_picture_is_no_volume(tmp_path):
    for name, array in {"flat.nrrd": scans.body_hu()[8], "one.nrrd": None}.items():
        image = scans.body_volume()[:, :, :1] if array is None else None
        image = sitk.GetImageFromArray(array) if image is None else image
        sitk.WriteImage(image, str(tmp_path / name))
        assert refused(tmp_path / name)[0] in ("two-dimensional", "no-orientation")


def test_colour_is_refused(tmp_path):
    image = sitk.Compose([scans.body_volume()] * 3)
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    assert refused(tmp_path / "scan.mha")[0] == "not-scalar"


def test_a_header_that_announces_a_bomb_is_refused_unread(tmp_path):
    path = write(tmp_path / "scan.nii")
    patch(path, {40: ("8h", (3, 32000, 32000, 32000, 1, 1, 1, 1))})
    assert refused(path)[0] == "too-large"


@pytest.mark.parametrize(
    "target", ["../secret.raw", "/etc/hostname", "LIST", "%03d.raw"]
)
def test_a_header_does_not_reach_outside_its_folder(tmp_path, target):
    write(tmp_path / "scan.mhd")
    lines = (tmp_path / "scan.mhd").read_text().splitlines()
    lines[-1] = f"ElementDataFile = {target}"
    (tmp_path / "scan.mhd").write_text("\n".join(lines))
    assert refused(tmp_path / "scan.mhd")[0] == "outside-folder"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    write(inside / "scan.mhd")
    data = next(p for p in inside.iterdir() if p.suffix != ".mhd")
    data.rename(outside / data.name)
    data.symlink_to(outside / data.name)
    assert refused(inside / "scan.mhd")[0] == "outside-folder"


def test_metaimages_and_nrrds_without_orientation_are_refused(tmp_path):
    path = write(tmp_path / "scan.mhd")
    lines = [
        line for line in path.read_text().splitlines() if "TransformMatrix" not in line
    ]
    path.write_text("\n".join(lines))
    assert refused(path)[0] == "no-orientation"
    nrrd = write(tmp_path / "scan.nrrd")
    nrrd.write_bytes(nrrd.read_bytes().replace(b"space:", b"spacy:", 1))
    assert refused(nrrd)[0] == "no-orientation"


def test_a_windowed_scan_is_refused_unless_allowed(tmp_path):
    path = write(tmp_path / "scan.nii.gz", np.clip(scans.body_hu(), -160, 240))
    assert refused(path)[0] == "windowed"
    _, (finding,) = volumes.read_volume(path, allow=["windowed"])
    assert finding.level == "warning"
    assert finding.text.endswith("(allowed by name)")


def test_the_totalsegmentator_ct_reads(shared):
    path = shared / "data/totalsegmentator-ct-mr/example_ct.nii.gz"
    image, findings = volumes.read_volume(path)
    assert image.GetSize() == (122, 101, 112)
    np.testing.assert_allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6)
    assert findings == ()


def test_an_lps_mr_reads_and_is_no_ct(shared):
    path = shared / "data/totalsegmentator-ct-mr/example_mr_sm.nii.gz"
    image, _ = volumes.read_volume(path, modality="mr")
    assert image.GetSize() == (117, 91, 20)
    assert refused(path)[0] == "not-hounsfield"
