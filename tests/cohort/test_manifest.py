from __future__ import annotations

import pathlib

import pytest

from liverjax.cohort.manifest import Dialect, read_manifest
from liverjax.cohort.manifest_checks import CHILD_PUGH_ITEMS, same_content
from liverjax.cohort.schema import Recipe
from liverjax.errors import InputError
from liverjax.tasks import ChildPugh

HEADER = "subject,native,arterial,venous,mask_venous,child_pugh"
RECIPE = Recipe()


def write(folder: pathlib.Path, *lines: str, encoding: str = "utf-8") -> pathlib.Path:
    path = folder / "manifest.csv"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def row(subject: str, *, score: str = "7") -> str:
    return (
        f"{subject},{subject}n.nii,{subject}a.nii,{subject}v.nii,{subject}m.nii,{score}"
    )


def make_files(folder: pathlib.Path, *subjects: str) -> None:
    touch(folder, *(f"{s}{kind}.nii" for s in subjects for kind in "navm"))


def read(path: pathlib.Path, **options):
    return read_manifest(
        path,
        **({"recipe": RECIPE, "task": ChildPugh(), "check_files": False} | options),
    )


def refused(path: pathlib.Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    return str(caught.value)


def test_a_row_becomes_an_examination_with_paths_beside_the_table(tmp_path):
    make_files(tmp_path, "p1")
    path = write(tmp_path, HEADER + ",site,visit,age_years", row("p1") + ",north,2,61")
    (one,) = read(path, check_files=True).examinations
    assert (one.subject, one.visit, one.set, one.site) == ("p1", 2, "train", "north")
    assert one.images["venous"] == tmp_path / "p1v.nii"
    assert one.masks["venous"].path == tmp_path / "p1m.nii"
    assert one.cells == {"child_pugh": "7", "age_years": "61"}
    assert one.line == 2


def test_a_mask_keeps_its_order_and_segment(tmp_path):
    path = write(
        tmp_path,
        HEADER
        + ",mask_venous_order,mask_venous_segment,spleen_mask_venous,mask_source",
        row("p1") + ",z_down,Liver,s.nii,manual",
    )
    (one,) = read(path).examinations
    assert (one.masks["venous"].order, one.masks["venous"].segment) == (
        "z_down",
        "Liver",
    )
    assert one.spleen_masks["venous"].path == tmp_path / "s.nii"
    assert one.cells == {"child_pugh": "7", "mask_source": "manual"}


def test_files_of_other_channels_are_not_kept_as_cells(tmp_path):
    path = write(tmp_path, HEADER + ",delayed", row("p1") + ",d.nii.gz")
    (one,) = read(path).examinations
    assert "delayed" not in one.cells


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    make_files(tmp_path, "p1")
    touch(tmp_path, "elsewhere/v.nii")
    absolute = tmp_path / "elsewhere" / "v.nii"
    path = write(tmp_path, HEADER, row("p1").replace("p1v.nii", str(absolute)))
    (one,) = read(path, check_files=True).examinations
    assert one.images["venous"] == absolute


def test_a_missing_table_is_named(tmp_path):
    assert "manifest.csv: the file is missing" in refused(tmp_path / "manifest.csv")


def test_an_empty_table_and_a_header_alone_are_refused(tmp_path):
    assert "the file is empty" in refused(write(tmp_path))
    assert "a header without rows" in refused(write(tmp_path, HEADER))


def test_a_missing_column_comes_with_the_name_it_may_be_under(tmp_path):
    path = write(
        tmp_path, HEADER.replace(",venous", ",PV").replace("subject", "ID"), row("p1")
    )
    text = refused(path)
    assert "column 'venous' is missing" in text
    assert "is it 'PV'?" in text
    assert "column 'subject' is missing" in text
    assert "is it 'ID'?" in text


def test_all_problems_come_at_once_with_line_subject_and_value(tmp_path):
    path = write(
        tmp_path,
        HEADER,
        row("p1", score="4"),
        row(""),
        row("a/b"),
        row("p4", score="B"),
        row("p5", score="7.5"),
        row("p5"),
    )
    text = refused(path)
    assert "10 problems" in text  # with the four files that p5 names twice
    assert "line 2, subject 'p1': child_pugh='4': expected an integer from 5" in text
    assert "line 3, subject '': subject is empty" in text
    assert "line 4, subject 'a/b': subject is a path" in text
    assert "line 5, subject 'p4': child_pugh='B'" in text
    assert "line 6, subject 'p5': child_pugh='7.5'" in text
    assert "lines 6, 7: subject 'p5', visit 1 stands 2 times" in text


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ('"7,0"', "--decimal ','"),
        ("<7", "a bound, not a number"),
        ("7 points", "units belong into the column's name"),
        ("16", "expected an integer from 5 to 15"),
        ("1_0", "not a number"),
        ("1e400", "not a finite number"),
    ],
)
def test_a_label_that_is_no_score_says_how_to_mend_it(tmp_path, cell, hint):
    assert hint in refused(write(tmp_path, HEADER, row("p1", score=cell)))


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("n/a", "leave the cell of a missing value empty"),
        ("<0.3", "a bound"),
        ('"0,3"', "--decimal ','"),
        ('"1.250,3"', "not a number with the decimal sign '.'"),
    ],
)
def test_a_clinical_number_is_checked_by_its_columns_unit(tmp_path, cell, hint):
    path = write(tmp_path, HEADER + ",ast_u_per_l", row("p1") + "," + cell)
    text = refused(path)
    assert hint in text
    assert "ast_u_per_l=" in text


