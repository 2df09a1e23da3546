from __future__ import annotations

import csv
import json
import math
import re
import time

import numpy as np
import pytest

from liverjax import report, tasks
from liverjax.cohort.files import write_csv
from liverjax.errors import InputError
from liverjax.stats.rank_correlation import kendall_tau
from tests.conftest import ROOT
from tests.stats.test_contract import OWN

TASK = tasks.make("child_pugh")
BLOCK = {
    "kendall_tau",
    "kendall_tau_within_folds",
    "accuracy",
    "no_information_rate_test",
    "macro_sensitivity",
    "macro_f1",
    "sensitivity_A",
    "specificity_B",
    "precision_C",
    "npv_A",
    "f1_B",
    "mean_absolute_error",
    "within_one_class",
    "quadratic_kappa",
}
FIELDS = {"estimate", "low", "high", "p", "method", "n"}


def rows(**constant):
    """The simulated table of 259 examinations, ten folds."""
    with (OWN / "sim_childpugh.csv").open(newline="") as file:
        for number, cells in enumerate(csv.DictReader(file)):
            yield {
                "subject": f"S{number:03d}",
                "set": "train",
                "fold": number % 10,
                "target": float(cells["cp_points"]),
                "score": float(cells["pred_points"]),
                "class": "ABC"[int(cells["pred_class"])],
            } | constant


