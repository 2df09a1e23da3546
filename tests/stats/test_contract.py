"""The reference cases: every one whose statistic is here, at the tolerance it names."""

from __future__ import annotations

import collections
import pathlib

import pytest

from tests.stats.contract import REGISTRY, cases, differences

OWN = pathlib.Path(__file__).parent / "data"


def missed(folder: pathlib.Path) -> list[str]:
    known = [case for case in cases(folder) if case["statistic"] in REGISTRY]
    assert {case["statistic"] for case in known} == set(REGISTRY)
    return [line for case in known for line in differences(case, folder=folder)]


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


def test_statistics_without_an_adapter_are_named(shared):
    waiting = collections.Counter(
        case["statistic"]
        for case in cases(shared / "stats")
        if case["statistic"] not in REGISTRY
    )
    if waiting:
        names = ", ".join(f"{name} ({n})" for name, n in sorted(waiting.items()))
        pytest.skip(
            f"{len(waiting)} statistics ({waiting.total()} cases) have no adapter in "
            f"tests/stats/contract.py yet: {names}"
        )
