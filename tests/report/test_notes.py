"""What is said of judged rows that a reader should not take at their word."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from liverjax import report
from liverjax.report.cohort_sections import misordered
from liverjax.report.foreign import question_of_table
from tests.report import foreign_tables


def judge(folder: pathlib.Path, columns: dict, *, task: str = "binary", **options):
    path = foreign_tables.write(folder / "mine.csv", columns)
    question = question_of_table(path, name=task, **options)
    return report.judge(report.read_predictions(path, task=question), task=question)


def notes(folder: pathlib.Path, columns: dict, **options) -> str:
    return " ".join(judge(folder, columns, **options)["notes"])


@pytest.mark.parametrize(
    ("task", "columns", "sentence"),
    [
        ("binary", foreign_tables.binary(n=60), "in test: AUC 0."),
        ("number", foreign_tables.number(n=40), "Does lower mean more? Then give"),
        ("survival", foreign_tables.survival(n=60), "lower mean an earlier event?"),
    ],
)
def test_a_score_the_wrong_way_round_is_said(tmp_path, task, columns, sentence):
    assert "wrong way" not in notes(tmp_path, columns, task=task)
    highest = max(columns["score"])
    turned = columns | {"score": [round(highest - s, 4) for s in columns["score"]]}
    said = notes(tmp_path, turned, task=task)
    assert "The score ranks the wrong way" in said
    assert sentence in said


def test_a_few_rows_in_the_wrong_order_are_no_proof(tmp_path):
    columns = {"subject": [*"abcd"], "target": [0, 0, 1, 1], "score": [4, 3, 2, 1]}
    assert "wrong way" not in notes(tmp_path, columns)


@pytest.mark.parametrize(("cutoff", "which"), [("0.999", "No"), ("0.001", "Every")])
def test_a_cutoff_beyond_all_scores_is_said(tmp_path, cutoff, which):
    said = notes(tmp_path, foreign_tables.binary(n=60), cutoff=cutoff)
    assert f"{which} row of test is called 1: its scores run from 0." in said


def test_a_cutoff_says_which_of_several_it_is(tmp_path):
    said = notes(tmp_path, foreign_tables.binary(n=60), cutoff="youden:test")
    assert "of several such the lowest, halfway between neighbouring scores" in said


def test_few_cases_are_said_with_what_rests_on_them(tmp_path):
    columns = foreign_tables.binary(n=60)
    assert "Few cases" not in notes(tmp_path, columns)
    sick = np.cumsum(columns["target"])
    keep = [i for i, t in enumerate(columns["target"]) if not t or sick[i] <= 7]
    few = {name: [cells[i] for i in keep] for name, cells in columns.items()}
    said = notes(tmp_path, few)
    assert f"Few cases: test (7 of class 1, n = {len(keep)})." in said
    assert "Sensitivity rests on the positive cases alone" in said
    small = {name: cells[:12] for name, cells in foreign_tables.number().items()}
    assert "Few cases: test (n = 12)." in notes(tmp_path, small, task="number")


def test_a_set_without_events_is_said(tmp_path):
    columns = foreign_tables.survival(n=60)
    columns["set"] = ["a" if i % 2 else "b" for i in range(60)]
    columns["event"] = [e if i % 2 else 0 for i, e in enumerate(columns["event"])]
    said = notes(tmp_path, columns, task="survival")
    assert "No event in b (30 rows, all censored): nothing can be ranked there." in said


def test_a_ranking_score_is_wrong_by_those_it_stands_on_the_wrong_side_of():
    """Of the two healthy rows one is above the sick row of 3, one ties with it."""
    score = np.array([3.0, 5.0, 3.0, 9.0])
    found = misordered(score, true_class=np.array([0, 0, 1, 1]))
    assert found.tolist() == [0.25, 0.5, 0.75, 0.0]
    assert misordered(score, true_class=np.ones(4, int)).tolist() == [0, 0, 0, 0]
