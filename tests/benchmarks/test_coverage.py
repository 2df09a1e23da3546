from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

from benchmarks import bootstraps, coverage, exchanges, simulated
from liverjax.stats import cox, roc


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
    score, positive = simulated.binormal(rng, 100_000)
    assert roc.auc(score, positive=positive).estimate == pytest.approx(0.86, abs=0.005)
    score, positive, _ = simulated.visits(rng, 100_000)
    assert roc.auc(score, positive=positive).estimate == pytest.approx(0.86, abs=0.005)
    assert pytest.approx(0.45, abs=0.05) == coverage.TAU_OF_CLASSES


@pytest.mark.parametrize("name", sorted(bootstraps.INTERVALS))
def test_bootstraps_of_a_small_cohort_answer(name):
    rng = np.random.default_rng(0)
    held = [bootstraps.INTERVALS[name](rng, 28) for _ in range(8)]
    assert sum(held) >= 4


@pytest.mark.parametrize(
    ("draws", "truth"),
    [
        (bootstraps.absolute_error, 0.798),
        (bootstraps.brier, bootstraps._brier_truth()),
        (bootstraps.f1, bootstraps._f1_truth()),
        (bootstraps.quadratic_kappa, simulated.READERS_KAPPA["quadratic"]),
        (bootstraps.macro_auc, bootstraps._macro_auc_truth()),
        (bootstraps.c_index, bootstraps._c_truth()),
        (bootstraps.tau_difference, 0.0),
        (bootstraps.error_difference, 0.0),
        (bootstraps.c_difference, 0.0),
    ],
)
def test_a_large_cohort_is_near_the_bootstraps_truth(draws, truth):
    n = 2_000
    (found,) = draws(np.random.default_rng(0), n, np.ones((1, n), int))
    assert found == pytest.approx(truth, abs=0.03)


def test_a_large_cohort_is_near_the_truth_of_cox_and_icc():
    rng = np.random.default_rng(0)
    risk, time, event = simulated.risks(rng, 4_000)
    fit = cox.cox(time, event=event, columns={"risk": risk})
    assert fit.coefficient[0] == pytest.approx(simulated.LOG_HAZARD, abs=0.06)
    assert 0.55 < event.mean() < 0.8
    holds = [coverage.INTERVALS["ICC(2,1) of two raters, F"](rng, 28) for _ in range(8)]
    assert sum(holds) >= 4


def test_unlike_scores_have_one_tau():
    truth, one, two, _ = exchanges.unlike_scores(np.random.default_rng(0), 200_000)
    first, second = (scipy.stats.kendalltau(s, truth).statistic for s in (one, two))
    assert first == pytest.approx(second, abs=0.005)
    assert first > 0.3
