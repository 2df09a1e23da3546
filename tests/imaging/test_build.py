from __future__ import annotations

import concurrent.futures as futures
import dataclasses
import pathlib

import pytest
import SimpleITK as sitk

from liverjax.cohort import files, schema
from liverjax.cohort.examination import Manifest
from liverjax.errors import InputError
from liverjax.imaging import build
from tests.imaging.study import STILL, read, write_study


def build_here(manifest: Manifest, out: pathlib.Path, **options) -> build.Built:
    """In this process, so that a test takes a second."""
    recipe = options.pop("recipe", STILL)
    with futures.ThreadPoolExecutor(1) as pool:
        return build.build_cohort(
            manifest, recipe=recipe, out=out, workers=1, executor=pool, **options
        )


def content(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file of a cohort by its name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def spoil(path: pathlib.Path) -> None:
    """Leaves a readable image that is no scan."""
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image * 0, str(path))


@pytest.fixture
def table(tmp_path) -> pathlib.Path:
    return write_study(tmp_path / "study")


def test_a_cohort_is_complete_and_opens(tmp_path, table):
    built = build_here(read(table), tmp_path / "out")
    cohort = schema.open_cohort(tmp_path / "out")
    assert built.counts["examinations"] == len(cohort.examinations) == 4
    assert built.counts["records"] == cohort.num_records
    assert cohort.recipe == STILL
    assert cohort.examinations[0]["child_pugh"]
    assert "images" not in (tmp_path / "out" / "examinations.csv").read_text()
    assert not (tmp_path / "out" / ".parts").exists()


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, table):
    manifest = read(table)
    build_here(manifest, tmp_path / "one")
    build.build_cohort(manifest, recipe=STILL, out=tmp_path / "two", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.slow
def test_the_order_of_subjects_changes_no_record(tmp_path, table):
    manifest = read(table)
    turned = dataclasses.replace(manifest, examinations=manifest.examinations[::-1])
    build_here(manifest, tmp_path / "a")
    build_here(turned, tmp_path / "b")
    for name in ("qc/p0001-1.png", "qc/p0004-1.png"):
        assert content(tmp_path / "a")[name] == content(tmp_path / "b")[name]


def test_a_stopped_preparation_goes_on_where_it_stood(tmp_path, table, monkeypatch):
    manifest = read(table)
    build_here(manifest, tmp_path / "whole")
    work, done = build.prepare_part, []

    def stops(job, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        work(job, **options)
        done.append(job[0].subject)

    monkeypatch.setattr(build, "prepare_part", stops)
    monkeypatch.setattr(build, "run_jobs", in_turn)
    with pytest.raises(KeyboardInterrupt):
        build_here(manifest, tmp_path / "out")
    assert not (tmp_path / "out" / "cohort.json").exists()

    def notes(job, **options):
        done.append(job[0].subject)
        work(job, **options)

    monkeypatch.setattr(build, "prepare_part", notes)
    build_here(manifest, tmp_path / "out")
    assert done == ["p0001", "p0002", "p0003", "p0004"]
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def in_turn(jobs, work, **_):
    for job in jobs:
        work(job)
        yield job, ""


def test_a_complete_cohort_is_left_as_it_is(tmp_path, table):
    build_here(read(table), tmp_path / "out")
    before = content(tmp_path / "out")
    again = build_here(read(table), tmp_path / "out")
    assert again.was_complete
    assert again.counts["examinations"] == 4
    assert content(tmp_path / "out") == before


def test_another_recipe_or_other_images_in_the_folder_are_refused(tmp_path, table):
    build_here(read(table), tmp_path / "out")
    other = dataclasses.replace(STILL, window_width_hu=350.0)
    with pytest.raises(InputError, match=r"of another recipe \(window_width_hu\)"):
        build_here(read(table), tmp_path / "out", recipe=other)
    with pytest.raises(InputError, match=r"of another recipe \(allow\)"):
        build_here(read(table), tmp_path / "out", allow=("constant",))
    spoil(read(table).examinations[0].images["native"])
    with pytest.raises(InputError, match=r"of other inputs \(p0001/1/native\)"):
        build_here(read(table), tmp_path / "out")


def test_a_corrected_label_needs_no_image_again(tmp_path, table, monkeypatch):
    build_here(read(table), tmp_path / "out")
    columns, rows = files.read_csv(table)
    rows[1]["child_pugh"], rows[2]["set"] = "11", "external"
    for name in ("bilirubin", "albumin", "inr", "ascites", "encephalopathy"):
        rows[1][f"{name}_points"] = ""
    files.write_csv(table, rows, columns=columns)
    monkeypatch.setattr(build, "_prepare", None)
    assert build_here(read(table), tmp_path / "out").relabelled
    monkeypatch.undo()
    build_here(read(table), tmp_path / "fresh")
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    rows = schema.open_cohort(tmp_path / "out").examinations
    assert (rows[1]["child_pugh"], rows[2]["set"]) == ("11", "external")


def test_a_failed_examination_is_left_out_and_named(tmp_path, table):
    spoil(read(table).examinations[1].images["venous"])
    built = build_here(read(table), tmp_path / "out")
    assert built.counts["failed"] == 1
    assert built.counts["examinations"] == 3
    assert built.failed[0].startswith("p0002 (visit 1): ")
    _, rows = files.read_csv(tmp_path / "out" / "qc" / "status.csv")
    assert [row["status"] for row in rows].count("failed") == 1
    assert rows[1]["codes"] == "constant"
    names = {row["subject"] for row in schema.open_cohort(tmp_path / "out").index}
    assert names == {"p0001", "p0003", "p0004"}


def test_no_table_holds_a_path(tmp_path, table):
    manifest = read(table)
    spoil(manifest.examinations[1].images["venous"])
    build_here(manifest, tmp_path / "out")
    for name, held in content(tmp_path / "out").items():
        if not name.endswith((".array_record", ".png")):
            assert str(tmp_path).encode() not in held, name
            assert b".nii.gz" not in held, name
    _, rows = files.read_csv(tmp_path / "out" / "qc" / "status.csv")
    assert rows[1]["reasons"].startswith("venous: every voxel is 0")


def test_when_nobody_is_left_all_reasons_are_told(tmp_path, table):
    manifest = read(table)
    for one in manifest.examinations:
        spoil(one.images["venous"])
    with pytest.raises(InputError, match="no examination is left") as caught:
        build_here(manifest, tmp_path / "out")
    assert str(caught.value).count("every voxel is 0") == 4
    assert not (tmp_path / "out" / "cohort.json").exists()


@pytest.mark.slow
def test_an_unexpected_error_is_tried_again_at_the_next_start(
    tmp_path, table, monkeypatch
):
    manifest = read(table)
    work = build.prepare_part

    def breaks(job, **options):
        if job[0].subject == "p0003":
            raise RuntimeError(f"cannot read {job[0].images['venous']}")
        work(job, **options)

    monkeypatch.setattr(build, "prepare_part", breaks)
    built = build_here(manifest, tmp_path / "out")
    assert built.failed == ("p0003 (visit 1): RuntimeError: cannot read venous",)
    monkeypatch.undo()
    built = build_here(manifest, tmp_path / "again")
    assert built.failed == ()


def test_mask_options_are_part_of_the_inputs(table):
    manifest = read(table)
    one = manifest.examinations[0]
    masks = {"venous": dataclasses.replace(one.masks["venous"], segment="5")}
    other = dataclasses.replace(
        manifest, examinations=(dataclasses.replace(one, masks=masks),)
    )
    mine, theirs = build.hash_inputs(manifest), build.hash_inputs(other)
    assert theirs["p0001/1/mask_venous"] == f"{mine['p0001/1/mask_venous']}  5"
    assert theirs["p0001/1/venous"] == mine["p0001/1/venous"]


def test_a_folders_hash_follows_names_and_content(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(b"1")
    (folder / "b.dcm").write_bytes(b"2")
    first = build._hash(folder)
    (folder / "b.dcm").rename(folder / "c.dcm")
    assert build._hash(folder) != first
