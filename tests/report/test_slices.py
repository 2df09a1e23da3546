"""Rows that are slices: their classes when averaged, their pairs in two models."""

from __future__ import annotations

import pytest

from liverjax import report
from liverjax.errors import InputError
from liverjax.report.answers import UNKNOWN_CLASS
from liverjax.report.foreign import baseline_rows, question_of_table
from liverjax.report.judgement import join
from liverjax.report.tables import read_predictions, write_predictions

LOGITS = "subject,target,score,class\n" + "".join(
    f"{s},{t},{v},{int(v > -2)}\n"
    for s, t, vs in (("a", 0, (-4, -3)), ("b", 1, (-1.5, -1)), ("c", 1, (0.5, 2)))
    for v in vs
)


def mean_of_logits(tmp_path, **options):
    """Slices are called from -2 on, which no column tells."""
    path = tmp_path / "slices.csv"
    path.write_text(LOGITS)
    task = question_of_table(path, name="binary", **options)
    return read_predictions(path, task=task, slices="mean")


def test_averaged_ranks_make_no_class_at_a_cutoff_of_probabilities(tmp_path):
    found = mean_of_logits(tmp_path)
    assert found.predicted_class.tolist() == [UNKNOWN_CLASS] * 3
    assert "make no class of an examination" in found.notes[-1]


def test_averaged_ranks_make_classes_at_a_named_cutoff(tmp_path):
    assert mean_of_logits(tmp_path, cutoff="-2").predicted_class.tolist() == [0, 1, 1]
    later = mean_of_logits(tmp_path, cutoff="youden:test")
    assert "make no class" not in " ".join(later.notes)


def test_averaged_probabilities_make_classes_beside_logits(tmp_path):
    path = tmp_path / "slices.csv"
    rows = ("a,0,-4,0.1", "a,0,-3,0.2", "b,1,0.3,0.9", "b,1,-1,0.4", "c,1,2,0.7")
    path.write_text("subject,target,score,prob_1\n" + "\n".join(rows) + "\n")
    task = question_of_table(path, name="binary")
    found = read_predictions(path, task=task, slices="mean")
    assert found.predicted_class.tolist() == [0, 1, 1]
    assert found.score == pytest.approx([-3.5, -0.35, 2])


def two_models(tmp_path, rule: str, *, order=range(5), column="slice", last=7) -> dict:
    """Slices of one visit each, but of b two; the other model's rows in any order."""
    which = ("a,1,1", "a,1,2", "b,1,1", "b,2,1", "c,1,7")
    rows = [f"{one},{int(one[0] != 'a')},0.{i + 1}" for i, one in enumerate(which)]
    theirs = [rows[i].replace("c,1,7", f"c,1,{last}") for i in order]
    found = []
    for name, lines in (("mine", rows), ("other", theirs)):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"subject,visit,{column},target,score\n" + "\n".join(lines))
        task = question_of_table(path, name="binary")
        found.append(read_predictions(path, task=task, slices=rule))
    examinations = [
        {"subject": s, "visit": str(v), "liver_ml": f"{1000 + v}"}
        for s, v in (("a", 1), ("b", 1), ("b", 2), ("c", 1))
    ]
    joined = join(found[0], examinations).extra["liver_ml"].tolist()
    assert joined == ["1001", "1001", "1001", "1002", "1001"]
    return report.judge(
        found[0], task=task, compare=found[1:], slices=rule, examinations=examinations
    )


@pytest.mark.parametrize("rule", ["clustered", "independent"])
def test_slices_of_two_models_are_paired_by_their_number(tmp_path, rule):
    metrics = two_models(tmp_path, rule, order=(4, 2, 0, 1, 3))
    other = metrics["models"]["other"]
    assert other["rows"] == {"matched": 5, "unmatched_here": 0, "unmatched_there": 0}
    assert other["brier_difference"]["low"] == other["brier_difference"]["high"] == 0
    assert metrics["input"]["prepared_without_prediction"] == []


@pytest.mark.parametrize("rule", ["clustered", "independent"])
def test_slices_without_a_number_are_not_paired(tmp_path, rule):
    with pytest.raises(InputError, match=r"paired by a column slice .* is missing"):
        two_models(tmp_path, rule, column="z")


def test_slices_that_only_one_model_has_are_counted(tmp_path):
    metrics = two_models(tmp_path, "clustered", last=8)
    rows = metrics["models"]["other"]["rows"]
    assert rows == {"matched": 4, "unmatched_here": 1, "unmatched_there": 1}


def test_slices_of_one_number_are_not_paired(tmp_path):
    with pytest.raises(InputError, match="slice '1' of subject 'a', visit 1, stands"):
        two_models(tmp_path, "clustered", order=(0, 0, 1))


def test_a_baseline_of_slices_is_paired_by_their_number(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{s},{k},{int(s > 'b')},0.{i},{i or ''}" for i, (s, k) in enumerate(
        (s, k) for s in "abcd" for k in (3, 1))]  # fmt: skip
    path.write_text("subject,slice,target,score,area\n" + "\n".join(rows))
    task = question_of_table(path, name="binary")
    table = read_predictions(path, task=task, slices="independent")
    other = tmp_path / "area.csv"
    write_predictions(other, baseline_rows(table, column="area"), task=task)
    baseline = read_predictions(other, task=task, slices="independent")
    found = report.judge(table, task=task, compare=[baseline])["models"]["area"]
    assert found["rows"]["matched"] == 7  # the first has no value
    assert found["auc_difference"]["estimate"] == 0


def test_a_visit_is_chosen_before_its_slices_are_numbered(tmp_path):
    path = tmp_path / "slices.csv"
    rows = ("a,1,0,0.1", "a,1,0,0.2", "a,2,0,0.9", "b,2,1,0.7", "b,2,1,0.8")
    path.write_text("subject,visit,target,score\n" + "\n".join(rows))
    task = question_of_table(path, name="binary")
    found = read_predictions(path, task=task, slices="clustered", visits="first")
    assert found.score.tolist() == [0.1, 0.2, 0.7, 0.8]
    assert found.left_out == (("a", 2),)
