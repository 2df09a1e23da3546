"""One command, from a synthetic cohort to a report."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil

import pytest

from .whole_path import SMALLEST, run


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_every_file_of_the_design(finished):
    for name in (
        "config.json",
        "environment.json",
        "splits.json",
        "examinations.csv",
        "status.csv",
        "cohort.json",
        "predictions.csv",
        "predictions_members.csv",
        "predictions_slices.csv",
        "metrics.json",
        "report.html",
        "phantom.json",
        "DONE",
        "members/f00-s00-t00/best",
        "members/f01-s00-t00/done.json",
        "members/f01-s00-t00/metrics.jsonl",
        "cohort/cohort.json",
    ):
        assert (finished / name).exists(), name


def test_every_examination_is_predicted_once_by_the_fold_that_held_it_out(finished):
    splits = json.loads((finished / "splits.json").read_text())["folds"]
    predicted = rows(finished / "predictions.csv")
    examinations = rows(finished / "examinations.csv")
    assert len(predicted) == len(examinations)
    for row in predicted:
        assert row["subject"] in splits[int(row["fold"])]["held_out"]
        assert row["members"] == "1"


def test_an_examinations_score_is_the_mean_of_its_slices(finished):
    slices = rows(finished / "predictions_slices.csv")
    for row in rows(finished / "predictions.csv"):
        own = [float(s["score"]) for s in slices if s["subject"] == row["subject"]]
        assert float(row["score"]) == pytest.approx(sum(own) / len(own))


def test_the_metrics_have_their_names_and_parts(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["set"] == "train"
    for name in (
        "kendall_tau",
        "kendall_tau_within_folds",
        "accuracy",
        "no_information_rate_test",
    ):
        assert set(metrics[name]) >= {"estimate", "low", "high", "p", "method", "n"}
    assert metrics["kendall_tau"]["n"] == len(rows(finished / "predictions.csv"))


def test_the_report_stands_alone_and_names_its_limits(finished):
    page = (finished / "report.html").read_text()
    assert "not a medical device" in page.lower()
    assert not re.search(r"(src|href)=[\"']https?://", page)
    assert str(finished.parent) not in page


def test_the_same_command_again_does_nothing(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*")}
    again = run("liverjax.main", *SMALLEST, f"--workdir={finished}")
    assert again.stdout.strip() == f"already done: {finished / 'report.html'}"
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*")} == before


def test_another_config_is_refused_with_what_differs(finished):
    ended = run(
        "liverjax.main", *SMALLEST, "--config.train.epochs=3", f"--workdir={finished}"
    )
    assert ended.returncode == 1
    assert "holds a run of another config" in ended.stderr
    assert "train.epochs (2 there, 3 here)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_report_can_be_made_again_without_the_network(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("cohort", "best"))
    (copy / "metrics.json").unlink()
    ended = run("liverjax.report", f"--run={copy}")
    assert ended.returncode == 0, ended.stderr
    before, after = (p / "metrics.json" for p in (finished, copy))
    assert before.read_text() == after.read_text()


@pytest.mark.slow
def test_a_finished_run_predicts_a_new_study_with_every_network(finished, tmp_path):
    table = tmp_path / "new.csv"
    ended = run(
        "liverjax.predict",
        f"--run={finished}",
        f"--study={_two_rows(finished, tmp_path)}",
        f"--out={table}",
    )
    assert ended.returncode == 0, ended.stderr
    assert "Not a medical device" in ended.stdout
    members = {
        (row["subject"], row["fold"]): float(row["score"])
        for row in rows(finished / "predictions_members.csv")
    }
    for row in rows(table):
        assert row["members"] == "2"
        seen = [score for (s, _), score in members.items() if s == row["subject"]]
        assert abs(float(row["score"]) - seen[0]) <= 2 * float(row["spread"]) + 1e-6


def _two_rows(finished, tmp_path):
    """A manifest of two of the run's own patients, with absolute paths."""
    manifest = finished / "phantom" / "manifest.csv"
    table = rows(manifest)[:2]
    for row in table:
        for name, value in row.items():
            if value.endswith(".nii.gz"):
                row[name] = str(manifest.parent / value)
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


_slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--config is missing"),
        _slow(
            ("--config=configs/none.py",),
            "configs/none.py is not there",
        ),
        (("--config=configs/cp_ct.py:dmeo",), "expected 'demo' or 'one_channel'"),
        (("--config=configs/cp_ct.py", "--config.train.epoch=3"), '"epochs" instead'),
        _slow(
            ("--config=configs/cp_ct.py", "--config.train.epochs=many"),
            "epochs",
        ),
        _slow(
            ("--config=configs/cp_ct.py", "extra"),
            "unexpected arguments ['extra']",
        ),
        _slow(
            ("--config=configs/cp_ct.py", "--wordkir=x"),
            "wordkir",
        ),
        _slow(
            ("--config=configs/cp_ct.py", "--config.model.name=resnet19"),
            "resnet19",
        ),
        _slow(
            ("--config=configs/cp_ct.py:demo", "--config.model.options.depth=3"),
            "no value called 'depth'",
        ),
        _slow(
            ("--config=configs/cp_ct.py:demo", "--config.model.options.drop_path=0.1"),
            "its options are dropout, dtype, width",
        ),
        _slow(
            ("--config=configs/cp_ct.py:demo", "--config.model.option.width=None"),
            "--config.model.option.width: no such value",
        ),
        _slow(
            ("--config=configs/cp_ct.py:demo", "--config.cohort.phantom=None"),
            "no prepared cohort",
        ),
        _slow(
            ("--config=configs/cp_ct.py:demo", "--config.model.options.dtype=x"),
            "no value called 'dtype'",
        ),
        (
            ("--config=configs/cp_ct.py", "--config.model.weights_dir=nowhere"),
            "python -m liverjax.weights --model resnet18 --download",
        ),
        _slow(
            ("--config=configs/cp_ct.py", "--config.model.pretrained=none"),
            "--config.cohort.manifest",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(arguments, message, tmp_path):
    ended = run("liverjax.main", *arguments, f"--workdir={tmp_path / 'run'}")
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
