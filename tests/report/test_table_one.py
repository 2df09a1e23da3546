from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.stats

from liverjax.report import markup
from liverjax.report.table_one import table_one
from liverjax.report.tables import read_predictions
from liverjax.stats.exact_tables import exact_table_p
from liverjax.stats.groups import standardised_difference
from liverjax.tasks.generic import Binary
from tests.report import foreign_tables


def rows_of(html: str) -> dict[str, list[str]]:
    """Cells of each row by its first, without tags."""
    found: dict[str, list[str]] = {}
    for row in re.findall(r"<tr>(.*?)</tr>", html):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        name, *rest = (re.sub(r"<[^>]+>", "", cell) for cell in cells)
        found.setdefault(name, rest)
    return found


def table(tmp_path, *, sets: int) -> tuple[dict[str, list[str]], dict]:
    columns = foreign_tables.binary()
    columns["set"] = [f"s{i % sets}" for i in range(120)]
    columns["age_years"][:7] = [""] * 7
    path = foreign_tables.write(tmp_path / "mine.csv", columns)
    predictions = read_predictions(path, task=Binary())
    return rows_of(table_one(predictions, task=Binary())), columns


def test_sets_have_a_standardised_difference_and_missing_shares(tmp_path):
    found, columns = table(tmp_path, sets=2)
    cells = columns["age_years"]
    age = np.array([float(cell) if cell != "" else np.nan for cell in cells])
    gap = abs(standardised_difference(age[::2], y=age[1::2]))
    place = found[""].index("Std. difference")
    assert float(found["age_years"][place]) == pytest.approx(gap, abs=0.005)
    assert found["– missing"][0] == "7 (6%)"
    absent = np.isnan(age) * 1.0
    gap = abs(standardised_difference(absent[::2], y=absent[1::2]))
    assert float(found["– missing"][place]) == pytest.approx(gap, abs=0.005)


def test_of_three_sets_the_largest_difference_is_shown(tmp_path):
    found, columns = table(tmp_path, sets=3)
    truth = np.array(columns["target"])
    parts = [truth[i::3] for i in range(3)]
    gaps = [
        abs(standardised_difference(parts[i], y=parts[j]))
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    place = found[""].index("Std. difference")
    assert float(found["Class 1"][place]) == pytest.approx(max(gaps), abs=0.005)


def test_one_set_has_no_standardised_difference(tmp_path):
    found, _ = table(tmp_path, sets=1)
    assert "Std. difference" not in found[""]


def p_of_groups(tmp_path, counts: list[list[int]]) -> str:
    """The p of a column whose values (columns) have these counts in two classes."""
    cells = [
        (truth, f"v{value}")
        for truth, row in enumerate(counts)
        for value, number in enumerate(row)
        for _ in range(number)
    ]
    columns = {
        "subject": [f"P{i}" for i in range(len(cells))],
        "target": [truth for truth, _ in cells],
        "score": [0.5] * len(cells),
        "grade": [value for _, value in cells],
    }
    path = foreign_tables.write(tmp_path / "mine.csv", columns)
    html = table_one(read_predictions(path, task=Binary()), task=Binary())
    assert "Fisher's exact test where an expected count is below 5" in html
    found = rows_of(html)
    return found["grade: v0"][found[""].index("p")]


def test_small_counts_of_several_groups_have_fishers_exact_p(tmp_path):
    counts = [[3, 6, 1, 0], [1, 0, 5, 4]]
    exact = exact_table_p(np.array(counts))
    chi_square = scipy.stats.chi2_contingency(counts).pvalue
    assert p_of_groups(tmp_path, counts) == markup.p_value(exact)
    assert markup.p_value(exact) != markup.p_value(chi_square)


def test_where_an_exact_sum_takes_too_long_chi_square_is_named(tmp_path):
    counts = [[160, 110, 90, 70, 50, 2], [150, 120, 80, 60, 55, 1]]
    chi_square = scipy.stats.chi2_contingency(counts).pvalue
    assert p_of_groups(tmp_path, counts) == f"{markup.p_value(chi_square)} χ²"


def test_large_counts_have_the_chi_square_test(tmp_path):
    counts = [[30, 20, 10], [20, 20, 20]]
    chi_square = scipy.stats.chi2_contingency(counts).pvalue
    assert p_of_groups(tmp_path, counts) == markup.p_value(chi_square)
