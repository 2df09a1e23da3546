from __future__ import annotations

import csv
import dataclasses
import filecmp
import json
import pathlib

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.phantom.ceiling import compute_ceiling
from liverjax.phantom.cohort import write_cohort
from liverjax.phantom.motion import PhaseMotion
from liverjax.phantom.options import PHASES
from liverjax.phantom.subject import EXTERNAL_FROM, make_subject
from liverjax.phantom.tables import list_entries
from tests.phantom.conftest import ENTRIES, TINY


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    )


def test_the_manifest_has_the_columns_of_the_design_in_order(cohort):
    assert list(_rows(cohort / "manifest.csv")[0]) == [
        "subject",
        "visit",
        "set",
        "site",
        "native",
        "arterial",
        "venous",
        "mask_venous",
        "spleen_mask_venous",
        "child_pugh",
        "bilirubin_points",
        "albumin_points",
        "inr_points",
        "ascites_points",
        "encephalopathy_points",
        "sex",
        "age_years",
        "weight_kg",
    ]


def test_scores_are_the_sums_of_their_items_and_files_exist(cohort):
    for row in _rows(cohort / "manifest.csv"):
        points = [int(v) for k, v in row.items() if k.endswith("_points")]
        assert sum(points) == int(row["child_pugh"])
        for column in (*PHASES, "mask_venous", "spleen_mask_venous"):
            assert (cohort / row[column]).is_file()


def test_subjects_sets_and_sites_are_named(cohort):
    rows = _rows(cohort / "manifest.csv")
    assert [r["subject"] for r in rows] == [
        "p0001",
        "p0002",
        "p0003",
        "d0001",
        "r0001",
        "e0001",
    ]
    assert [r["set"] for r in rows] == ["train"] * 5 + ["external"]
    assert rows[-1]["site"] == "elsewhere"


def test_the_files_hold_the_subject_as_made_in_memory(cohort):
    subject = make_subject(TINY, seed=4, index=1)
    for phase, image in subject.phases.items():
        stored = sitk.ReadImage(str(cohort / f"images/p0002/{phase}.nii.gz"))
        assert stored.GetPixelID() == sitk.sitkInt16
        assert (sitk.GetArrayFromImage(stored) == image.volume).all()
        np.testing.assert_allclose(stored.GetSpacing(), image.grid.spacing_mm[::-1])
        np.testing.assert_allclose(stored.GetOrigin(), image.grid.origin, atol=1e-4)
    mask = sitk.ReadImage(str(cohort / "images/p0002/mask_venous.nii.gz"))
    assert (sitk.GetArrayFromImage(mask) == subject.phases["venous"].liver).all()


def test_the_truth_table_gives_back_the_motion(cohort):
    row = _rows(cohort / "truth.csv")[1]
    motion = make_subject(TINY, seed=4, index=1).truth.motions["arterial"]
    written = PhaseMotion(
        matrix=np.array(json.loads(row["matrix_arterial"])),
        liver_shift_mm=tuple(json.loads(row["liver_shift_arterial_mm"])),
        bend_mm=float(row["bend_arterial_mm"]),
        bend_phase=tuple(json.loads(row["bend_phase_arterial"])),
    )
    points = np.random.default_rng(0).uniform(-90, 90, (20, 3))
    np.testing.assert_allclose(written.move_liver(points), motion.move_liver(points))
    shift = np.linalg.norm(motion.liver_shift_mm)
    assert float(row["liver_displacement_arterial_mm"]) == pytest.approx(shift)


def test_a_duplicate_has_the_bytes_of_its_original_and_a_renamed_patient_has_not(
    cohort,
):
    for name in ("native.nii.gz", "arterial.nii.gz", "venous.nii.gz"):
        original = cohort / "images/p0001" / name
        assert filecmp.cmp(original, cohort / "images/d0001" / name, shallow=False)
        assert not filecmp.cmp(original, cohort / "images/r0001" / name, shallow=False)
    truth = {row["subject"]: row for row in _rows(cohort / "truth.csv")}
    assert truth["d0001"]["same_as"] == truth["r0001"]["same_as"] == "p0001"
    assert truth["p0001"]["same_as"] == ""


def test_phantom_json_holds_the_request_and_the_ceiling(cohort):
    facts = json.loads((cohort / "phantom.json").read_text())
    ceiling = compute_ceiling(TINY)
    assert facts["ceiling"]["kendall_tau"] == ceiling.kendall_tau
    assert facts["ceiling"]["accuracy"] == ceiling.accuracy
    assert facts["request"]["options"]["effect"] == 1.0
    assert facts["request"]["seed"] == 4
    assert facts["oracle_on_this_cohort"]["train"]["n"] == 3
    assert facts["oracle_on_this_cohort"]["external"]["n"] == 1


def test_two_workers_write_the_same_bytes_as_one(cohort, tmp_path):
    write_cohort(
        tmp_path, options=TINY, entries=ENTRIES, seed=4, as_dicom=True, workers=2
    )
    names = _files(cohort)
    assert names == _files(tmp_path)
    same, different, unread = filecmp.cmpfiles(cohort, tmp_path, names, shallow=False)
    assert (different, unread) == ([], [])
    assert len(same) > 300


def test_a_cohort_that_is_there_is_left_alone(tmp_path):
    entries = list_entries(subjects=1)
    write_cohort(tmp_path, options=TINY, entries=entries, seed=1)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in _files(tmp_path)}
    calls = []
    write_cohort(
        tmp_path,
        options=TINY,
        entries=entries,
        seed=1,
        progress=lambda done, total: calls.append(done),
    )
    after = {name: (tmp_path / name).stat().st_mtime_ns for name in _files(tmp_path)}
    assert before == after
    assert calls == []


def test_a_cohort_that_was_interrupted_is_written_again(tmp_path):
    entries = list_entries(subjects=1)
    write_cohort(tmp_path, options=TINY, entries=entries, seed=1)
    venous = tmp_path / "images/p0001/venous.nii.gz"
    whole = venous.read_bytes()
    (tmp_path / "manifest.csv").unlink()
    venous.write_bytes(whole[:100])
    write_cohort(tmp_path, options=TINY, entries=entries, seed=1)
    assert venous.read_bytes() == whole
    assert (tmp_path / "manifest.csv").is_file()


def test_a_folder_with_another_cohort_is_refused_and_not_touched(tmp_path):
    entries = list_entries(subjects=1)
    write_cohort(tmp_path, options=TINY, entries=entries, seed=1)
    other = dataclasses.replace(TINY, effect=0.0)
    with pytest.raises(ValueError, match="holds something else than this cohort"):
        write_cohort(tmp_path, options=other, entries=entries, seed=1)
    assert (tmp_path / "manifest.csv").is_file()


def test_a_missing_phase_is_an_empty_cell(tmp_path):
    options = dataclasses.replace(TINY, missing_phase_share=1.0)
    write_cohort(tmp_path, options=options, entries=list_entries(subjects=1), seed=1)
    row = _rows(tmp_path / "manifest.csv")[0]
    assert [row["native"], row["arterial"]].count("") == 1
    assert row["venous"]


def test_numbers_of_subjects_must_be_possible():
    with pytest.raises(ValueError, match="0 subjects and 0 external ones"):
        list_entries(subjects=0)
    with pytest.raises(
        ValueError, match="3 duplicates were asked for, expected 0 to 2"
    ):
        list_entries(subjects=2, duplicates=3)


def test_external_entries_have_numbers_of_their_own():
    assert [e.index for e in list_entries(subjects=1, external=2)] == [
        0,
        EXTERNAL_FROM,
        EXTERNAL_FROM + 1,
    ]
