"""Each kind of judgement, on a table made elsewhere, against trusted libraries."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
from sklearn.linear_model import LogisticRegression

from liverjax.cohort.files import read_json
from liverjax.report.__main__ import main
from liverjax.report.simple_models import as_good_as
from tests.report import foreign_tables


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Metrics and page of each kind, each made by one command."""
    folder = tmp_path_factory.mktemp("kinds")
    tables = {
        "binary": foreign_tables.binary(),
        "stages": foreign_tables.stages(),
        "number": foreign_tables.number(),
        "survival": foreign_tables.survival(),
    }
    other = foreign_tables.binary(5, signal=0.5)
    other_path = foreign_tables.write(folder / "other.csv", other)
    found = {}
    for task, columns in tables.items():
        path = foreign_tables.write(folder / f"{task}.csv", columns)
        out = folder / task
        words = ["--predictions", str(path), "--task", task, "--out", str(out)]
        if task == "binary":
            words += ["--compare", str(other_path), "--baselines", "fib4"]
            words += ["--subgroups", "sex", "age_years>=60"]
        assert main(words) == 0
        page = (out / "report.html").read_text(encoding="utf-8")
        found[task] = (read_json(out / "metrics.json"), page, out)
    return found


def test_figures_of_two_classes_are_those_of_scikit_learn(judged):
    metrics, _, _ = judged["binary"]
    table = foreign_tables.binary()
    truth, score = np.array(table["target"]), np.array(table["score"])
    calls = (score >= 0.5).astype(int)
    expected = {
        "auc": sklearn.metrics.roc_auc_score(truth, score),
        "accuracy": sklearn.metrics.accuracy_score(truth, calls),
        "sensitivity": sklearn.metrics.recall_score(truth, calls),
        "specificity": sklearn.metrics.recall_score(1 - truth, 1 - calls),
        "ppv": sklearn.metrics.precision_score(truth, calls),
        "npv": sklearn.metrics.precision_score(1 - truth, 1 - calls),
        "f1": sklearn.metrics.f1_score(truth, calls),
        "brier": sklearn.metrics.brier_score_loss(truth, score),
    }
    for name, value in expected.items():
        assert metrics[name]["estimate"] == pytest.approx(value, rel=1e-8), name
        assert metrics[name]["n"] > 0
        assert metrics[name]["low"] < value < metrics[name]["high"]


def test_the_area_has_the_interval_that_covers_in_small_cohorts(judged):
    """DeLong's on the logit scale: the odds are symmetric about the estimate's."""
    area = judged["binary"][0]["auc"]
    logit = [scipy.special.logit(area[key]) for key in ("low", "estimate", "high")]
    assert logit[1] - logit[0] == pytest.approx(logit[2] - logit[1])
    assert "logit scale" in area["method"]


def test_accuracy_is_compared_with_the_commonest_class_row_by_row(judged):
    metrics, page, _ = judged["binary"]
    table = foreign_tables.binary()
    truth, score = np.array(table["target"]), np.array(table["score"])
    commonest = int(truth.mean() > 0.5)
    right, constant = (score >= 0.5) == truth, truth == commonest
    found = metrics["accuracy_gain"]
    assert found["estimate"] == pytest.approx(right.mean() - constant.mean())
    only = int(np.sum(right & ~constant)), int(np.sum(~right & constant))
    law = scipy.stats.binom(sum(only), 0.5)
    assert found["p"] == pytest.approx(2 * law.cdf(min(only)) - law.pmf(min(only)))
    assert "Accuracy above the commonest class" in page


def test_calibration_is_an_unpenalised_logistic_fit(judged):
    metrics, _, _ = judged["binary"]
    table = foreign_tables.binary()
    truth, score = np.array(table["target"]), np.array(table["score"])
    logit = np.log(score / (1 - score))[:, None]
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logit, truth)
    slope, intercept = fit.coef_[0, 0], fit.intercept_[0]
    assert metrics["calibration_slope"]["estimate"] == pytest.approx(slope, abs=1e-5)
    assert metrics["calibration_intercept"]["estimate"] == pytest.approx(
        intercept, abs=1e-5
    )


def test_models_are_compared_by_paired_tests_with_holm(judged):
    models = judged["binary"][0]["models"]
    assert set(models) == {"other", "baseline_fib4"}
    tests = [
        (metric["p"], metric["p_holm"])
        for block in models.values()
        for name, metric in block.items()
        if name.endswith("_difference") and metric["p"] is not None
    ]
    p = np.sort([one for one, _ in tests])
    holm = np.maximum.accumulate(np.minimum(1, p * np.arange(len(p), 0, -1)))
    assert np.sort([two for _, two in tests]) == pytest.approx(holm, rel=1e-12)
    assert len(tests) == 8  # seven of the model; a baseline without classes has one


def test_a_baseline_is_explained_and_named_first_where_it_does_as_well(judged):
    metrics, page, _ = judged["binary"]
    gain = metrics["models"]["baseline_fib4"]["auc_difference"]
    assert "this column, with the sign that the call gave it, not" in page
    assert ("Not shown to do better than a simple" in page) == (gain["low"] <= 0)
    block = {"auc_difference": gain | {"estimate": 0.01, "low": -0.02, "high": 0.04}}
    models = {"baseline_fib4": block, "other": block}
    found = {"kind": "binary", "sets": {"test": {"models": models}}}
    (sentence,) = as_good_as(found)
    assert "“fib4” (AUC difference 0.01 (−0.02 to 0.04), n = 120)." in sentence
    block["auc_difference"] = gain | {"estimate": 0.05, "low": 0.01}
    assert as_good_as(found) == []


