"""Calibration of other sets before and after a fit on train."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from liverjax import report
from liverjax.report.diagnostic_sections import recalibration_table
from liverjax.report.tables import read_predictions
from liverjax.tasks.generic import Binary
from tests.report import foreign_tables


def judged(tmp_path, *, folds: bool = True) -> tuple[dict, dict]:
    """Of 120 patients 80 are cross-validated, 40 of another hospital."""
    columns = foreign_tables.binary()
    columns["set"] = ["train"] * 80 + ["external"] * 40
    columns["fold"] = [str(i % 5) if folds else "" for i in range(80)] + [""] * 40
    path = foreign_tables.write(tmp_path / "mine.csv", columns)
    return report.judge(read_predictions(path, task=Binary()), task=Binary()), columns


def test_other_sets_are_calibrated_by_a_fit_on_train(tmp_path):
    metrics, columns = judged(tmp_path)
    truth, score = np.array(columns["target"]), np.array(columns["score"])
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
        logit(score[:80])[:, None], truth[:80]
    )
    mended = expit(fit.intercept_[0] + fit.coef_[0, 0] * logit(score[80:]))
    found = metrics["sets"]["external"]
    for suffix, shares in (("", score[80:]), ("_recalibrated", mended)):
        brier = sklearn.metrics.brier_score_loss(truth[80:], shares)
        assert found[f"brier{suffix}"]["estimate"] == pytest.approx(brier, abs=1e-6)
    slope = found["calibration_slope"]["estimate"]
    after = found["calibration_slope_recalibrated"]["estimate"]
    assert after == pytest.approx(slope / fit.coef_[0, 0], abs=1e-4)
    assert "brier_recalibrated" not in metrics["sets"]["train"]


def test_the_page_shows_both_with_hosmer_lemeshow(tmp_path):
    metrics, _ = judged(tmp_path)
    html = recalibration_table(metrics)
    for words in ("external, as given", "external, recalibrated on train", "80 rows"):
        assert words in html
    test = metrics["sets"]["external"]["hosmer_lemeshow_recalibrated"]
    assert 0 < test["p"] < 1


def test_rows_that_a_model_may_have_seen_recalibrate_nothing(tmp_path):
    metrics, _ = judged(tmp_path, folds=False)
    assert "brier_recalibrated" not in metrics["sets"]["external"]
    assert recalibration_table(metrics) == ""
