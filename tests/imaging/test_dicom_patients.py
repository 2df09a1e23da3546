from __future__ import annotations

import dataclasses
import datetime
import math
import pathlib

import pytest

from liverjax.errors import InputError
from liverjax.imaging.dicom_patients import (
    group_studies,
    read_subject_table,
    seconds_since_first,
)
from liverjax.imaging.series import SeriesInfo, find_series
from tests.imaging import scans


@pytest.fixture(scope="module")
def info(tmp_path_factory) -> SeriesInfo:
    folder = tmp_path_factory.mktemp("series")
    scans.write_series(folder, scans.body_hu()[:2])
    (found,) = find_series(folder)
    return found


def at(info: SeriesInfo, *, root: pathlib.Path, folder: str, **values) -> SeriesInfo:
    """The series as another one, elsewhere below a root."""
    frame = dataclasses.replace(info.frames[0], path=root / folder / "1.dcm")
    return dataclasses.replace(info, frames=(frame,), **values)


ROOT = pathlib.Path("/tree")


def several(info: SeriesInfo, *ids: str) -> list[SeriesInfo]:
    return [
        at(info, root=ROOT, folder=f"f{n}/a", study_uid=str(n), patient_id=one)
        for n, one in enumerate(ids)
    ]


def test_studies_are_sorted_by_patient_and_day(info):
    series = [
        dataclasses.replace(one, study_date=date)
        for one, date in zip(
            several(info, "b", "a", "a"),
            ("20190101", "20190303", "20190202"),
            strict=True,
        )
    ]
    found = group_studies(series, root=ROOT)
    assert [(s.patient, s.uid) for s in found] == [("a", "2"), ("a", "1"), ("b", "0")]
    assert found[0].day == datetime.date(2019, 2, 2)


def test_one_id_over_several_studies_is_refused(info):
    with pytest.raises(InputError) as caught:
        group_studies(several(info, "secret", "secret"), root=ROOT)
    assert "all 2 studies have the same PatientID" in str(caught.value)
    assert "--subject-from folder" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_one_id_is_one_patient_when_the_user_says_so(info):
    series = several(info, "x", "x")
    for subject_from in ("one", "tag"):
        found = group_studies(series, root=ROOT, subject_from=subject_from)
        assert len({study.patient for study in found}) == 1


@pytest.mark.parametrize("subject_from", [None, "tag"])
def test_an_empty_id_is_refused(info, subject_from):
    with pytest.raises(InputError, match="1 of 2 studies have no PatientID"):
        group_studies(several(info, "a", " "), root=ROOT, subject_from=subject_from)


def test_folders_tell_patients_apart(info):
    found = group_studies(several(info, "", ""), root=ROOT, subject_from="folder")
    assert [study.patient for study in found] == ["f0", "f1"]


def test_one_patients_study_may_lie_in_several_folders_without_an_id(info):
    series = [dataclasses.replace(s, study_uid="1") for s in several(info, "", "")]
    (found,) = group_studies(series, root=ROOT, subject_from="one")
    assert len(found.volumes) == 2


def test_files_in_the_root_itself_are_named_by_it(info):
    one = at(info, root=ROOT, folder="", patient_id="")
    (found,) = group_studies([one], root=ROOT, subject_from="folder")
    assert found.patient == "tree"


def test_a_table_tells_patients_apart_by_the_longest_folder(info):
    table = {"f0": "p", "f1": "q", "f1/a": "r"}
    found = group_studies(
        several(info, "", ""), root=ROOT, subject_from="csv", table=table
    )
    assert [study.patient for study in found] == ["p", "r"]


def test_a_study_outside_the_table_is_counted(info):
    with pytest.raises(InputError, match="1 studies lie in no folder"):
        group_studies(
            several(info, "", ""), root=ROOT, subject_from="csv", table={"f0": "p"}
        )


def test_a_study_of_two_patients_is_refused(info):
    series = [dataclasses.replace(s, study_uid="1") for s in several(info, "a", "b")]
    with pytest.raises(InputError, match="1 studies belong to several patients"):
        group_studies(series, root=ROOT)


def test_ids_that_differ_in_zeros_are_refused(info):
    with pytest.raises(InputError, match="with and without leading zeros"):
        group_studies(several(info, "007", "7", "8"), root=ROOT)


def test_a_date_that_is_none_is_no_date(info):
    series = [dataclasses.replace(info, study_date="0000")]
    assert group_studies(series, root=ROOT)[0].day is None


def test_the_table_of_folders_is_checked(tmp_path):
    path = tmp_path / "subjects.csv"
    path.write_text("folder,id\na/b/,p\n\\a\\b,q\nc,\n")
    with pytest.raises(InputError) as caught:
        read_subject_table(path)
    assert "line 3: a folder that was named before" in str(caught.value)
    assert "line 4: folder or id is empty" in str(caught.value)
    path.write_text("folder,id\na/b/,p\n")
    assert read_subject_table(path) == {"a/b": "p"}


def times(info: SeriesInfo, *clock: str, **others) -> list[float]:
    return seconds_since_first(
        [dataclasses.replace(info, acquisition_time=text, **others) for text in clock]
    )


def test_times_count_from_the_first(info):
    assert times(info, "100130", "100000.5", "20190304100002") == [89.5, 0.0, 1.5]


def test_a_study_over_midnight_stays_in_order(info):
    assert times(info, "235950", "000010") == [0.0, 20.0]


def test_another_clock_serves_when_the_acquisitions_is_not_everywhere(info):
    series = [
        dataclasses.replace(info, acquisition_time="", content_time="100005"),
        dataclasses.replace(info, acquisition_time="1200", content_time="100000"),
    ]
    assert seconds_since_first(series) == [5.0, 0.0]


def test_without_any_clock_times_are_unknown(info):
    found = times(info, "", "soon", content_time="", series_time="")
    assert all(math.isnan(value) for value in found)
