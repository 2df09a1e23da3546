"""Real records, judged to a complete page; figures against other libraries."""

from __future__ import annotations

import csv
import pathlib

import numpy as np
import pytest
import sklearn.metrics
from sklearn.linear_model import LogisticRegression

from liverjax.cohort.files import read_json
from liverjax.report.__main__ import main
from liverjax.stats import survival
from liverjax.tabular import scores
from liverjax.tabular.units import ImplausibleValueError
from tests.report import foreign_tables

pytestmark = pytest.mark.slow


def columns(path: pathlib.Path) -> dict[str, np.ndarray]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    names = [" ".join(name.split()) for name in header]
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}


def numbers(cells: np.ndarray) -> np.ndarray:
    return np.array([float(c) if c not in ("", "NA", "?") else np.nan for c in cells])


def judged(folder: pathlib.Path, table: dict, *words: str):
    path = foreign_tables.write(folder / "table.csv", table)
    assert main(["--predictions", str(path), "--out", str(folder / "out"), *words]) == 0
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    return read_json(folder / "out" / "metrics.json"), page


def test_hepatitis_c_records_are_judged_for_cirrhosis(shared, tmp_path):
    table = columns(shared / "data" / "liver-tabular" / "hcvdat0.csv")
    albumin, bilirubin = numbers(table["ALB"]), numbers(table["BIL"])
    # Two records are beyond what the scores take for plausible (0.8 umol/l, 82 g/l).
    plausible = (bilirubin >= 1) & (albumin <= 80)
    whole = np.isfinite(albumin) & np.isfinite(bilirubin) & plausible
    albi = scores.albi(
        bilirubin_umol_per_l=bilirubin[whole], albumin_g_per_l=albumin[whole]
    )
    truth = np.char.startswith(table["Category"][whole], "3").astype(int)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    probability = fit.fit(albi[:, None], truth).predict_proba(albi[:, None])[:, 1]
    ast = table["AST"][whole]
    metrics, page = judged(
        tmp_path,
        {
            "subject": [f"H{i}" for i in range(len(albi))],
            "target": truth,
            "prob_cirrhosis": [repr(float(p)) for p in probability],
            "sex": table["Sex"][whole],
            "age_years": table["Age"][whole],
            "ast_u_per_l": ast,
        },
        *("--task", "binary", "--baselines", "ast_u_per_l"),
        *("--subgroups", "sex", "age_years>=50"),
    )
    area = sklearn.metrics.roc_auc_score(truth, albi)
    assert metrics["auc"]["estimate"] == pytest.approx(area, abs=1e-8)
    assert area == pytest.approx(0.946, abs=5e-4)
    brier = sklearn.metrics.brier_score_loss(truth, probability)
    assert metrics["brier"]["estimate"] == pytest.approx(brier, abs=1e-8)
    logit = np.log(probability / (1 - probability))[:, None]
    again = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    again.fit(logit, truth)
    for name, value in (
        ("slope", again.coef_[0, 0]),
        ("intercept", again.intercept_[0]),
    ):
        found = metrics[f"calibration_{name}"]["estimate"]
        assert found == pytest.approx(value, abs=1e-8), name
    there = np.char.strip(ast) != ""
    gain = sklearn.metrics.roc_auc_score(truth[there], probability[there])
    gain -= sklearn.metrics.roc_auc_score(truth[there], numbers(ast)[there])
    difference = metrics["models"]["baseline_ast_u_per_l"]["auc_difference"]
    assert difference["estimate"] == pytest.approx(gain, abs=1e-8)
    women = table["Sex"][whole] == "f"
    assert metrics["subgroups"]["sex"]["levels"]["f"]["estimate"] == pytest.approx(
        sklearn.metrics.roc_auc_score(truth[women], albi[women]), abs=1e-8
    )
    for part in ("roc", "calibration", "decision_curve", "subgroups"):
        assert f"figures/{part}.svg" in page


def test_primary_biliary_cholangitis_is_judged_for_survival(shared, tmp_path):
    table = columns(shared / "data" / "liver-tabular" / "pbc.csv")
    albi = scores.albi(
        bilirubin_umol_per_l=numbers(table["bili"]) * 17.1,
        albumin_g_per_l=numbers(table["albumin"]) * 10,
    )
    time, dead = numbers(table["time"]), table["status"] == "2"
    metrics, page = judged(
        tmp_path,
        {
            "subject": table["id"],
            "target": table["time"],
            "event": dead.astype(int),
            "score": [repr(float(s)) for s in albi],
            "sex": table["sex"],
            "bilirubin_mg_per_dl": table["bili"],
        },
        *("--task", "survival", "--subgroups", "sex"),
    )
    earlier = dead[:, None] & (
        (time[:, None] < time) | ((time[:, None] == time) & ~dead)
    )
    np.fill_diagonal(earlier, False)
    above, tied = albi[:, None] > albi, albi[:, None] == albi
    c = (np.sum(earlier & above) + np.sum(earlier & tied) / 2) / earlier.sum()
    assert metrics["harrell_c"]["estimate"] == pytest.approx(c, abs=1e-8)
    assert metrics["harrell_c"]["n"] == 418
    assert "figures/survival.svg" in page
    women = table["sex"] == "f"
    part = metrics["subgroups"]["sex"]["levels"]["f"]
    assert (part["n"], part["events"]) == (women.sum(), (dead & women).sum())


