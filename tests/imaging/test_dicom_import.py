from __future__ import annotations

import csv
import dataclasses
import gzip
import logging
import pathlib
import stat

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from liverjax.cohort.labels_table import read_labels
from liverjax.cohort.manifest import read_manifest
from liverjax.cohort.schema import Recipe
from liverjax.errors import InputError
from liverjax.imaging.dicom_import import ImportOptions, Summary, import_tree
from liverjax.imaging.role_rules import RoleRule, RoleRules
from liverjax.imaging.volumes import read_volume
from liverjax.tasks import ChildPugh
from tests.imaging import scans

PHASES = {"native": 0, "arterial": 90, "venous": 125}


def write_study(
    folder: pathlib.Path,
    *,
    patient: str = "A17",
    study: str = "study",
    date: str = "20190304",
    phases: dict[str, int] | None = None,
    seed: int = 0,
) -> None:
    """A study of a series a phase, told apart by description, number and time."""
    hu = scans.body_hu((12, 32, 40))
    hu[hu > 200] = 45  # without a spine no vessel is looked for
    noise = np.random.default_rng(seed).normal(0, 5, hu.shape)
    for number, (phase, seconds) in enumerate((phases or PHASES).items(), start=2):

        def change(dataset: Dataset, _, number=number, phase=phase, seconds=seconds):
            dataset.PatientID = patient
            dataset.StudyInstanceUID = scans.uid(study)
            dataset.StudyDate = date
            dataset.SeriesNumber = number
            dataset.SeriesDescription = phase
            dataset.AcquisitionTime = f"10{seconds // 60:02d}{seconds % 60:02d}"

        scans.write_series(
            folder / phase,
            (hu + noise + seconds).astype(np.int16),
            name=f"{patient} {study} {phase}",
            change=change,
        )


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(root: pathlib.Path, out: pathlib.Path, **options) -> Summary:
    return import_tree(root, out=out, options=ImportOptions(**options))


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path, Summary]:
    """Two patients, one with two examinations, with a table of labels."""
    root, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("out")
    write_study(root / "1", patient="A17", study="early", date="20190304")
    write_study(root / "2", patient="A17", study="late", date="20191224", seed=1)
    write_study(root / "3", patient="B3", study="other", date="20180101", seed=2)
    write_study(root / "4", patient="C9", study="unknown", date="20180101", seed=3)
    table = out / "labels.csv"
    table.write_text(
        "pid,when,name,child_pugh,age_years\n"
        "A17,2019-12-30,Doe,7,61\nB3,2018-01-04,Roe,11,58\nD1,2018-01-04,Poe,5,44\n"
    )
    labels = read_labels(table, id_column="pid", date_column="when")
    summary = run(root, out / "result", labels=labels, site="north")
    return root, out / "result", summary


def test_roles_and_labels_are_filled_into_the_manifest(imported):
    _, out, summary = imported
    found = {row["child_pugh"]: row for row in rows(out / "manifest.csv")}
    assert set(found) == {"7", "11"}
    assert all(row[phase] for row in found.values() for phase in PHASES)
    assert found["7"]["age_years"] == "61"
    assert found["7"]["site"] == "north"
    assert summary.roles == dict.fromkeys(PHASES, 2)


def test_days_count_from_the_patients_first_study(imported):
    _, out, _ = imported
    found = {row["child_pugh"]: row for row in rows(out / "manifest.csv")}
    # 4 March to 24 December is 295 days, to 30 December 301.
    assert (found["7"]["exam_day"], found["7"]["reference_day"]) == ("295", "301")
    assert (found["11"]["exam_day"], found["11"]["reference_day"]) == ("0", "3")


def test_what_did_not_meet_is_counted_and_named_in_the_crosswalk_only(imported):
    _, out, summary = imported
    assert (summary.unmatched_studies, summary.unmatched_rows) == (2, 1)
    assert rows(out / "exclusions.csv") == [
        {
            "step": "import",
            "reason": "another examination is nearer to the label's date",
            "n": "1",
        },
        {"step": "import", "reason": "no examination in the tree", "n": "1"},
        {"step": "import", "reason": "no row in the table of labels", "n": "1"},
    ]
    crosswalk = {row["patient"]: row for row in rows(out / "local" / "crosswalk.csv")}
    assert crosswalk["D1"]["status"] == "no examination of its own"
    assert crosswalk["C9"]["status"] == "no row in the table of labels"


def test_the_manifest_reads_as_it_is(imported):
    _, out, _ = imported
    manifest = read_manifest(
        out / "manifest.csv", recipe=Recipe(), task=ChildPugh(), require_mask=False
    )
    assert len(manifest.examinations) == 2
    assert sum(step.count for step in manifest.before) == 3


