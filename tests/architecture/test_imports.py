"""The walls of the house: who may import whom."""

from __future__ import annotations

import subprocess
import sys

import pytest

from . import imports

MODULES = imports.sources()
GRAPH = imports.graph()


def test_there_are_no_circles():
    assert imports.circles(GRAPH) == []


def test_circles_are_seen():
    assert imports.circles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module):
    above = {m for m in GRAPH[module] if imports.level(m) > imports.level(module)}
    assert not above


def test_leaves_do_not_know_each_other():
    known = [
        (module, other)
        for module, targets in GRAPH.items()
        for other in targets
        if module.startswith("liverjax.") and other.startswith("liverjax.")
        for one, two in [(module.split(".")[1], other.split(".")[1])]
        if module not in imports.COMMANDS
        if one in imports.LEAVES and two in imports.LEAVES and one != two
    ]
    assert known == []


def forbidden(module: str) -> set[str]:
    """Names of the outside packages that a module must not import."""
    package = module.split(".")[1] if module.count(".") else module
    if package in ("imaging", "phantom") or module.startswith("data_prep"):
        return imports.TRAINING
    if package in ("stats", "tabular", "report", "tasks", "cohort", "merge"):
        return imports.TRAINING | imports.PREPARATION
    if package in ("radiomics", "config", "errors", "study_flags"):
        return imports.TRAINING | imports.PREPARATION
    return imports.PREPARATION


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_three_worlds_stay_apart(module):
    early, late = imports.imports_of(MODULES[module])
    exceptions = {
        "liverjax.predict",
        "liverjax.segment",
        "liverjax.radiomics.jobs",
    }
    names = early if module in exceptions else early | late
    outside = {name.partition(".")[0] for name in names}
    assert not outside & forbidden(module)


def test_no_world_reaches_another_through_our_modules():
    """Follows our own imports: judgement and preparation never end at jax."""
    for start in (
        "liverjax.report",
        "liverjax.imaging",
        "data_prep",
        "liverjax.cohort",
    ):
        seen, todo = (
            set(),
            [m for m in GRAPH if m == start or m.startswith(f"{start}.")],
        )
        while todo:
            module = todo.pop()
            if module in seen:
                continue
            seen.add(module)
            todo += [
                *GRAPH[module],
                *(p for p in [module.rpartition(".")[0]] if p in GRAPH),
            ]
        outside = {
            name.partition(".")[0]
            for module in seen
            for name in set.union(*imports.imports_of(MODULES[module]))
        }
        assert not outside & imports.TRAINING, start


def test_importing_the_package_imports_nothing_else():
    code = "import sys, liverjax; print(*(m for m in sys.modules if '.' not in m))"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(modules) & (imports.TRAINING | imports.PREPARATION | {"numpy"})


def test_only_runtime_reads_the_environment():
    readers = [
        module
        for module, path in MODULES.items()
        if "os.environ" in path.read_text(encoding="utf-8")
        or "getenv" in path.read_text()
    ]
    assert readers == ["liverjax.runtime"]


def test_orbax_and_jit_have_one_home_each():
    orbax = [
        m
        for m, p in MODULES.items()
        if "orbax"
        in {name.partition(".")[0] for name in set.union(*imports.imports_of(p))}
    ]
    assert orbax == ["liverjax.train.checkpoint"]