def test_a_column_without_its_unit_is_refused_with_the_choices(tmp_path):
    path = write(tmp_path, HEADER + ",bilirubin", row("p1") + ",20")
    assert "bilirubin_umol_per_l or bilirubin_mg_per_dl" in refused(path)


def test_semicolons_are_refused_by_name_and_read_by_option(tmp_path):
    header = (HEADER + ",age_years").replace(",", ";")
    path = write(tmp_path, header, row("p1").replace(",", ";") + ";61,5")
    text = refused(path)
    assert "saved with semicolons, read with commas; save it with commas and" in text
    assert "read it with --delimiter ';'" in text
    dialect = Dialect(delimiter=";", decimal=",")
    (one,) = read(path, dialect=dialect).examinations
    assert one.cells["age_years"] == "61.5"


def test_names_with_a_comma_do_not_hide_that_a_table_has_semicolons(tmp_path):
    path = write(tmp_path, "subject;venous;age, in years;note", "p1;a;61;x")
    assert "saved with semicolons" in refused(path)


def test_tabs_are_named_as_the_option_calls_them(tmp_path):
    path = write(tmp_path, "subject\tvenous", "p1\ta")
    assert "saved with tabs, read with commas" in refused(path)
    assert "--delimiter 'tab'" in refused(path)


def test_a_spreadsheets_own_first_line_is_refused(tmp_path):
    path = write(tmp_path, "sep=;", "subject;venous", "p1;a")
    assert "the first line, 'sep=', is a word to a spreadsheet" in refused(path)


def test_a_comma_table_is_refused_where_semicolons_were_said(tmp_path):
    path = write(tmp_path, HEADER, row("p1"))
    text = refused(path, dialect=Dialect(delimiter=";"))
    assert "saved with commas, read with semicolons" in text


def test_exclusions_are_written_as_the_manifest_beside_them(tmp_path):
    path = write(tmp_path, HEADER.replace(",", ";"), row("p1").replace(",", ";"))
    (tmp_path / "exclusions.csv").write_text("step;reason;n\nscreening;no CT;12\n")
    (step,) = read(path, dialect=Dialect(delimiter=";")).before
    assert step.count == 12