def test_volumes_hold_the_hounsfield_units_of_the_series(imported):
    root, out, _ = imported
    row = next(r for r in rows(out / "manifest.csv") if r["child_pugh"] == "11")
    written = sitk.ReadImage(str(out / row["venous"]))
    expected, _ = read_volume(root / "3" / "venous")
    assert written.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(expected)
    )
    np.testing.assert_allclose(written.GetOrigin(), expected.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(written.GetSpacing(), expected.GetSpacing(), atol=1e-6)


def test_the_same_salt_gives_the_same_bytes(imported, tmp_path):
    root, out, _ = imported
    salt = out / "local" / "salt"
    results = []
    for name in ("one", "two"):
        run(root / "3", tmp_path / name, salt_file=salt)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        results.append({p.name: p.read_bytes() for p in files})
    assert results[0] == results[1]
    key = next(
        r["subject"] for r in rows(out / "manifest.csv") if r["child_pugh"] == "11"
    )
    assert f"{key}_v1_venous.nii.gz" in results[0]


def test_the_local_folder_is_for_its_owner(imported):
    _, out, _ = imported
    local = out / "local"
    assert stat.S_IMODE(local.stat().st_mode) == 0o700
    assert {p.name for p in local.iterdir()} >= {"README.txt", "crosswalk.csv", "salt"}
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in local.iterdir())


def test_series_tell_evidence_and_seconds(imported):
    _, out, _ = imported
    found = rows(out / "series.csv")
    assert len(found) == 6
    venous = next(row for row in found if row["role"] == "venous")
    assert venous["seconds_since_first"] == "125.0"
    assert "description names the venous phase" in venous["evidence"]
    assert (venous["slice_spacing_mm"], venous["row_spacing_mm"]) == ("5.0", "4.0")


def test_a_manifest_that_is_there_is_not_overwritten(imported):
    root, out, _ = imported
    before = (out / "manifest.csv").read_bytes()
    with pytest.raises(InputError, match="may have been completed by hand"):
        run(root, out)
    assert (out / "manifest.csv").read_bytes() == before


def test_all_is_imported_without_a_table_or_when_asked_for(imported, tmp_path):
    root, _, _ = imported
    summary = run(root, tmp_path / "out", target="fibrosis_stage")
    assert (summary.patients, summary.examinations) == (3, 4)
    found = rows(tmp_path / "out" / "manifest.csv")
    assert {row["fibrosis_stage"] for row in found} == {""}
    assert sorted(row["visit"] for row in found) == ["1", "1", "1", "2"]


def test_a_label_without_a_date_leaves_several_studies_to_a_person(imported, tmp_path):
    root, _, _ = imported
    (tmp_path / "labels.csv").write_text("pid,child_pugh\nA17,7\n")
    labels = read_labels(tmp_path / "labels.csv", id_column="pid")
    run(root, tmp_path / "out", labels=labels)
    found = rows(tmp_path / "out" / "manifest.csv")
    assert [row["child_pugh"] for row in found] == ["", ""]


def test_two_series_of_one_phase_are_both_written_and_named(tmp_path):
    write_study(tmp_path / "tree", phases={"venous": 0, "venous 5mm": 0})
    summary = run(tmp_path / "tree", tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "manifest.csv")
    assert row["venous"] == ""
    assert summary.volumes == 2
    (text,) = summary.open_roles
    assert "venous is series 2 (volumes/" in text
    assert "or series 3 (volumes/" in text


def test_rules_decide_what_was_open(tmp_path):
    write_study(tmp_path / "tree", phases={"venous": 0, "venous 5mm": 0})
    rules = RoleRules({"venous": RoleRule({}, numbers=(3,))})
    summary = run(tmp_path / "tree", tmp_path / "out", rules=rules)
    (row,) = rows(tmp_path / "out" / "manifest.csv")
    assert row["venous"].endswith("_v1_venous.nii.gz")
    assert summary.open_roles == ()


def test_a_gap_stops_a_volume_unless_it_is_allowed(tmp_path):
    write_study(tmp_path / "tree", phases={"venous": 0})
    sorted((tmp_path / "tree" / "venous").iterdir())[5].unlink()
    summary = run(tmp_path / "tree", tmp_path / "refused")
    assert summary.examinations == 0
    assert summary.left_out == {"no CT or MR volume that can be read": 1}
    (finding,) = rows(tmp_path / "refused" / "findings.csv")
    assert (finding["code"], finding["decision"]) == ("missing-slices", "left out")
    run(tmp_path / "tree", tmp_path / "allowed", allow=("missing-slices",))
    (finding,) = rows(tmp_path / "allowed" / "findings.csv")
    assert finding["decision"] == "kept, allowed by name"
    (row,) = rows(tmp_path / "allowed" / "manifest.csv")
    assert row["venous"]


def test_text_burned_into_pixels_stops_a_volume(tmp_path):
    scans.write_series(
        tmp_path / "tree",
        scans.body_hu(),
        change=lambda ds, _: setattr(ds, "BurnedInAnnotation", "YES"),
    )
    run(tmp_path / "tree", tmp_path / "out")
    (finding, *_) = rows(tmp_path / "out" / "findings.csv")
    assert {row["code"] for row in rows(tmp_path / "out" / "findings.csv")} >= {
        "burned-in-text"
    }
    assert finding["subject"]


