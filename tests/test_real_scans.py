"""Real scans through the command lines, from their files to a prediction."""

from __future__ import annotations

import csv
import pathlib
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.registration import grid_of
from liverjax.cohort import records, schema
from liverjax.cohort.examination import MaskSource
from liverjax.imaging.masks import read_mask
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.real_scan import apply_motion, imitate_phase
from tests.whole_path import run

pytestmark = pytest.mark.slow

MOTIONS = {
    "native": ((3.0, -2.0, 5.0), (4.0, -6.0, 8.0)),
    "arterial": ((-2.0, 1.0, -4.0), (-5.0, 3.0, -7.0)),
}


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_row(path: pathlib.Path, row: dict[str, str]) -> pathlib.Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path


def succeed(module: str, *arguments: str) -> str:
    ended = run(module, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def chaos(shared, tmp_path_factory) -> pathlib.Path:
    """The manifest of a portal venous scan, imported, with two phases imitated."""
    folder = tmp_path_factory.mktemp("chaos")
    source = shared / "data" / "chaos-ct-set3"
    for name, part in (("DICOM_anon", "tree/3"), ("Ground", "mask")):
        with zipfile.ZipFile(source / f"{name}.zip") as file:
            file.extractall(folder / part)
    out = folder / "study"
    succeed(
        "data_prep.dicom",
        f"--input={folder / 'tree'}",
        f"--out={out}",
        "--subject-from=folder",
    )
    (row,) = rows(out / "manifest.csv")
    pictures = next((folder / "mask").rglob("*.png")).parent
    scan = sitk.ReadImage(str(out / row["venous"]), sitk.sitkFloat32)
    # In the order of the DICOM files, whose first is the highest slice.
    mask, _ = read_mask(MaskSource(pictures, order="z_down"), image=scan)
    by_file, _ = read_mask(
        MaskSource(pictures, order="file_order"),
        image=scan,
        image_path=folder / "tree" / "3",
    )
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (mask, by_file)))
    volume, liver = (sitk.GetArrayFromImage(image) for image in (scan, mask))
    centre = scan.TransformContinuousIndexToPhysicalPoint(
        [n / 2 for n in scan.GetSize()]
    )
    for phase, (rotation_deg, translation_mm) in MOTIONS.items():
        motion = PhaseMotion(
            matrix=rigid_matrix(
                rotation_deg=rotation_deg,
                translation_mm=translation_mm,
                center_mm=centre,
            )
        )
        other = imitate_phase(
            np.random.default_rng(0), volume=volume, liver=liver > 0, phase=phase
        )
        moved = apply_motion(other, grid=grid_of(scan), motion=motion)
        image = sitk.GetImageFromArray(np.rint(moved).astype(np.int16))
        image.CopyInformation(scan)
        row[phase] = f"{phase}.nii.gz"
        sitk.WriteImage(image, str(out / row[phase]))
    row |= {
        "mask_venous": str(pictures),
        "mask_venous_order": "z_down",
        "child_pugh": "7",
    }
    return write_row(out / "manifest.csv", row)


def test_a_scan_and_its_imitated_phases_are_checked_and_prepared(chaos, tmp_path):
    study = ("--config=configs/cp_ct.py", f"--manifest={chaos}")
    ended = run("data_prep.check", *study, "--deep")
    assert "liver 1417 ml" in ended.stdout
    assert "(liver-touches-border)" in ended.stdout
    assert ended.returncode == 1
    assert "1 problem\n  - training will stop: 1 subjects cannot be" in ended.stderr
    succeed("data_prep.build", *study, f"--out={tmp_path}")
    (row,) = rows(tmp_path / "qc" / "status.csv")
    assert (row["status"], row["codes"]) == ("warning", "liver-touches-border")
    assert float(row["liver_mask_ml"]) == pytest.approx(1417.5, rel=0.01)
    for phase, (rotation_deg, _) in MOTIONS.items():
        angle = float(np.linalg.norm(rotation_deg))
        assert float(row[f"{phase}_rotation_deg"]) == pytest.approx(angle, abs=0.1)
        assert float(row[f"{phase}_liver_residual_mm"]) < 0.5
    (examination,) = rows(tmp_path / "examinations.csv")
    # Cut by the scan: no volume to be taken for the liver's.
    assert examination["liver_volume_ml"] == ""


def test_a_scan_is_predicted_by_a_run_that_never_saw_one(chaos, finished, tmp_path):
    table = tmp_path / "predicted.csv"
    said = succeed(
        "liverjax.predict", f"--run={finished}", f"--study={chaos}", f"--out={table}"
    )
    assert "Not a medical device" in said
    (row,) = rows(table)
    assert 5 <= float(row["score"]) <= 15


def test_one_phase_of_one_scan_is_prepared_by_the_one_channel_study(shared, tmp_path):
    source = shared / "data" / "totalsegmentator-ct-mr"
    manifest = write_row(
        tmp_path / "manifest.csv",
        {
            "subject": "s1",
            "venous": str(source / "example_ct.nii.gz"),
            "mask_venous": str(source / "example_seg_fast_force_split.nii.gz"),
            "mask_venous_segment": "5",
            "child_pugh": "5",
        },
    )
    succeed(
        "data_prep.build",
        "--config=configs/cp_ct.py:one_channel",
        f"--manifest={manifest}",
        f"--out={tmp_path / 'cohort'}",
    )
    (row,) = rows(tmp_path / "cohort" / "examinations.csv")
    # The dome is missing, so the liver has no volume.
    assert (row["liver_touches_border"], row["liver_volume_ml"]) == ("1", "")
    cohort = schema.open_cohort(tmp_path / "cohort")
    images = records.read_records(cohort)[schema.IMAGE]
    assert images.shape == (25, 288, 288, 1)
    assert images.max() > 200