def test_survival_figures_of_real_records_are_those_of_lifelines(shared, tmp_path):
    lifelines = pytest.importorskip("lifelines")
    pandas = pytest.importorskip("pandas")
    table = columns(shared / "data" / "liver-tabular" / "pbc.csv")
    time, dead = numbers(table["time"]), table["status"] == "2"
    bilirubin = numbers(table["bili"])
    metrics, _ = judged(
        tmp_path,
        {
            "subject": table["id"],
            "target": table["time"],
            "event": dead.astype(int),
            "score": table["bili"],
        },
        *("--task", "survival"),
    )
    c = lifelines.utils.concordance_index(time, -bilirubin, dead)
    assert metrics["harrell_c"]["estimate"] == pytest.approx(c, abs=1e-8)
    high = bilirubin > np.median(bilirubin)
    test = lifelines.statistics.logrank_test(
        time[high], time[~high], dead[high], dead[~high]
    )
    assert metrics["log_rank"]["estimate"] == pytest.approx(
        test.test_statistic, rel=1e-8
    )
    risk = bilirubin / bilirubin.std(ddof=1)
    frame = pandas.DataFrame({"time": time, "dead": dead, "risk": risk})
    fit = lifelines.CoxPHFitter().fit(
        frame, "time", "dead", fit_options={"precision": 1e-12}
    )
    found = metrics["hazard_ratio"]
    assert found["estimate"] == pytest.approx(np.exp(fit.params_["risk"]), rel=1e-8)
    ends = np.exp(fit.confidence_intervals_.loc["risk"].to_numpy())
    assert (found["low"], found["high"]) == pytest.approx(tuple(ends), rel=1e-8)
    curve = lifelines.KaplanMeierFitter().fit(time[high], dead[high])
    own = survival.kaplan_meier(time[high], event=dead[high])
    there = curve.survival_function_at_times(own.time).to_numpy()
    assert own.survival == pytest.approx(there, abs=1e-8)


def test_primary_biliary_cholangitis_is_judged_for_its_stage(shared, tmp_path):
    table = columns(shared / "data" / "liver-tabular" / "pbc.csv")
    albi = scores.albi(
        bilirubin_umol_per_l=numbers(table["bili"]) * 17.1,
        albumin_g_per_l=numbers(table["albumin"]) * 10,
    )
    stage = np.where(table["stage"] == "NA", "", table["stage"])
    metrics, _ = judged(
        tmp_path,
        {"subject": table["id"], "target": stage, "score": map(float, albi)},
        *("--task", "stages"),
    )
    there = stage != ""
    area = sklearn.metrics.roc_auc_score(stage[there] == "4", albi[there])
    found = metrics["auc_from_4"]
    assert found["estimate"] == pytest.approx(area, abs=1e-8)
    assert area == pytest.approx(0.731, abs=5e-4)
    assert metrics["input"]["without_target"] == 6


def test_liver_cancer_records_have_mixed_platelets_and_are_judged(shared, tmp_path):
    table = columns(shared / "data" / "liver-tabular" / "hcc-survival.csv")
    with pytest.raises(ImplausibleValueError):
        scores.fib4(
            age_years=numbers(table["Age at diagnosis"]),
            ast_u_per_l=numbers(table["Aspartate transaminase (U/L)"]),
            alt_u_per_l=numbers(table["Alanine transaminase (U/L)"]),
            platelets_10e9_per_l=numbers(table["Platelets (G/L)"]),
        )
    bilirubin = numbers(table["Total Bilirubin(mg/dL)"])
    albumin = numbers(table["Albumin (mg/dL)"])  # is g/dL
    whole = np.isfinite(bilirubin) & np.isfinite(albumin)
    albi = scores.albi(
        bilirubin_umol_per_l=bilirubin[whole] * 17.1,
        albumin_g_per_l=albumin[whole] * 10,
    )
    dead = 1 - numbers(table["1_survives_0_dies"])[whole].astype(int)
    metrics, page = judged(
        tmp_path,
        {
            "subject": [f"L{i}" for i in range(len(albi))],
            "target": dead,
            "score": map(float, albi),
            "ascites_points": table["Ascites degree"][whole],
            "sex": np.where(table["Gender"][whole] == "1", "m", "f"),
        },
        *("--task", "binary", "--subgroups", "sex", "ascites_points"),
    )
    area = sklearn.metrics.roc_auc_score(dead, albi)
    assert metrics["auc"]["estimate"] == pytest.approx(area, abs=1e-8)
    for level, inside in (("m", "1"), ("f", "0")):
        part = table["Gender"][whole] == inside
        area = sklearn.metrics.roc_auc_score(dead[part], albi[part])
        found = metrics["subgroups"]["sex"]["levels"][level]
        assert found["estimate"] == pytest.approx(area, abs=1e-8)
    assert "no probabilities" in page
    assert "brier" not in metrics
