"""Interaction tests: of the figure that the subgroups show."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from liverjax.report.foreign import question_of_table
from liverjax.report.subgroups import judge_subgroups
from liverjax.report.tables import read_predictions
from liverjax.stats import ordinal
from tests.report import foreign_tables


def by_site(tmp_path, columns: dict, *, task: str) -> dict:
    """Returns the subgroups of the column site."""
    columns = {"subject": [f"P{i}" for i in range(len(columns["site"]))]} | columns
    path = foreign_tables.write(tmp_path / "mine.csv", columns)
    question = question_of_table(path, name=task)
    rows = read_predictions(path, task=question)
    sets = {"test": rows}
    found = judge_subgroups(
        sets, headline="test", task=question, names=["site"], seed=0
    )
    return found["test"]["site"]


def points(*, narrow: bool) -> dict:
    """Errors of 1.5 points up and down; at B the truths are near each other or not."""
    wide = [5 + i % 11 for i in range(44)]
    other = [8 + i // 2 % 2 for i in range(44)] if narrow else wide
    truth = [*wide, *other]
    score = [t + 1.5 * (-1) ** i for i, t in enumerate(truth)]
    return {"target": truth, "score": score, "site": ["A"] * 44 + ["B"] * 44}


def test_points_are_tested_for_the_tau_they_show(tmp_path):
    """Both sites have the same absolute errors."""
    found = by_site(tmp_path, points(narrow=True), task="child_pugh")
    taus = [found["levels"][site]["estimate"] for site in "AB"]
    assert taus[0] - taus[1] > 0.3
    assert found["interaction"]["p"] < 0.01
    assert "differences of tau between 2 groups" in found["interaction"]["method"]


def test_equal_taus_have_no_interaction(tmp_path):
    found = by_site(tmp_path, points(narrow=False), task="child_pugh")
    assert found["interaction"]["p"] == pytest.approx(1)


def test_several_visits_leave_the_test_of_taus(tmp_path):
    columns = points(narrow=True)
    columns["subject"] = [f"P{i // 2}" for i in range(88)]
    columns["visit"] = [1 + i % 2 for i in range(88)]
    found = by_site(tmp_path, columns, task="child_pugh")
    assert found["interaction"]["p"] < 0.05


def test_stages_are_tested_for_obuchowskis_index(tmp_path):
    rng = np.random.default_rng(2)
    stage = np.tile(np.arange(4), 30)
    site = np.repeat(["A", "B", "C"], 40)
    score = stage * np.where(site == "C", 0.1, 1) + rng.normal(0, 1, 120)
    columns = {"target": stage, "score": score, "site": site}
    found = by_site(tmp_path, columns, task="stages")
    parts = [
        ordinal.obuchowski_index(
            score[site == s], stage=stage[site == s], penalty=ordinal.linear_penalty(4)
        )
        for s in "ABC"
    ]
    value, weight = np.array([(p.estimate, p.se**-2) for p in parts]).T
    gap = value - (weight * value).sum() / weight.sum()
    p = scipy.stats.chi2.sf((weight * gap**2).sum(), 2)
    assert found["interaction"]["p"] == pytest.approx(p)
    for name, part in zip("ABC", parts, strict=True):
        assert found["levels"][name]["estimate"] == pytest.approx(part.estimate)
        assert found["levels"][name]["low"] == pytest.approx(part.low)


def test_indices_that_cannot_vary_are_not_tested(tmp_path):
    stage = np.tile(np.arange(3), 8)
    columns = {"target": stage, "score": 90 + stage, "site": np.repeat(["A", "B"], 12)}
    found = by_site(tmp_path, columns, task="stages")
    assert found["levels"]["A"]["estimate"] == 1
    assert found["interaction"]["p"] != found["interaction"]["p"]  # not a number
    assert "no test: a figure at its end" in found["interaction"]["method"]
