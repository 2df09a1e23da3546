"""The reference cases: every one whose statistic is here, at the tolerance it names."""

from __future__ import annotations

import collections

import pytest

from tests.stats.contract import REGISTRY, cases, differences


def test_every_reference_case_is_met(shared):
    folder = shared / "stats"
    known = [case for case in cases(folder) if case["statistic"] in REGISTRY]
    assert {case["statistic"] for case in known} == set(REGISTRY)
    missed = [line for case in known for line in differences(case, folder=folder)]
    assert missed == []


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