def test_a_decimal_point_is_refused_under_a_decimal_comma(tmp_path):
    header = (HEADER + ",age_years").replace(",", ";")
    path = write(tmp_path, header, row("p1").replace(",", ";") + ";61.5")
    text = refused(path, dialect=Dialect(delimiter=";", decimal=","))
    assert "age_years='61.5': a number with '.'" in text


def test_a_utf8_byte_order_mark_is_taken_off(tmp_path):
    path = write(tmp_path, HEADER, row("p1"), encoding="utf-8-sig")
    assert read(path).columns[0] == "subject"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "latin-1"])
def test_another_encoding_is_refused_and_read_by_option(tmp_path, encoding):
    lines = (HEADER + ",site", row("p1") + ",Köln")
    path = write(tmp_path, *lines, encoding=encoding)
    assert "--encoding" in refused(path)
    (one,) = read(path, dialect=Dialect(encoding=encoding)).examinations
    assert one.site == "Köln"


def test_a_workbook_is_refused_as_such(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"PK\x03\x04rest")
    assert "a workbook" in refused(path)


def test_an_unknown_dialect_is_refused():
    with pytest.raises(InputError, match=r"expected one character.*no such encoding"):
        Dialect(delimiter=";;", encoding="utf-9")


def test_a_line_of_another_length_is_named(tmp_path):
    path = write(tmp_path, HEADER, row("p1") + ",5", row("p2"))
    assert "line 2: 7 cells under 6 columns" in refused(path)


def test_empty_lines_and_empty_columns_of_a_spreadsheet_are_nothing(tmp_path):
    path = write(tmp_path, HEADER + ",,", row("p1") + ",,", ",,,,,,,", "")
    assert len(read(path).examinations) == 1


def test_lines_are_counted_in_the_file_not_in_rows(tmp_path):
    path = write(tmp_path, HEADER + ",remark", row("p1") + ',"two\nlines"', "", row(""))
    assert "line 5: 6 cells" in refused(path)


def test_an_open_quotation_mark_is_named(tmp_path):
    path = write(tmp_path, HEADER, '"p1' + row("p1"), row("p2"))
    assert "line 2: not readable as a table" in refused(path)


@pytest.mark.parametrize("visit", ["0", "-1", "1.0", "", "two"])
def test_a_visit_is_an_integer_from_one(tmp_path, visit):
    path = write(tmp_path, HEADER + ",visit", row("p1") + "," + visit)
    assert f"visit={visit!r}: expected an integer from 1" in refused(path)


def test_an_empty_set_is_not_guessed(tmp_path):
    path = write(tmp_path, HEADER + ",set", row("p1") + ",")
    assert "set is empty" in refused(path)


def test_training_under_another_name_is_refused(tmp_path):
    path = write(tmp_path, HEADER + ",set", row("p1") + ",Train", row("p2") + ",centre")
    assert "set 'Train': only 'train'" in refused(path)


def test_a_subject_in_two_sets_is_refused(tmp_path):
    path = write(
        tmp_path,
        HEADER + ",set,visit",
        row("p1") + ",train,1",
        row("p1").replace("p1n", "x").replace("p1a", "y") + ",external,2",
    )
    assert "subject 'p1' is in the sets external, train" in refused(path)


def test_one_number_with_and_without_zeros_is_refused(tmp_path):
    path = write(tmp_path, HEADER, row("007"), row("7"))
    assert "'007', '7' are one number" in refused(path)


def test_lost_leading_zeros_are_a_warning(tmp_path):
    path = write(tmp_path, HEADER, row("003"), row("045"), row("12"))
    (warning,) = read(path).warnings
    assert "1 subjects (such as '12') have fewer digits than the usual 3" in warning


def test_plain_counting_is_no_warning(tmp_path):
    path = write(tmp_path, HEADER, *(row(str(n)) for n in range(1, 30)))
    assert read(path).warnings == ()


def test_a_subject_rewritten_by_a_spreadsheet_is_refused(tmp_path):
    text = refused(write(tmp_path, HEADER, row("1.23E+07")))
    assert "rewritten as a number" in text


