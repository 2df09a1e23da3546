"""The import graph of the project, read from its source without importing it."""

from __future__ import annotations

import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("liverjax", "data_prep", "configs")


@functools.cache
def sources() -> dict[str, pathlib.Path]:
    """Returns every module's file by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def imports_of(path: pathlib.Path) -> tuple[set[str], set[str]]:
    """Returns the names imported when a module loads, and those imported late."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late_nodes = {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    early: set[str] = set()
    late: set[str] = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        (late if node in late_nodes else early).update(names)
    return early, late


@functools.cache
def graph() -> dict[str, set[str]]:
    """Returns which of the project's modules each of them imports, late ones too."""
    modules = sources()
    return {
        name: {m for m in set.union(*imports_of(path)) if m in modules and m != name}
        for name, path in modules.items()
    }


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Returns the modules left over when those that import nothing left are removed."""
    left = {name: set(targets) for name, targets in edges.items()}
    while ready := [name for name, targets in left.items() if not targets]:
        for name in ready:
            del left[name]
        for targets in left.values():
            targets.difference_update(ready)
    return [sorted(left)] if left else []


def level(module: str) -> int:
    """Returns how high a module stands; imports go to the same level or below."""
    parts = module.split(".")
    if module in COMMANDS:
        return COMMANDS[module]
    if parts[0] in ("data_prep", "configs"):
        return LEVELS[parts[0]]
    return LEVELS[".".join(parts[:2])] if len(parts) > 1 else LEVELS["liverjax"]


LEVELS = {
    "liverjax.errors": 0,
    "liverjax": 0,
    "liverjax.cohort": 1,
    # leaves: they know cohort, and not each other
    "liverjax.imaging": 2,
    "liverjax.stats": 2,
    "liverjax.tabular": 2,
    "liverjax.radiomics": 2,
    "liverjax.phantom": 2,
    "liverjax.losses": 3,
    "liverjax.models": 3,
    "liverjax.weights": 3,
    "liverjax.tasks": 5,
    "liverjax.data": 5,
    "liverjax.train": 6,
    "liverjax.explain": 6,
    "liverjax.report": 6,
    "liverjax.baseline_settings": 6,
    "liverjax.config": 7,
    "liverjax.config_values": 7,
    "liverjax.crossfit": 7,
    "configs": 7,
    "liverjax.cluster": 2,
    "liverjax.children": 2,
    "liverjax.study_flags": 8,
    "liverjax.runtime": 8,
    "liverjax.merge": 8,
    "liverjax.members": 8,
    "data_prep": 9,
    "liverjax.predict": 9,
    "liverjax.export": 9,
    "liverjax.baselines": 9,
    "liverjax.experiment": 9,
    "liverjax.together": 9,
    "liverjax.main": 10,
}
# Command lines inside a leaf stand above it.
COMMANDS = {
    f"liverjax.radiomics.{name}": 9 for name in ("__main__", "jobs", "classify")
}
LEAVES = {"imaging", "stats", "tabular", "radiomics", "phantom"}

PREPARATION = {"SimpleITK", "itk", "pydicom", "highdicom"}
TRAINING = {"jax", "jaxlib", "flax", "optax", "orbax", "grain"}
