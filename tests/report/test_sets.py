"""Several sets in one table: which stands first, and what each has of its own."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import liverjax.report.__main__ as command
from liverjax import report
from liverjax.cohort.files import read_json
from liverjax.errors import InputError
from liverjax.report import figures
from liverjax.report.__main__ import main
from liverjax.report.cautions import collect_cautions
from liverjax.report.flow import count_flow
from liverjax.report.methods import methods
from liverjax.report.run import read_run
from liverjax.tasks.generic import Binary
from tests.report import foreign_tables


def two_sets(*, first: str = "train", folds: bool = True, n: int = 90) -> dict:
    """Returns a table of which a third is external."""
    columns = foreign_tables.binary(n=n)
    inside = [i % 3 != 0 for i in range(n)]
    columns["set"] = [first if own else "external" for own in inside]
    columns["fold"] = [i % 5 if own and folds else "" for i, own in enumerate(inside)]
    return columns


def write(folder: pathlib.Path, columns: dict) -> report.Predictions:
    path = foreign_tables.write(folder / "mine.csv", columns)
    return report.read_predictions(path, task=Binary())


@pytest.fixture(scope="module", autouse=True)
def _words_alone():
    """Pages without their pictures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, folder, *, name: b"<svg/>")
        yield


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Metrics and page of the set external, with another model and subgroups."""
    folder = tmp_path_factory.mktemp("sets")
    other = foreign_tables.binary(5, n=90, signal=0.5)
    del other["sex"], other["age_years"], other["fib4"]
    for name in other:  # 5 of the external rows are missing, one is from elsewhere
        other[name] = [c for i, c in enumerate(other[name]) if i % 3 or i >= 15]
        other[name].append(other[name][0])
    other["subject"][-1] = "elsewhere"
    path = foreign_tables.write(folder / "mine.csv", two_sets())
    out = folder / "out"
    words = ["--predictions", str(path), "--task", "binary", "--out", str(out)]
    words += ["--compare", str(foreign_tables.write(folder / "other.csv", other))]
    main([*words, "--set", "external", "--subgroups", "sex"])
    page = (out / "report.html").read_text(encoding="utf-8")
    return read_json(out / "metrics.json"), page, out


def test_the_named_set_stands_first_and_stays_there(judged, capsys, monkeypatch):
    metrics, page, out = judged
    assert (metrics["set"], metrics["auc"]["n"]) == ("external", 30)
    assert (
        "90 judged examinations of 90 patients. The headline is the set external. "
        in page
    )
    assert "Positive: 1.</p>" in page
    monkeypatch.setattr(command, "write_report", lambda folder, task: folder)
    main(["--run", str(out)])
    assert read_json(out / "metrics.json")["set"] == "external"
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "set external (--set puts another first: train)",
        "positive: 1",
    ]


def test_another_set_may_stand_first_later(judged, tmp_path, monkeypatch):
    """Columns that nobody named are those of each set: one site is no mistake."""
    columns = two_sets() | {"site": []}
    for i, name in enumerate(columns["set"]):
        columns["site"].append("C" if name == "external" else "AB"[i % 2])
    path = foreign_tables.write(tmp_path / "mine.csv", columns)
    monkeypatch.setattr(command, "write_report", lambda folder, task: folder)
    out = tmp_path / "out"
    main(["--predictions", str(path), "--task", "binary", "--out", str(out)])
    assert set(read_json(out / "metrics.json")["subgroups"]) == {"sex", "site"}
    main(["--run", str(out), "--set", "external"])
    assert set(read_json(out / "metrics.json")["subgroups"]) == {"sex"}
    assert read_json(judged[2] / "metrics.json")["subgroup_columns"] == ["sex"]


def test_an_unknown_set_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(InputError) as error:
        report.judge(write(tmp_path, two_sets()), task=Binary(), headline="extern")
    there = "it has external (30 judged rows), train (60 judged rows)"
    assert f"--set extern: mine.csv has no judged row of that set; {there}" in (
        str(error.value)
    )


def test_every_set_has_the_comparison_and_the_subgroups(judged):
    metrics, page, _ = judged
    sets = metrics["sets"]
    assert sets["external"]["models"] == metrics["models"]
    assert sets["external"]["subgroups"] == metrics["subgroups"]
    assert sets["train"]["models"]["other"]["auc_difference"]["n"] == 60
    assert sets["train"]["subgroups"]["sex"]["levels"]["f"]["n"] == 30
    assert "less other (rows: external 25 matched, 5 only here, 1 only there; " in page
    assert page.count("<td>train</td>") == page.count("<td>external</td>") == 7


def test_unmatched_rows_are_counted_within_the_set(judged):
    metrics, page, _ = judged
    rows = {s: one["models"]["other"]["rows"] for s, one in metrics["sets"].items()}
    assert rows["train"] == {"matched": 60, "unmatched_here": 0, "unmatched_there": 1}
    assert rows["external"]["unmatched_here"] == 5
    words = "other.csv answers 25 of the 30 judged examinations of external (5 stand"
    assert words in page


def test_holm_has_one_family_over_models_and_sets(judged):
    tests = [
        metric
        for one in judged[0]["sets"].values()
        for name, metric in one["models"]["other"].items()
        if name.endswith("_difference") and metric["p"] is not None
    ]
    p = np.array([test["p"] for test in tests])
    order = np.argsort(p)
    holm = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(len(p), 0, -1)))
    assert [tests[i]["p_holm"] for i in order] == pytest.approx(holm, rel=1e-12)
    words = f"Holm's over {len(tests)} paired tests of all models and sets"
    assert all(words in test["method"] for test in tests)


def test_a_column_without_groups_in_another_set_is_left_out_there(tmp_path):
    columns = two_sets()
    pairs = zip(columns["sex"], columns["set"], strict=True)
    columns["sex"] = ["f" if name == "external" else sex for sex, name in pairs]
    found = report.judge(write(tmp_path, columns), task=Binary(), subgroups=["sex"])
    assert set(found["subgroups"]) == {"sex"}
    assert found["sets"]["external"]["subgroups"] == {}


@pytest.mark.parametrize("name", ["training", "Train", "DEV", "derivation cohort"])
def test_a_set_that_was_probably_fitted_is_not_believed(tmp_path, name):
    rows = write(tmp_path, two_sets(first=name, folds=False))
    said = " ".join(report.judge(rows, task=Binary(), headline=name)["notes"])
    words = f"The set “{name}” of the headline bears a name of rows that a model was"
    assert words in said
    assert "the set train, spelt so, with the fold" in said


def test_a_model_of_another_set_alone_is_compared_there(tmp_path):
    other = foreign_tables.binary(5, n=90)
    other = {name: cells[::3] for name, cells in other.items()}
    path = foreign_tables.write(tmp_path / "other.csv", other)
    compare = [report.read_predictions(path, task=Binary())]
    found = report.judge(write(tmp_path, two_sets()), task=Binary(), compare=compare)
    assert (found["set"], found["models"]) == ("train", {})
    assert found["sets"]["external"]["models"]["other"]["rows"]["matched"] == 30


def test_patients_and_folds_are_those_the_table_states(tmp_path):
    columns = two_sets()
    columns["target"] = ["" if i < 15 else t for i, t in enumerate(columns["target"])]
    report.judge(write(tmp_path, columns), task=Binary(), out_dir=tmp_path)
    (tmp_path / "mine.csv").rename(tmp_path / "predictions.csv")
    run = read_run(tmp_path, task=Binary())
    flow = count_flow(run)
    words = methods(run, task=Binary(), flow=flow).html
    assert "75 examinations of 75 patients had a prediction" in words
    assert "never saw the patient, as the table&#x27;s column fold states." in words
    said = " ".join(collect_cautions(run, flow=flow))
    assert "held out when its model was fitted is what the table's column" in said
