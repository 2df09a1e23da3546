from __future__ import annotations

import pathlib

import numpy as np
import pytest

from liverjax import tasks
from liverjax.cohort.table_text import Dialect
from liverjax.errors import InputError
from liverjax.report import read_predictions, write_predictions

TASK = tasks.make("child_pugh")


def table(tmp_path: pathlib.Path, text: str) -> pathlib.Path:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    return path


def problems(tmp_path: pathlib.Path, text: str, **options) -> str:
    with pytest.raises(InputError) as raised:
        read_predictions(table(tmp_path, text), task=TASK, **options)
    return str(raised.value)


def test_subject_target_and_score_are_enough(tmp_path):
    path = table(tmp_path, "subject,target,score\na,5,6.2\nb,12,10.1\n")
    found = read_predictions(path, task=TASK)
    assert found.set.tolist() == ["test", "test"]
    assert found.visit.tolist() == [1, 1]
    assert found.predicted_class.tolist() == [0, 2]  # 6.2 rounds to 6: A; 10.1: C
    assert found.target.tolist() == [5, 12]
    assert (found.name, found.file) == ("predictions", "predictions.csv")


def test_probabilities_alone_rank_by_the_expected_class(tmp_path):
    text = "subject,target,prob_A,prob_B,prob_C\na,5,0.7,0.2,0.1\nb,12,0.1,0.3,0.6\n"
    found = read_predictions(table(tmp_path, text), task=TASK)
    assert found.score == pytest.approx([0.4, 1.5])
    assert found.predicted_class.tolist() == [0, 2]
    assert not found.on_scale
    assert "expected class" in found.notes[0]


def test_classes_alone_rank_by_class(tmp_path):
    found = read_predictions(
        table(tmp_path, "subject,target,class\na,5,B\nb,12,C\n"), task=TASK
    )
    assert found.score.tolist() == [1, 2]
    assert not found.on_scale


def test_a_score_of_another_unit_makes_no_class(tmp_path):
    text = "subject,target,score\na,5,0.1\nb,12,0.9\n"
    found = read_predictions(table(tmp_path, text), task=TASK)
    assert found.predicted_class.tolist() == [-1, -1]
    assert "ranking alone" in found.notes[0]
    assert "No class" in found.notes[1]


def test_a_row_without_target_is_kept(tmp_path):
    found = read_predictions(
        table(tmp_path, "subject,target,score\na,,6\nb,12,10\n"), task=TASK
    )
    assert np.isnan(found.target).tolist() == [True, False]


def test_other_columns_are_kept_as_text(tmp_path):
    text = "subject,target,score,ascites_points\na,5,6,1\nb,12,10,\n"
    found = read_predictions(table(tmp_path, text), task=TASK)
    assert found.extra["ascites_points"].tolist() == ["1", ""]


def test_everything_wrong_is_said_at_once(tmp_path):
    text = problems(
        tmp_path,
        "subject,visit,set,fold,target,score,class\n"
        'a,1,train,0,16,"7,5",A\n'
        ",1,train,0,7,nan,B\n"
        "c,first,train,,7,8,D\n"
        "d,1,train,1,7.5,,B\n"
        "e,1,train,1,<6,8,B\n"
        "d,1,train,2,7,8,B\n",
    )
    for sentence in (
        "line 2 (subject 'a'): target='16': expected an integer from 5 to 15",
        "line 2 (subject 'a'): score='7,5': a number with ','",
        "line 3: subject is empty",
        "line 3 (subject ''): score='nan': not a number; leave the cell",
        "line 4 (subject 'c'): visit='first'",
        "line 4 (subject 'c'): class='D': expected one of A, B, C",
        "line 4 (subject 'c'): a row of train without the fold",
        "line 5 (subject 'd'): target='7.5': expected an integer from 5 to 15",
        "line 5 (subject 'd'): score is empty",
        "line 6 (subject 'e'): target='<6': a bound, not a number",
        "line 7: subject 'd', visit 1 stands already in line 5",
        "line 7 (subject 'd'): held out by fold 2 here and by fold 1 above",
    ):
        assert sentence in text


def test_a_subject_belongs_into_one_fold_of_any_set(tmp_path):
    text = "subject,visit,fold,target,score\na,1,0,7,8\na,2,1,7,8\n"
    assert "held out by fold 1 here and by fold 0 above" in problems(tmp_path, text)


