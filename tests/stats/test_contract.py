"""The reference cases: every one, at the tolerance that it names."""

from __future__ import annotations

import json
import pathlib

from tests.stats.contract import REGISTRY, cases, differences

OWN = pathlib.Path(__file__).parent / "data"


def missed(folder: pathlib.Path) -> list[str]:
    """What is missed; a case whose statistic has no adapter is missed, not skipped."""
    lines = []
    for case in cases(folder):
        if case["statistic"] in REGISTRY:
            lines += differences(case, folder=folder)
        else:
            lines.append(f"{case['id']}: no adapter for {case['statistic']!r}")
    return lines


def test_the_cases_that_travel_with_the_tests_are_met():
    assert missed(OWN) == []


def test_every_reference_case_is_met(shared):
    assert missed(shared / "stats") == []


def test_a_wrong_value_is_seen():
    (case,) = [c for c in cases(OWN) if c["id"] == "perclass/cp259"]
    wrong = case | {"expected": {"accuracy": 0.5482, "f1": [0.4444444444444444, 0, 0]}}
    lines = differences(wrong, folder=OWN)
    assert [line.split(":")[0] for line in lines] == [
        "perclass/cp259.accuracy",
        "perclass/cp259.f1[1]",
        "perclass/cp259.f1[2]",
    ]


def test_an_unknown_statistic_fails(tmp_path):
    case = {"id": "a/b", "statistic": "unheard_of", "inputs": {}, "expected": {}}
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [case]}))
    assert missed(tmp_path) == ["a/b: no adapter for 'unheard_of'"]


def test_every_adapter_has_a_reference_case(shared):
    assert {case["statistic"] for case in cases(shared / "stats")} == set(REGISTRY)