@pytest.mark.parametrize("subject", ["..", ".hidden", "a:b", "-p", "a*b", "x" * 65])
def test_a_subject_that_is_no_file_name_is_refused(tmp_path, subject):
    assert "subject has" in refused(write(tmp_path, HEADER, row(subject)))


def test_names_that_differ_in_case_only_are_a_warning(tmp_path):
    (warning,) = read(write(tmp_path, HEADER, row("P-1"), row("p1"))).warnings
    assert "'P-1', 'p1' differ only in case" in warning


def test_a_manifest_without_training_rows_warns(tmp_path):
    (warning,) = read(write(tmp_path, HEADER + ",set", row("p") + ",test")).warnings
    assert "nothing can be trained" in warning


def test_a_column_of_dates_is_refused(tmp_path):
    path = write(tmp_path, HEADER + ",seen", row("p1") + ",2019-03-04")
    assert "column 'seen' holds calendar dates" in refused(path)


def test_an_absent_path_is_named_with_its_neighbour(tmp_path):
    make_files(tmp_path, "p1")
    path = write(tmp_path, HEADER, row("p1").replace("p1v.nii", "p1v.nii.gz"))
    text = refused(path, check_files=True)
    assert "line 2, subject 'p1': venous='p1v.nii.gz'" in text
    assert "is not there; 'p1v.nii' is there" in text


def test_a_file_without_bytes_and_a_folder_without_files_are_refused(tmp_path):
    make_files(tmp_path, "p1")
    (tmp_path / "p1v.nii").write_bytes(b"")
    (tmp_path / "p1n.nii").unlink()
    (tmp_path / "p1n.nii").mkdir()
    text = refused(write(tmp_path, HEADER, row("p1")), check_files=True)
    assert "p1v.nii has no bytes" in text
    assert "p1n.nii is a folder without files" in text


def test_a_folder_of_pngs_needs_its_order(tmp_path):
    make_files(tmp_path, "p1")
    touch(tmp_path, "pngs/1.png")
    line = row("p1").replace("p1m.nii", "pngs")
    text = refused(write(tmp_path, HEADER, line), check_files=True)
    assert "mask_venous_order to say file_order, z_up or z_down" in text


def test_an_unknown_order_is_refused(tmp_path):
    path = write(tmp_path, HEADER + ",mask_venous_order", row("p1") + ",down")
    assert "mask_venous_order='down': expected one of" in refused(path)


def test_an_order_without_its_mask_column_is_refused(tmp_path):
    path = write(tmp_path, HEADER + ",mask_native_order", row("p1") + ",")
    assert "'mask_native_order' belongs to no column 'mask_native'" in refused(path)


def test_two_rows_with_one_image_are_refused(tmp_path):
    path = write(tmp_path, HEADER, row("p1"), row("p2").replace("p2v.nii", "./p1v.nii"))
    assert "named 2 times (line 2, venous, line 3, venous)" in refused(path)


def test_two_images_of_equal_bytes_are_refused(tmp_path):
    make_files(tmp_path, "p1", "p2")
    (tmp_path / "p2a.nii").write_bytes((tmp_path / "p1a.nii").read_bytes())
    text = refused(write(tmp_path, HEADER, row("p1"), row("p2")), check_files=True)
    assert "equal content: line 2, subject 'p1', arterial='p1a.nii', line 3" in text


def test_equal_content_is_found_in_files_and_folders_whatever_their_names(tmp_path):
    touch(tmp_path, "one/a.dcm", "two/b.dcm", "x", "y")
    for name in ("one/a.dcm", "two/b.dcm"):
        (tmp_path / name).write_bytes(b"series" * 50_000)
    paths = [tmp_path / name for name in ("one", "two", "x", "y")]
    assert same_content(paths) == [(paths[0], paths[1])]


def test_files_that_differ_far_from_their_middle_are_not_equal(tmp_path):
    content = bytearray(300_000)
    (tmp_path / "a").write_bytes(content)
    content[-1] = 1
    (tmp_path / "b").write_bytes(content)
    assert same_content([tmp_path / "a", tmp_path / "b"]) == []


