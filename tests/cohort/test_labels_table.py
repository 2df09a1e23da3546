from __future__ import annotations

import datetime
import pathlib

import openpyxl
import pytest

from liverjax.cohort.labels_table import LabelRow, StudyDay, join_labels, read_labels
from liverjax.errors import InputError


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def label(line: int, patient: str, on: str = "") -> LabelRow:
    return LabelRow(line, patient, day(on) if on else None, {})


def study(patient: str, uid: str, on: str = "") -> StudyDay:
    return StudyDay(patient, day(on) if on else None, uid)


def write(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    path = folder / "labels.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_ids_stay_text_and_only_known_columns_travel(tmp_path):
    path = write(
        tmp_path,
        "pid,name,child_pugh,ast_u_per_l,when,remark",
        "007,Doe,7,31,2019-03-04,x",
    )
    table = read_labels(path, id_column="pid", date_column="when", keep=["remark"])
    (row,) = table.rows
    assert row.patient == "007"
    assert row.day == day("2019-03-04")
    assert row.cells == {"child_pugh": "7", "ast_u_per_l": "31", "remark": "x"}
    assert len(table.left_behind) == 1


def test_a_workbook_reads_as_the_same_table(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["pid", "when", "child_pugh"])
    sheet.append(["007", datetime.datetime(2019, 3, 4), 7])
    sheet.append([12, datetime.datetime(2019, 3, 5), 7.0])
    sheet.append([None, None, None])
    book.save(tmp_path / "labels.xlsx")
    table = read_labels(tmp_path / "labels.xlsx", id_column="pid", date_column="when")
    assert [(r.line, r.patient, r.day, r.cells) for r in table.rows] == [
        (2, "007", day("2019-03-04"), {"child_pugh": "7"}),
        (3, "12", day("2019-03-05"), {"child_pugh": "7"}),
    ]


def test_a_workbook_with_several_sheets_is_refused(tmp_path):
    book = openpyxl.Workbook()
    book.create_sheet("other")
    book.save(tmp_path / "labels.xlsx")
    with pytest.raises(InputError, match="2 sheets; expected one"):
        read_labels(tmp_path / "labels.xlsx", id_column="pid")


def test_a_file_that_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "labels.xlsx").write_text("pid\n")
    with pytest.raises(InputError, match="no workbook"):
        read_labels(tmp_path / "labels.xlsx", id_column="pid")


def test_faults_are_told_together_by_line_and_without_ids(tmp_path):
    path = write(
        tmp_path, "pid,when", "A7,2019-03-04", ",2019-03-04", "A8,soon", "A7,2019-03-04"
    )
    with pytest.raises(InputError) as caught:
        read_labels(path, id_column="pid", date_column="when")
    text = str(caught.value)
    assert "line 3: pid is empty" in text
    assert "line 4: when: not a date" in text
    assert "lines 2, 5: one id and date in several rows" in text
    assert "A7" not in text.replace(str(path), "")


def test_a_missing_column_is_named_with_its_neighbour(tmp_path):
    path = write(tmp_path, "pid", "1")
    with pytest.raises(InputError, match=r"column 'PID' is missing .is it 'pid'"):
        read_labels(path, id_column="PID")


def test_a_kept_column_of_dates_is_refused(tmp_path):
    path = write(tmp_path, "pid,born", "1,1950-01-02")
    with pytest.raises(InputError, match="born holds a date"):
        read_labels(path, id_column="pid", keep=["born"])


def test_several_labels_of_a_patient_need_a_date(tmp_path):
    path = write(tmp_path, "pid,child_pugh", "1,7", "1,8")
    with pytest.raises(InputError, match="name the date's column"):
        read_labels(path, id_column="pid")


def test_a_label_takes_the_study_nearest_in_time():
    studies = [
        study("p", "early", "2019-01-01"),
        study("p", "near", "2019-03-01"),
        study("p", "late", "2019-12-01"),
        study("q", "other", "2019-03-05"),
    ]
    join = join_labels([label(2, "p", "2019-03-05")], studies=studies)
    assert list(join.row_of) == ["near"]
    assert join.studies_without_row == ("early", "late", "other")


def test_of_two_labels_at_one_study_the_nearer_has_it():
    studies = [study("p", "one", "2019-03-01"), study("p", "two", "2019-12-01")]
    rows = [label(2, "p", "2019-03-20"), label(3, "p", "2019-03-02")]
    join = join_labels(rows, studies=studies)
    assert join.row_of == {"one": rows[1]}
    assert join.rows_without_study == (rows[0],)


def test_at_equal_distance_the_earlier_study_is_taken():
    studies = [study("p", "late", "2019-03-03"), study("p", "early", "2019-03-01")]
    join = join_labels([label(2, "p", "2019-03-02")], studies=studies)
    assert list(join.row_of) == ["early"]


def test_a_study_beyond_the_limit_is_not_taken():
    join = join_labels(
        [label(2, "p", "2019-03-05")],
        studies=[study("p", "far", "2019-06-05")],
        max_days=90,
    )
    assert join.row_of == {}
    assert len(join.rows_without_study) == 1


def test_a_label_without_a_date_takes_the_only_study_or_none():
    studies = [study("p", "one"), study("q", "two"), study("q", "three")]
    join = join_labels([label(2, "p"), label(3, "q")], studies=studies)
    assert list(join.row_of) == ["one"]


def test_a_study_without_a_date_among_several_is_refused():
    studies = [study("p", "one"), study("p", "two", "2019-03-05")]
    with pytest.raises(InputError, match="table line 2: 1 of this patient's 2 studies"):
        join_labels([label(2, "p", "2019-03-05")], studies=studies)


def test_lost_zeros_are_told_by_line_with_the_option_that_mends_them(tmp_path):
    studies = [study("0000007", "one"), study("0000012", "two")]
    with pytest.raises(InputError) as caught:
        join_labels([label(2, "7"), label(3, "12")], studies=studies)
    text = str(caught.value)
    assert "2 ids of the table" in text
    assert "(lines 2, 3)" in text
    assert "--id-width 7" in text
    path = write(tmp_path, "pid", "7", "12")
    table = read_labels(path, id_column="pid", id_width=7)
    assert len(join_labels(table.rows, studies=studies).row_of) == 2
