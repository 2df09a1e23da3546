from __future__ import annotations

import csv
import pathlib
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from data_prep import dicom, phantom
from liverjax.errors import InputError, run_command
from liverjax.imaging.volumes import read_volume


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def test_a_portal_venous_scan_without_id_and_date_goes_through(
    shared, tmp_path, capsys
):
    tree = unpack(
        shared / "data" / "chaos-ct-set3" / "DICOM_anon.zip", tmp_path / "tree" / "3"
    )
    out = tmp_path / "out"
    with pytest.raises(InputError, match="1 of 1 studies have no PatientID"):
        dicom.main([f"--input={tree.parent}", f"--out={out}"])
    assert not out.exists()
    status = dicom.main(
        [f"--input={tree.parent}", f"--out={out}", "--subject-from=folder"]
    )
    assert status == 0
    assert "roles: venous 1 of 1" in capsys.readouterr().out
    (row,) = rows(out / "manifest.csv")
    assert (row["exam_day"], row["native"], row["child_pugh"]) == ("", "", "")
    (series,) = rows(out / "series.csv")
    assert "vessels 165 HU, liver 144 HU: venous" in series["evidence"]
    codes = {finding["code"] for finding in rows(out / "findings.csv")}
    assert codes == {"no-study-date", "protocol-of-mri"}
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(out / row["venous"])))
    # The intercept is -1000, and its first file is its highest slice.
    assert (image.shape, image.min()) == ((78, 512, 512), -1000)
    expected = sitk.GetArrayFromImage(read_volume(tree)[0])
    np.testing.assert_array_equal(image, expected)


@pytest.mark.slow
def test_a_scan_with_padding_in_its_corners_goes_through(shared, tmp_path):
    tree = unpack(
        shared / "data" / "crlm-ct-1004" / "CRLM-CT-1004_dicom.zip", tmp_path / "tree"
    )
    out = tmp_path / "out"
    assert dicom.main([f"--input={tree}", f"--out={out}"]) == 0
    (series,) = rows(out / "series.csv")
    assert (series["role"], series["vendor"], series["model"]) == (
        "venous",
        "GE",
        "LightSpeed16",
    )
    (row,) = rows(out / "manifest.csv")
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(out / row["venous"])))
    assert image.min() == -1024


@pytest.mark.slow
def test_the_phantoms_studies_come_back_as_they_were_made(tmp_path):
    made = tmp_path / "made"
    words = [f"--out={made}", "--subjects=3", "--seed=5", "--as-dicom", "--size=demo"]
    phantom.main(words)
    out = tmp_path / "out"
    status = dicom.main(
        [
            f"--input={made / 'dicom'}",
            f"--out={out}",
            f"--labels={made / 'dicom_labels.csv'}",
            "--id-column=patient_id",
            "--date-column=exam_date",
            "--workers=1",
        ]
    )
    assert status == 0
    expected = {row["weight_kg"]: row for row in rows(made / "manifest.csv")}
    found = {row["weight_kg"]: row for row in rows(out / "manifest.csv")}
    assert set(found) == set(expected)
    for weight, row in found.items():
        source = expected[weight]
        assert row["child_pugh"] == source["child_pugh"]
        # The second subject has its masks as DICOM SEG, the third two phases in one
        # series.
        columns = ["native", "arterial", "venous"]
        columns += [c for c in ("mask_venous", "spleen_mask_venous") if row[c]]
        for column in columns:
            one = sitk.ReadImage(str(out / row[column]))
            two = sitk.ReadImage(str(made / source[column]))
            np.testing.assert_array_equal(
                sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(two)
            )
            np.testing.assert_allclose(one.GetOrigin(), two.GetOrigin(), atol=1e-2)
    assert sum(bool(row["mask_venous"]) for row in found.values()) == 1
    confidence = [row["confidence"] for row in rows(out / "series.csv") if row["role"]]
    # Two phases in one series have no words of their own.
    assert sorted(confidence) == ["high"] * 7 + ["medium"] * 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--labels=x.csv"], "--labels needs --id-column"),
        (["--subject-from=csv"], "--subject-from csv and --subject-table"),
        (["--roles=none.toml"], "none.toml: the file is missing"),
        ([], "no such folder"),
    ],
)
def test_a_wrong_command_ends_in_plain_words(tmp_path, capsys, flags, words):
    command = [f"--input={tmp_path / 'no'}", f"--out={tmp_path / 'out'}", *flags]
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: dicom.main(command))
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