def read(path, table, **options):
    report.write_predictions(path, list(table), task=TASK)
    return report.read_predictions(path, task=TASK, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("judged")


@pytest.fixture(scope="module")
def metrics(folder):
    table = [r | {"site": "AB"[i % 2]} for i, r in enumerate(rows())]
    outside = [
        r | {"subject": f"X{i}", "set": "external", "site": "C", "fold": None}
        for i, r in enumerate(table[:40])
    ]
    started = time.monotonic()
    predictions = read(folder / "predictions.csv", table + outside)
    found = report.judge(
        predictions,
        task=TASK,
        out_dir=folder,
        ceiling={"kendall_tau": 0.5, "accuracy": 0.7, "draws": 20_000},
    )
    assert time.monotonic() - started < 20  # a second or two on an idle core
    return found


def test_every_statistic_has_the_six_fields(metrics):
    named = {k: v for k, v in metrics.items() if isinstance(v, dict) and "method" in v}
    assert set(named) >= BLOCK
    more = {"kendall_tau_within_folds": {"p_bound"}}
    for name, value in named.items():
        assert set(value) == FIELDS | more.get(name, set()), name
    assert all(value["method"] for value in named.values())


def test_the_documentation_names_every_key_that_is_no_figure(metrics):
    page = (ROOT / "docs" / "judging.md").read_text(encoding="utf-8")
    part = page.split("## metrics.json")[1].split("\n## ")[0]
    keys = set(metrics) - {k for k, v in metrics.items() if "method" in (v or ())}
    keys |= set(metrics["input"])
    assert {"headline", "subgroup_columns", "models", "subgroups"} <= keys
    assert [key for key in sorted(keys) if not re.search(rf"`{key}\b", part)] == []


def test_the_numbers_are_those_of_the_reference(metrics):
    assert metrics["kendall_tau"]["estimate"] == pytest.approx(
        0.4004751635828574, abs=1e-12
    )
    assert metrics["kendall_tau"]["p"] == pytest.approx(1.469338556234673e-19, rel=1e-9)
    assert metrics["accuracy"]["estimate"] == pytest.approx(0.5482625482625483)
    assert metrics["macro_f1"]["estimate"] == pytest.approx(0.48629272359175896)
    assert metrics["no_information_rate_test"]["estimate"] == 120 / 259
    assert metrics["kendall_tau"]["n"] == 259
    assert metrics["sensitivity_A"]["n"] == 76


def test_sets_sites_and_the_top_level_are_named(metrics):
    assert metrics["set"] == "train"
    assert set(metrics["sets"]) == {"train", "external"}
    assert metrics["sets"]["train"]["accuracy"] == metrics["accuracy"]
    assert {s: v["set"] for s, v in metrics["sites"].items()} == {
        "A": "train",
        "B": "train",
        "C": "external",
    }
    assert metrics["sites"]["A"]["accuracy"]["n"] == 130
    assert math.isnan(
        metrics["sets"]["external"]["kendall_tau_within_folds"]["estimate"]
    )


def test_the_ceiling_stands_beside_tau(metrics):
    tau, share = metrics["kendall_tau"], metrics["kendall_tau_share_of_ceiling"]
    assert metrics["kendall_tau_ceiling"]["estimate"] == 0.5
    assert share["estimate"] == tau["estimate"] / 0.5
    assert (share["low"], share["high"]) == (tau["low"] / 0.5, tau["high"] / 0.5)


def test_the_file_holds_null_for_nan(metrics, folder):
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["accuracy"]["p"] is None
    assert stored["accuracy"]["estimate"] == metrics["accuracy"]["estimate"]
    assert "pooled tau" in stored["notes"][0]


def test_tables_beside_it_hold_the_matrix_and_the_folds(metrics, folder):
    with (folder / "confusion.csv").open() as file:
        cells = [int(r["n"]) for r in csv.DictReader(file) if r["set"] == "train"]
    assert cells == [26, 48, 2, 13, 99, 8, 2, 44, 17]
    with (folder / "per_fold.csv").open() as file:
        folds = list(csv.DictReader(file))
    assert [row["fold"] for row in folds] == [str(k) for k in range(10)]
    assert sum(int(row["n"]) for row in folds) == 259
    with (folder / "per_class.csv").open() as file:
        (row,) = [
            r
            for r in csv.DictReader(file)
            if (r["set"], r["class"], r["figure"]) == ("train", "C", "sensitivity")
        ]
    assert float(row["estimate"]) == metrics["sensitivity_C"]["estimate"]


def test_the_order_of_rows_changes_nothing(tmp_path):
    table = list(rows())[:60]
    one = report.judge(read(tmp_path / "a.csv", table), task=TASK)
    two = report.judge(read(tmp_path / "a.csv", table[::-1]), task=TASK)
    for name in BLOCK:
        assert one[name] == pytest.approx(two[name], nan_ok=True)


def test_without_train_the_first_set_is_at_the_top(tmp_path):
    table = [r | {"set": f"s{i % 2}", "fold": None} for i, r in enumerate(rows())][:60]
    found = report.judge(read(tmp_path / "p.csv", table), task=TASK)
    assert found["set"] == "s0"
    assert math.isnan(found["kendall_tau_within_folds"]["estimate"])


def test_rows_of_train_without_folds_are_not_trusted(tmp_path):
    table = [*rows(fold=None)][:40]
    found = report.judge(read(tmp_path / "p.csv", table), task=TASK)
    assert any("may be optimistic" in note for note in found["notes"])
    outside = [r | {"subject": f"X{i}", "set": "t"} for i, r in enumerate(table)]
    found = report.judge(read(tmp_path / "p.csv", table + outside), task=TASK)
    assert found["set"] == "t"


def test_several_visits_leave_only_clustered_statistics(tmp_path):
    table = [
        r | {"subject": f"S{i // 2}", "visit": i % 2} for i, r in enumerate(rows())
    ]
    table = [r | {"fold": int(r["subject"][1:]) % 5} for r in table[:80]]
    found = report.judge(read(tmp_path / "p.csv", table), task=TASK)
    for name in ("kendall_tau", "kendall_tau_within_folds", "no_information_rate_test"):
        assert math.isnan(found[name]["p"]), name
        assert "clustered" in found[name]["method"]
    assert found["kendall_tau"]["low"] < found["kendall_tau"]["high"]
    assert "bootstraps" in found["accuracy"]["method"]
    assert "bootstraps" in found["sensitivity_B"]["method"]
    assert any("--visits first" in note for note in found["notes"])
    first = read(tmp_path / "p.csv", table, visits="first")
    assert report.judge(first, task=TASK)["kendall_tau"]["n"] == 40


def test_tau_without_ascites_uses_the_joined_column(tmp_path):
    table = list(rows())[:90]
    examinations = [
        {"subject": r["subject"], "visit": "1", "ascites_points": str(1 + (i % 3 == 0))}
        for i, r in enumerate(table)
    ]
    found = report.judge(
        read(tmp_path / "p.csv", table), task=TASK, examinations=examinations
    )["kendall_tau_without_ascites"]
    kept = [r for i, r in enumerate(table) if i % 3]
    expected = kendall_tau(
        np.array([r["score"] for r in kept]), y=np.array([r["target"] for r in kept])
    )
    assert found["estimate"] == expected.estimate
    assert found["n"] == 60


def test_compared_models_are_joined_on_examinations(tmp_path):
    table = list(rows())[:80]
    other = [r | {"score": 20 - r["score"], "class": "B"} for r in table[10:]]
    other += [table[0] | {"subject": "elsewhere"}]
    found = report.judge(
        read(tmp_path / "p.csv", table),
        task=TASK,
        compare=[read(tmp_path / "baseline.csv", other)],
    )["models"]["baseline"]
    assert found["rows"] == {"matched": 70, "unmatched_here": 10, "unmatched_there": 1}
    tau = kendall_tau(
        np.array([r["score"] for r in table[10:]]),
        y=np.array([r["target"] for r in table[10:]]),
    ).estimate
    assert found["kendall_tau"]["estimate"] == pytest.approx(-tau)
    difference = found["kendall_tau_difference"]
    assert difference["estimate"] == pytest.approx(2 * tau)
    assert 0 < difference["low"] < difference["high"]
    assert difference["p"] < 0.005
    assert difference["p"] < difference["p_holm"] <= 2 * difference["p"]
    assert found["accuracy_difference"]["n"] == 70
    assert found["kendall_tau_within_folds"]["n"] == 70


def test_a_model_that_ranks_alone_has_no_accuracy(tmp_path):
    table = list(rows())[:60]
    other = [
        {"subject": r["subject"], "target": r["target"], "score": r["score"] / 100}
        for r in table
    ]
    path = tmp_path / "volume.csv"
    write_csv(path, other, columns=("subject", "target", "score"))
    found = report.judge(
        read(tmp_path / "p.csv", table),
        task=TASK,
        compare=[report.read_predictions(path, task=TASK)],
    )["models"]["volume"]
    assert "accuracy" not in found
    assert "mean_absolute_error" not in found
    assert found["kendall_tau_difference"]["estimate"] == 0
    assert found["kendall_tau_difference"]["p"] == 1


def test_unlike_truths_and_strange_subjects_are_refused(tmp_path):
    table = list(rows())[:20]
    main = read(tmp_path / "p.csv", table)
    wrong = read(tmp_path / "wrong.csv", [table[0] | {"target": 15.0}, *table[1:]])
    strange = read(tmp_path / "strange.csv", [table[0] | {"subject": "?"}])
    with pytest.raises(InputError) as raised:
        report.judge(main, task=TASK, compare=[wrong, strange])
    assert "wrong.csv: another target for 1 examination (such as subject 'S000')" in (
        str(raised.value)
    )
    assert "strange.csv: no (subject, visit) of it is judged here" in str(raised.value)


def test_nothing_to_judge_is_said(tmp_path):
    table = [r | {"target": None} for r in list(rows())[:3]]
    with pytest.raises(InputError, match="no row has a target; nothing to judge"):
        report.judge(read(tmp_path / "p.csv", table), task=TASK)


def test_one_class_only_is_judged_with_what_is_defined(tmp_path):
    table = [r | {"target": 8.0, "class": "B"} for r in list(rows())[:12]]
    found = report.judge(read(tmp_path / "p.csv", table), task=TASK)
    assert math.isnan(found["kendall_tau"]["estimate"])
    assert found["accuracy"]["estimate"] == 1.0
    assert found["no_information_rate_test"]["p"] == 1.0
    assert math.isnan(found["macro_sensitivity"]["estimate"])
    assert "undefined (0/0) for class A, C" in found["macro_sensitivity"]["method"]
    assert any("Every truth in train is the same" in note for note in found["notes"])


def test_a_single_row_is_judged(tmp_path):
    found = report.judge(read(tmp_path / "p.csv", list(rows())[:1]), task=TASK)
    assert math.isnan(found["kendall_tau"]["estimate"])
    assert found["accuracy"]["n"] == 1


def test_a_subject_in_train_and_outside_is_named(tmp_path):
    table = list(rows())[:20]
    outside = [table[0] | {"visit": 2, "set": "external", "fold": None}]
    found = report.judge(read(tmp_path / "p.csv", table + outside), task=TASK)
    assert any("external is no independent test" in note for note in found["notes"])


def test_a_class_index_regression_is_compared_with_the_class(tmp_path):
    task = tasks.make("child_pugh", target="class_index")
    table = [r | {"score": (r["score"] - 5) / 5} for r in list(rows())[:50]]
    path = tmp_path / "p.csv"
    report.write_predictions(path, table, task=task)
    found = report.judge(report.read_predictions(path, task=task), task=task)
    truth = np.digitize([r["target"] for r in table], (6.5, 9.5))
    error = np.abs(np.array([r["score"] for r in table]) - truth).mean()
    assert found["mean_absolute_error"]["estimate"] == pytest.approx(error)


def test_a_run_folder_is_judged_from_its_tables(tmp_path):
    table = list(rows())[:40]
    report.write_predictions(tmp_path / "predictions.csv", table, task=TASK)
    report.write_predictions(tmp_path / "models" / "ascites.csv", table, task=TASK)
    write_csv(
        tmp_path / "examinations.csv",
        [
            {"subject": name, "visit": 1, "ascites_points": 1}
            for name in (*(r["subject"] for r in table), "LOST")
        ],
        columns=("subject", "visit", "ascites_points"),
    )
    (tmp_path / "phantom.json").write_text('{"ceiling": {"kendall_tau": 0.6}}')
    found = report.judge_run(tmp_path, task=TASK)
    assert found["kendall_tau_without_ascites"]["n"] == 40
    assert found["kendall_tau_ceiling"]["estimate"] == 0.6
    assert found["models"]["ascites"]["rows"]["matched"] == 40
    assert found["input"]["prepared_without_prediction"] == ["LOST"]
    assert (tmp_path / "metrics.json").exists()