def test_what_is_absent_is_a_counted_exclusion(tmp_path):
    path = write(
        tmp_path,
        HEADER,
        row("p1"),
        row("p2", score=""),
        row("p3").replace("p3a.nii", ""),
        row("p4").replace("p4m.nii", ""),
    )
    manifest = read(path)
    assert [one.subject for one in manifest.examinations] == ["p1"]
    assert [(e.examination.subject, e.code) for e in manifest.excluded] == [
        ("p2", "no-label"),
        ("p3", "no-image"),
        ("p4", "no-mask"),
    ]


def test_a_row_names_all_that_it_lacks(tmp_path):
    path = write(tmp_path, HEADER, row("p1", score="").replace("p1m.nii", ""))
    (one,) = read(path).excluded
    assert one.code == "no-label"
    assert one.reason == "child_pugh is empty; mask_venous (liver) is empty"


def test_an_optional_channel_may_be_absent_row_or_column(tmp_path):
    recipe = Recipe(optional_channels=("arterial", "native"))
    header = HEADER.replace("native,", "")
    line = row("p1").replace("p1n.nii,", "").replace("p1a.nii", "")
    (one,) = read(write(tmp_path, header, line), recipe=recipe).examinations
    assert list(one.images) == ["venous"]


def test_without_a_task_no_label_is_asked_for(tmp_path):
    path = write(tmp_path, HEADER.removesuffix(",child_pugh"), row("p1", score="")[:-1])
    assert len(read(path, task=None).examinations) == 1


def _visits(tmp_path: pathlib.Path, *days: str) -> pathlib.Path:
    lines = [
        f"p,{v}n,{v}a,{v}v,{v}m,7,{v},{day},0" for v, day in enumerate(days, start=1)
    ]
    return write(tmp_path, HEADER + ",visit,exam_day,reference_day", *lines)


@pytest.mark.parametrize(
    ("rule", "visits"),
    [("all", [1, 2, 3]), ("first", [1]), ("closest_to_reference", [2])],
)
def test_the_visit_rule_chooses_and_counts(tmp_path, rule, visits):
    path = _visits(tmp_path, "-40", "3", "-3")
    manifest = read(path, recipe=Recipe(visit_rule=rule))
    assert [one.visit for one in manifest.examinations] == visits
    assert len(manifest.excluded) == 3 - len(visits)


def test_the_closest_visit_needs_its_days(tmp_path):
    path = _visits(tmp_path, "-40", "")
    text = refused(path, recipe=Recipe(visit_rule="closest_to_reference"))
    assert "expected exam_day and reference_day" in text


def test_items_must_sum_to_the_score(tmp_path):
    header = HEADER + "," + ",".join(CHILD_PUGH_ITEMS)
    path = write(tmp_path, header, row("p1") + ",1,1,1,2,2", row("p2") + ",1,1,1,1,2")
    text = refused(path)
    assert "line 3, subject 'p2': child_pugh='7', but its five items sum to 6" in text
    assert "p1" not in text


def test_exclusions_beside_the_table_are_counted(tmp_path):
    path = write(tmp_path, HEADER, row("p1"))
    (tmp_path / "exclusions.csv").write_text(
        "step,reason,n,subject\n"
        "screening,no CT,12,\nscreening,no CT,,q1\nconsent,withdrawn,1,\n"
    )
    before = read(path).before
    assert [(f.step, f.reason, f.count) for f in before] == [
        ("screening", "no CT", 13),
        ("consent", "withdrawn", 1),
    ]


def test_a_patient_is_either_excluded_or_in_the_manifest(tmp_path):
    path = write(tmp_path, HEADER, row("p1"))
    (tmp_path / "exclusions.csv").write_text("step,reason,subject\nx,y,p1\n")
    assert "subject 'p1' is also in the manifest" in refused(path)
