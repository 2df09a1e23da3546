"""The page's part on subgroups: a forest plot and the tests of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverjax.report import figures, markup
from liverjax.report.headlines import FOREST_LABELS
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.subgroups import MAIN

BOUNDED = ("auc", "obuchowski_index", "harrell_c", "kendall_tau")


def subgroups(run: RunFolder) -> Section:
    """Returns the main figure in each part of the cohort, with interaction tests."""
    found = run.metrics.get("subgroups") or {}
    name = MAIN[run.metrics["kind"]]
    label = FOREST_LABELS[name]
    rows: list[tuple[str, ...]] = []
    header = ["Subgroup", f"{label} (interval)", "n", "events", "p", "p, Holm"]
    events = any("events" in m for g in found.values() for m in g["levels"].values())
    if not events:
        header.remove("events")
    for column, group in found.items():
        test = group["interaction"]
        heading = f"{markup.code(column)}<small>{markup.text(test['method'])}</small>"
        ends = (markup.p_value(test["p"]), markup.p_value(test.get("p_holm")))
        counts = [str(test["n"])] + [""] * events
        rows.append((heading, "", *counts, *ends))
        for level, metric in group["levels"].items():
            counts = [str(metric["n"])] + [str(metric.get("events", ""))] * events
            shown = markup.estimate(metric, decimals=2)
            rows.append((markup.text(level), shown, *counts, "", ""))
        if group["without"]:
            rows.append((f"not known: {group['without']}", *[""] * (len(header) - 1)))
    caption = (
        "p: test of a difference between the groups (interaction); Holm over the "
        "columns. Small groups can hide a difference."
    )
    table = markup.table(header, rows, caption=caption) if rows else ""
    return markup.section(
        "subgroups",
        "Subgroups",
        _forest(run, found, name=name, label=label),
        table,
        source="metrics.json (subgroups)",
    )


def _forest(run: RunFolder, found: Mapping[str, Any], *, name: str, label: str) -> str:
    whole = run.metrics.get(name)
    if not found or not whole or name not in BOUNDED:
        return ""
    rows = [figures.interval("all", whole)]
    rows += [
        figures.interval(f"{column}: {level}", metric)
        for column, group in found.items()
        for level, metric in group["levels"].items()
    ]
    svg = figures.save(
        figures.forest(rows, label=f"{label} (95 % interval)", lines={}),
        run.path / "figures",
        name="subgroups",
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt=f"{label} with its interval in each subgroup",
        caption=f"{markup.text(label)} in each subgroup. figures/subgroups.svg",
    )
