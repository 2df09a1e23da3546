from __future__ import annotations

import numpy as np
import pytest

from liverjax.cohort import files
from liverjax.cohort.examination import MaskSource
from liverjax.errors import InputError
from liverjax.radiomics import __main__ as command
from liverjax.radiomics import extract, jobs
from liverjax.radiomics.settings import make_settings
from tests import whole_path

sitk = pytest.importorskip("SimpleITK")


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for subject, filled in (("P1", True), ("P2", True), ("P3", False)):
        array = rng.normal(100, 20, (6, 20, 22)).astype(np.float32)
        mask = np.zeros(array.shape, np.uint8)
        mask[1:5, 4:14, 5:15] = filled
        for name, values in (("image", array), ("mask", mask)):
            image = sitk.GetImageFromArray(values)
            image.SetSpacing((1.0, 1.0, 3.0))
            image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
            sitk.WriteImage(image, str(tmp_path / f"{subject}_{name}.nii.gz"))
        rows.append(
            {"subject": subject, "venous": f"{subject}_image.nii.gz"}
            | {"mask_venous": f"{subject}_mask.nii.gz"}
        )
    files.write_csv(tmp_path / "manifest.csv", rows, columns=list(rows[0]))
    return tmp_path


def run(study, *more):
    out = study / "features.csv"
    words = [f"--manifest={study / 'manifest.csv'}", f"--out={out}", "--workers=1"]
    status = command.main([*words, "--modality=mr", *more])
    return status, files.read_csv(out)[1] if out.exists() else []


def test_a_row_an_examination_and_failures_named(study, capsys):
    status, rows = run(study)
    assert status == 0
    assert [row["status"] for row in rows] == ["ok", "ok", "failed"]
    said = capsys.readouterr().out
    assert "failed: P3 (visit 1), venous" in said
    assert "3.0 times as long as wide" in said
    image = sitk.ReadImage(str(study / "P1_image.nii.gz"))
    mask = sitk.ReadImage(str(study / "P1_mask.nii.gz"))
    known = extract(
        sitk.GetArrayFromImage(image).astype(float),
        sitk.GetArrayFromImage(mask) == 1,
        spacing_mm=(3.0, 1.0, 1.0),
        settings=make_settings({}, by_slice=False),
    )
    found = {name: float(rows[0][name]) for name in known}
    assert found == pytest.approx(known, rel=1e-6)


def test_by_slice_gives_a_row_a_slice(study):
    _, rows = run(study, "--by-slice")
    numbers = [row["slice"] for row in rows if row["subject"] == "P1"]
    assert numbers == ["1", "2", "3", "4"]
    assert float(rows[0]["cm_contrast_2D_comb"]) > 0


def test_a_second_start_does_only_what_is_left(study, capsys, monkeypatch):
    monkeypatch.setattr(command.shutil, "rmtree", lambda *a, **k: None)
    run(study)
    capsys.readouterr()
    run(study)
    assert "3 of 3 are there already" in capsys.readouterr().out


def test_an_unknown_setting_is_refused(study):
    path = study / "settings.json"
    files.write_json(path, {"bins": 3})
    with pytest.raises(InputError, match="unknown \\['bins'\\]"):
        run(study, f"--settings={path}")


def test_the_settings_stand_beside_the_table_and_can_be_given_again(study):
    run(study, "--by-slice")
    said = files.read_json(study / "features.json")
    assert said["by_slice"]
    assert said["modality"] == "mr"
    again = make_settings(said["settings"], by_slice=True)
    assert again == make_settings({}, by_slice=True)


def test_a_table_of_other_settings_is_not_replaced(study):
    run(study)
    before = (study / "features.csv").read_bytes()
    with pytest.raises(InputError, match="measured with other by_slice, settings"):
        run(study, "--by-slice")
    assert (study / "features.csv").read_bytes() == before


def test_a_filter_in_the_settings_gives_the_response_map_s_features(study):
    path = study / "settings.json"
    filter = {"kind": "log", "sigma_mm": 2, "planar": True}
    files.write_json(path, {"filter": filter, "families": ["statistics"]})
    status, rows = run(study, f"--settings={path}")
    assert status == 0
    assert abs(float(rows[0]["stat_mean_log_s2_2D"])) < 5
    said = files.read_json(study / "features.json")["settings"]["filter"]
    assert filter.items() <= said.items()


def test_a_volumetric_filter_of_slices_is_refused(study):
    path = study / "settings.json"
    files.write_json(path, {"filter": {"kind": "log", "sigma_mm": 2}})
    with pytest.raises(InputError, match="set planar to true"):
        run(study, f"--settings={path}", "--by-slice")


def test_repeats_are_rows_of_slightly_different_features(study):
    _, rows = run(study, "--repeats=2")
    _, again = run(study, "--repeats=2")
    one = [row for row in rows if row["subject"] == "P1"]
    assert [row["repeat"] for row in one] == ["0", "1", "2"]
    means = [float(row["stat_mean"]) for row in one]
    assert len(set(means)) == 3
    assert means[1:] == pytest.approx([means[0]] * 2, rel=0.2)
    assert again == rows
    failed = [row for row in rows if row["subject"] == "P3"]
    assert [row["status"] for row in failed] == ["failed"]


def test_slices_of_a_repeat_have_the_numbers_of_the_image(tmp_path):
    """Perturbed images are cut to the mask and 30 mm: here the first 4 slices go."""
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 20, 22), np.uint8)
    mask[14:16, 4:14, 5:15] = 1
    for name, values in (("image", rng.normal(100, 20, mask.shape)), ("mask", mask)):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((1.0, 1.0, 3.0))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    job = jobs.Job(
        keys=(("subject", "P1"), ("visit", "1"), ("channel", "venous")),
        image=tmp_path / "image.nii.gz",
        mask=MaskSource(tmp_path / "mask.nii.gz"),
        modality="mr",
        settings=make_settings({}, by_slice=True),
        by_slice=True,
        amounts=(("noise", 1.0),),
        repeats=1,
        folder=tmp_path,
    )
    jobs.work(job)
    rows = files.read_json(job.part)["rows"]
    assert [(row["repeat"], row["slice"]) for row in rows] == [
        (0, 14),
        (0, 15),
        (1, 14),
        (1, 15),
    ]


@pytest.mark.slow
def test_the_command_measures_in_several_processes(study):
    words = [f"--manifest={study / 'manifest.csv'}", f"--out={study / 'features.csv'}"]
    ended = whole_path.run("liverjax.radiomics", *words, "--modality=mr", "--workers=2")
    assert ended.returncode == 0, ended.stderr
    assert "2 rows of" in ended.stdout
