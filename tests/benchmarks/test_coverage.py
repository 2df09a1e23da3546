from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import coverage
from liverjax.stats import roc


def test_figures_are_kept_and_not_computed_again(tmp_path, capsys):
    words = ["--cohorts", "20", "--only", "Welch", "--out", str(tmp_path)]
    coverage.main(words)
    first = capsys.readouterr().out
    assert first.count("test, Welch, n ") == 3
    (path,) = tmp_path.glob("coverage-*.json")
    measures = json.loads(path.read_text())["measures"]
    assert all(0 <= measures[f"test, Welch, n {n}"] <= 1 for n in coverage.SIZES)
    coverage.main(words)
    assert capsys.readouterr().out == ""


def test_a_figure_outside_its_band_stands_out():
    shown = coverage.table({"test, Welch, n 28": 0.09, "test, Welch, n 115": 0.05})
    (row,) = [line for line in shown.splitlines() if line.startswith("| Welch")]
    assert row == "| Welch | **9.0** | 5.0 |  |"


def test_the_simulated_truths_are_right():
    """One large cohort each: the estimate is near what the intervals must hold."""
    rng = np.random.default_rng(0)
    score, positive = coverage.binormal(rng, 100_000)
    assert roc.auc(score, positive=positive).estimate == pytest.approx(0.86, abs=0.005)
    score, positive, _ = coverage.visits(rng, 100_000)
    assert roc.auc(score, positive=positive).estimate == pytest.approx(0.86, abs=0.005)
    assert pytest.approx(0.45, abs=0.05) == coverage.TAU_OF_CLASSES