def test_a_table_of_slices_is_refused_with_a_count(tmp_path):
    rows = "".join(f"a,7,{i}\n" for i in range(30))
    text = problems(tmp_path, "subject,target,score\n" + rows)
    assert "and 28 more rows like it: a table of slices?" in text
    assert "--slices mean" in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("patient,truth\na,5\n", "the column 'subject' is missing"),
        ("subject,target\na,5\n", "nothing is predicted: expected a column score"),
        ("subject,target,score\n", "has a header but no rows"),
        ("subject,target,prob_A,prob_B\na,5,1,0\n", "exactly prob_A, prob_B, prob_C"),
        ("subject;target;score\na;5;7,5\n", "saved with semicolons, read with commas"),
        ("subject,target,score\na,5\n", "line 2: 2 cells under 3 columns"),
        (
            "subject,target,prob_A,prob_B,prob_C\na,5,0.5,0.2,0.2\n",
            "probabilities sum to 0.9, expected 1",
        ),
        (
            "subject,target,prob_A,prob_B,prob_C\na,5,1.2,-0.2,0\n",
            "a probability is outside 0..1",
        ),
        ("subject,target,score\na,5,\n", "score, prob_* and class are all empty"),
        ("", "the file is empty"),
    ],
)
def test_one_sentence_mends_the_table(tmp_path, text, sentence):
    assert sentence in problems(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.csv: the file is missing"):
        read_predictions(tmp_path / "no.csv", task=TASK)


def test_a_dialect_reads_semicolons_and_decimal_commas(tmp_path):
    path = table(tmp_path, "subject;target;score\na;5;6,2\n")
    found = read_predictions(
        path, task=TASK, dialect=Dialect(delimiter=";", decimal=",")
    )
    assert found.score.tolist() == [6.2]


def test_a_dialect_reads_every_column_of_numbers(tmp_path):
    text = (
        "subject;target;score;platelets_10e9_per_l;segments;note;albumin_g_per_l\n"
        "a;5;6,2;123,5;2,5;1,5 cm;41,5\nb;7;7,5;;4;3,5;<20\n"
    )
    comma = Dialect(delimiter=";", decimal=",")
    found = read_predictions(table(tmp_path, text), task=TASK, dialect=comma).extra
    assert found["platelets_10e9_per_l"].tolist() == ["123.5", ""]
    assert found["segments"].tolist() == ["2.5", "4"]
    assert found["note"].tolist() == ["1,5 cm", "3,5"]
    assert found["albumin_g_per_l"].tolist() == ["41.5", "<20"]


VISITS = (
    "subject,visit,exam_day,reference_day,target,score\n"
    "a,1,0,100,5,6\na,2,90,100,7,8\nb,3,5,0,12,10\n"
)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("first", [1, 3]),
        ("closest", [2, 3]),
        ("all", [1, 2, 3]),
        (None, [1, 2, 3]),
    ],
)
def test_visits_choose_one_examination_a_subject(tmp_path, rule, kept):
    found = read_predictions(table(tmp_path, VISITS), task=TASK, visits=rule)
    assert found.visit.tolist() == kept
    assert len(found.extra["exam_day"]) == len(kept)
    assert ("1 further examination of" in "".join(found.notes)) == (len(kept) == 2)


def test_closest_needs_its_days(tmp_path):
    text = "subject,visit,target,score\na,1,5,6\na,2,7,8\n"
    assert "needs the column exam_day" in problems(tmp_path, text, visits="closest")
    assert "expected one of first, closest, all" in problems(
        tmp_path, text, visits="last"
    )


def test_what_is_written_is_read_again(tmp_path):
    rows = [
        {
            "subject": "b",
            "set": "train",
            "fold": 3,
            "target": 8.0,
            "score": 1 / 3 + 7,
            "class": "B",
            "members": 2,
            "ascites_points": "2",
        },
        {"subject": "a", "set": "external", "score": 9.5, "target": float("nan")},
    ]
    path = tmp_path / "deep" / "predictions.csv"
    write_predictions(path, rows, task=TASK)
    lines = path.read_text().splitlines()
    assert lines[0] == (
        "subject,visit,set,site,fold,target,score,class,members,ascites_points"
    )
    assert lines[1] == f"b,,train,,3,8,{1 / 3 + 7!r},B,2,2"
    with pytest.raises(InputError, match="class='': expected one of"):
        read_predictions(path, task=TASK)
    write_predictions(path, rows[:1], task=TASK)
    found = read_predictions(path, task=TASK)
    assert found.score[0] == 1 / 3 + 7
    assert (found.fold[0], found.members[0]) == ("3", 2)


def test_probabilities_are_written_in_the_tasks_order(tmp_path):
    row = {"subject": "a", "score": 7.0, "prob_C": 0.2, "prob_A": 0.5, "prob_B": 0.3}
    write_predictions(tmp_path / "p.csv", [row], task=TASK)
    header = (tmp_path / "p.csv").read_text().splitlines()[0]
    assert "score,prob_A,prob_B,prob_C,class,members" in header


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"score": 7.0}, "no subject"),
        ({"subject": "a"}, "score=None is not finite"),
        ({"subject": "a", "score": float("nan")}, "score=nan is not finite"),
        ({"subject": "a", "score": 7.0, "class": "D"}, "class 'D' is not in"),
    ],
)
def test_a_defective_row_is_not_written(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "p.csv", [row], task=TASK)
    assert not (tmp_path / "p.csv").exists()