def test_a_tree_without_images_is_refused(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x.txt").write_text("no image")
    with pytest.raises(InputError, match="no CT or MR image among 1 other files"):
        run(tmp_path / "tree", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_workers_change_nothing(imported, tmp_path):
    root, out, _ = imported
    salt = out / "local" / "salt"
    for workers in (1, 2):
        run(root, tmp_path / str(workers), salt_file=salt, workers=workers)
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()}
        for n in ("1", "2")
    )
    assert one == two


# Nothing of a patient leaves.

MARK = "ZQX"
SECRET_DAY, SECRET_ISO = "19290405", "1929-04-05"
# Tags that make the file what it is; free text in them is another test's concern.
STRUCTURE = {
    "SpecificCharacterSet",
    "TransferSyntaxUID",
    "StudyDate",
    "PatientID",
    "AcquisitionTime",
    "Modality",
    "PhotometricInterpretation",
    "BurnedInAnnotation",
    "PixelSpacing",
    "ImageType",
}
TEXTS = {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE", "CS"}


def plant(dataset: Dataset, number: int) -> None:
    """Puts a secret into every tag that can hold one, private and nested ones too."""
    nested = Dataset()
    for target in (dataset, nested) if number in (0, 3) else ():
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            group = tag >> 16
            if not keyword or keyword in STRUCTURE or group in (0, 2, 4, 0x7FE0):
                continue
            if vr in TEXTS:
                value = f"{MARK}{tag & 0xFFFF:04X}"
            elif vr == "DA":
                value = SECRET_DAY
            elif vr == "DT":
                value = f"{SECRET_DAY}101112"
            else:
                continue
            target.add_new(tag, vr, value)
    dataset.StudyDate = SECRET_DAY
    dataset.PatientID = f"{MARK}-4711"
    dataset.AcquisitionTime = "101112"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", f"{MARK}TYPE"]
    dataset.OtherPatientIDsSequence = Sequence([nested])
    dataset.RequestAttributesSequence = Sequence([nested])
    block = dataset.private_block(0x0029, f"{MARK} PRIVATE", create=True)
    block.add_new(1, "LO", f"{MARK}private")
    block.add_new(2, "SQ", Sequence([nested]))
    if number == 3:
        # Values against their own type, which readers like to complain about by name.
        raw = pydicom.dataelem.RawDataElement
        for keyword in ("SeriesNumber", "KVP", "AcquisitionNumber"):
            tag = pydicom.tag.Tag(keyword)
            value = f"{MARK}bad ".encode()
            dataset[tag] = raw(tag, None, len(value), value, 0, True, True)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and "local" not in path.relative_to(folder).parts:
            content = path.read_bytes()
            found[str(path.relative_to(folder))] = (
                gzip.decompress(content) if path.suffix == ".gz" else content
            )
    return found


@pytest.mark.filterwarnings("default")
def test_no_name_id_date_or_uid_leaves_in_files_logs_or_on_screen(
    tmp_path, caplog, capfd
):
    root = tmp_path / "tree"
    hu = scans.body_hu()
    home = root / f"{MARK}folder" / SECRET_ISO
    scans.write_series(home / "a", hu, name=f"{MARK}series", change=plant)
    broken = scans.write_series(home / "b", hu, name=f"{MARK}broken", change=plant)
    for path in broken[4:6]:
        path.write_bytes(path.read_bytes()[:-200])
    whole = broken[0].read_bytes()
    (home / f"{MARK}cut.dcm").write_bytes(whole[: len(whole) // 3])
    table = tmp_path / "labels.csv"
    table.write_text(f"pid,when,name,child_pugh\n{MARK}-4711,1929-04-09,{MARK}Doe,7\n")
    labels = read_labels(table, id_column="pid", date_column="when")
    caplog.clear()
    capfd.readouterr()
    with caplog.at_level(logging.DEBUG):
        summary = run(root, tmp_path / "out", labels=labels, all_volumes=True)
    assert summary.volumes >= 1
    assert {code for code, _ in summary.findings} >= {"truncated"}
    screen = capfd.readouterr()
    everything = contents(tmp_path / "out") | {
        "log": caplog.text.encode(),
        "screen": (screen.out + screen.err).encode(),
        "summary": repr(dataclasses.astuple(summary)).encode(),
    }
    uids = [scans.uid(f"{MARK}series"), scans.uid("study"), scans.uid(f"{MARK}broken")]
    secrets = [MARK, "4711", SECRET_DAY, SECRET_ISO, "1929", *uids]
    for name, content in everything.items():
        for secret in secrets:
            assert secret.lower().encode() not in content.lower(), (name, secret)
            assert secret not in name
    crosswalk = (tmp_path / "out" / "local" / "crosswalk.csv").read_text()
    assert f"{MARK}-4711" in crosswalk
    (row,) = rows(tmp_path / "out" / "manifest.csv")
    assert (row["child_pugh"], row["exam_day"], row["reference_day"]) == ("7", "0", "4")
