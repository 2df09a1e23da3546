"""The methods paragraph and the checklists say what was run, and nothing else."""

from __future__ import annotations

import re

import pytest

from liverjax import report
from liverjax.cohort import files
from liverjax.report import checklists
from liverjax.report.__main__ import main
from liverjax.report.html import write_report
from liverjax.report.methods import how_compared
from liverjax.tasks import make_question
from tests.report import fake_run, foreign_tables


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    run = fake_run.build(folder / "run")
    report.judge_run(run, task=fake_run.TASK)
    whole = write_report(run, task=fake_run.TASK).read_text(encoding="utf-8")
    path = foreign_tables.write(folder / "mine.csv", foreign_tables.binary(n=60))
    out = folder / "out"
    words = ["--predictions", str(path), "--task", "binary", "--out", str(out)]
    main([*words, "--subgroups", "sex"])
    table = (out / "report.html").read_text(encoding="utf-8")
    return whole, table


def part(page: str, anchor: str) -> str:
    found = re.search(f"<section id='{anchor}'>(.*?)</section>", page, re.DOTALL)
    assert found, anchor
    return found[1]


def test_a_run_tells_its_network_and_its_folds(pages):
    words = part(pages[0], "methods")
    assert "The network was resnet18, started from random weights." in words
    assert "at most 40 epochs with batches of 16" in words
    assert "Patients were split into 5 folds" in words
    assert "Kendall&#x27;s tau-b" in words


def test_a_table_alone_tells_nothing_of_training(pages):
    words = part(pages[1], "methods")
    assert "network" not in words
    assert "DeLong&#x27;s interval on the logit scale" in words
    assert "Subgroups by sex were compared" in words


def test_methods_tell_of_a_score_alone_only_what_was_done_with_it(tmp_path):
    rows = [f"p{i},{i % 2},{i % 7 - i % 2}" for i in range(40)]
    path = tmp_path / "scores.csv"
    path.write_text("subject,target,score\n" + "\n".join(rows) + "\n")
    out = tmp_path / "out"
    main(["--predictions", str(path), "--task", "binary", "--out", str(out)])
    words = part((out / "report.html").read_text(encoding="utf-8"), "methods")
    assert "area under the ROC curve" in words
    for absent in ("Sensitivity", "Calibration", "decision curves", "no-information"):
        assert absent not in words


def compared(tmp_path, columns: dict, *, task: str, names=None) -> str:
    """How another model and subgroups are said to have been compared."""
    question = make_question(task)
    rows = [
        report.read_predictions(
            foreign_tables.write(tmp_path / f"{name}.csv", columns), task=question
        )
        for name in ("mine", "other")
    ]
    found = report.judge(rows[0], task=question, compare=rows[1:], subgroups=names)
    return " ".join(how_compared(found))


def test_subgroups_of_clustered_rows_are_said_to_be_untested(tmp_path):
    columns = foreign_tables.binary(n=60)
    assert "compared by tests of interaction, corrected by Holm's method." in (
        compared(tmp_path, columns, task="binary", names=["sex"])
    )
    columns["subject"] = [f"P{i // 2}" for i in range(60)]
    columns["visit"] = [1 + i % 2 for i in range(60)]
    said = compared(tmp_path, columns, task="binary", names=["sex"])
    assert "Subgroups by sex were compared by their intervals alone, which keep" in said
    assert "patients with several examinations counted as clusters. Holm's" in said


def test_points_have_tests_of_accuracy_and_of_tau(tmp_path):
    columns = foreign_tables.binary(n=30)
    columns["target"] = [5 + i % 9 for i in range(30)]
    columns["score"] = [5 + (3 * i) % 10 for i in range(30)]
    said = compared(tmp_path, columns, task="child_pugh")
    assert "by McNemar's exact test of accuracy and a permutation test of" in said
    assert "exchanges the models' ranks within patients. Holm's method" in said


def test_what_a_run_does_not_know_is_left_to_the_authors(pages):
    of_run, of_table = (part(page, "checklists") for page in pages)
    left = [words.count(checklists.AUTHORS) for words in (of_run, of_table)]
    assert 30 < left[0] < left[1] < len(checklists.TRIPOD_AI + checklists.CLAIM)
    for words in (of_run, of_table):
        row = re.search("Ethical approval</td><td>(.*?)</td>", words)
        assert row
        assert checklists.AUTHORS in row[1]


def test_checklists_lead_only_to_parts_that_are_there(pages):
    for page in pages:
        for anchor in re.findall(r"href='#(\w+)'", part(page, "checklists")):
            assert f"<section id='{anchor}'>" in page


def test_every_item_stands_once():
    for items, count in ((checklists.TRIPOD_AI, 52), (checklists.CLAIM, 44)):
        numbers = [number for number, _, _ in items]
        assert len(set(numbers)) == len(numbers) == count


def test_the_lists_have_the_published_items_once_each():
    """TRIPOD+AI: 27 items, 52 with their parts; CLAIM of 2024: 44."""
    tripod = [number for number, _, _ in checklists.TRIPOD_AI]
    assert len(tripod) == len(set(tripod)) == 52
    assert {number.rstrip("abcdefg") for number in tripod} == {
        str(i) for i in range(1, 28)
    }
    assert [number for number, _, _ in checklists.CLAIM] == [
        str(i) for i in range(1, 45)
    ]


@pytest.mark.slow
def test_a_frozen_backbone_is_told_with_its_heads(tmp_path):
    run = fake_run.build(tmp_path / "run")
    config = files.read_json(run / "config.json")
    config["model"]["frozen"] = True
    files.write_json(run / "config.json", config)
    columns = ["fold", "seed", "trial", "epochs", "select_score", "finite"]
    rows = [
        dict(zip(columns, (0, 0, trial, 7, 0.5, trial), strict=True))
        for trial in (0, 1)
    ]
    files.write_csv(run / "members" / "heads" / "heads.csv", rows, columns=columns)
    report.judge_run(run, task=fake_run.TASK)
    page = write_report(run, task=fake_run.TASK).read_text(encoding="utf-8")
    assert "without image augmentation. Each head was" in part(page, "methods")
    assert "<dt>Linear heads</dt><dd>2</dd>" in part(page, "training")
    assert "1 of 2 heads became non-finite." in part(page, "cautions")
    assert "Frozen backbone: only linear heads" in part(page, "cautions")