def test_mcnemar_is_the_exact_binomial_test(judged):
    found = judged["binary"][0]["models"]["other"]["sensitivity_difference"]
    one, two = foreign_tables.binary(), foreign_tables.binary(5, signal=0.5)
    sick = np.array(one["target"]) == 1
    first, second = ((np.array(t["score"]) >= 0.5)[sick] for t in (one, two))
    only_first = int(np.sum(first & ~second))
    discordant = int(np.sum(first != second))
    expected = scipy.stats.binomtest(only_first, discordant).pvalue
    assert found["p"] == pytest.approx(expected, rel=1e-10)


def test_subgroups_have_areas_and_a_test_of_their_difference(judged):
    metrics, page, _ = judged["binary"]
    table = foreign_tables.binary()
    older = np.array(table["age_years"]) >= 60
    group = metrics["subgroups"]["age_years>=60"]
    area = sklearn.metrics.roc_auc_score(
        np.array(table["target"])[older], np.array(table["score"])[older]
    )
    assert group["levels"][">= 60"]["estimate"] == pytest.approx(area, rel=1e-10)
    assert group["levels"][">= 60"]["n"] == older.sum()
    assert 0 <= group["interaction"]["p"] <= group["interaction"]["p_holm"] <= 1
    assert "id='subgroups'" in page


def test_stages_have_an_area_for_each_cut_and_their_means(judged):
    metrics, page, _ = judged["stages"]
    table = foreign_tables.stages()
    truth = np.array([int(t[1]) for t in table["target"]])
    probs = np.stack([table[f"prob_F{k}"] for k in range(5)], axis=1)
    for cut in range(1, 5):
        area = sklearn.metrics.roc_auc_score(truth >= cut, probs[:, cut:].sum(axis=1))
        found = metrics[f"auc_from_F{cut}"]["estimate"]
        assert found == pytest.approx(area, rel=1e-8)
    for average in ("macro", "micro"):
        area = sklearn.metrics.roc_auc_score(
            np.eye(5)[truth], probs, average=average, multi_class="ovr"
        )
        found = metrics[f"auc_{average}"]
        assert found["estimate"] == pytest.approx(area, rel=1e-8)
        assert found["low"] < area < found["high"]
    kappa = sklearn.metrics.cohen_kappa_score(
        truth, probs.argmax(axis=1), weights="quadratic"
    )
    assert metrics["quadratic_kappa"]["estimate"] == pytest.approx(kappa, rel=1e-8)
    assert "F2 or later" in page


def test_a_number_has_its_errors_and_limits_of_agreement(judged):
    metrics, page, out = judged["number"]
    table = foreign_tables.number()
    truth, score = np.array(table["target"]), np.array(table["score"])
    error = score - truth
    assert metrics["mean_absolute_error"]["estimate"] == pytest.approx(
        sklearn.metrics.mean_absolute_error(truth, score), rel=1e-10
    )
    assert metrics["bias"]["estimate"] == pytest.approx(error.mean(), rel=1e-10)
    upper = error.mean() + 1.96 * error.std(ddof=1)
    found = metrics["limit_of_agreement_upper"]["estimate"]
    assert found == pytest.approx(upper, rel=1e-10)
    assert (out / "figures" / "bland_altman.pdf").exists()
    assert "Limits" in page or "limit of agreement" in page


def test_survival_is_that_of_lifelines(judged):
    lifelines = pytest.importorskip("lifelines")
    metrics, _, out = judged["survival"]
    table = foreign_tables.survival()
    time, event, risk = (np.array(table[k]) for k in ("target", "event", "score"))
    c = lifelines.utils.concordance_index(time, -risk, event)
    assert metrics["harrell_c"]["estimate"] == pytest.approx(c, rel=1e-8)
    assert metrics["harrell_c"]["low"] < c < metrics["harrell_c"]["high"]
    high = risk > np.median(risk)
    test = lifelines.statistics.logrank_test(
        time[high], time[~high], event[high], event[~high]
    )
    assert metrics["log_rank"]["p"] == pytest.approx(test.p_value, rel=1e-8)
    assert (out / "figures" / "survival.svg").exists()


def test_risks_that_tie_at_their_median_have_a_page_without_a_log_rank(tmp_path):
    """Nobody is above the median of 1 1 1 1 2 2 2 2 2 2."""
    columns = {
        "subject": [f"P{i}" for i in range(10)],
        "target": [50, 20, 41, 33, 12, 25, 7, 18, 30, 9],
        "event": [0, 1, 1, 0, 1, 1, 1, 0, 1, 1],
        "score": [1] * 4 + [2] * 6,
    }
    path = foreign_tables.write(tmp_path / "grades.csv", columns)
    words = ["--predictions", str(path), "--task", "survival"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["log_rank"]["estimate"] is metrics["log_rank"]["p"] is None
    assert "risk ties at its median" in metrics["log_rank"]["method"]
    assert metrics["hazard_ratio"]["estimate"] > 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "risk ties at its median" in page


def test_the_folder_is_judged_again_without_naming_the_task(judged):
    metrics, _, out = judged["stages"]
    assert main(["--run", str(out)]) == 0
    again = read_json(out / "metrics.json")
    assert again["auc_macro"] == metrics["auc_macro"]
