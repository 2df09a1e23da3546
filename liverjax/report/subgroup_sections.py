"""The page's part on subgroups: a forest plot and the tests of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverjax.report import figures, markup
from liverjax.report.headlines import FOREST_LABELS, chance_line
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.subgroups import MAIN, WITH_EVENTS

BOUNDED = ("auc", "obuchowski_index", "harrell_c", "kendall_tau")


def subgroups(run: RunFolder) -> Section:
    """Returns the main figure in each part of each set, with interaction tests."""
    metrics = run.metrics
    name = MAIN[metrics["kind"]]
    label = FOREST_LABELS[name]
    header = ["Subgroup", f"{label} (interval)", "n", "events", "p", "p, Holm"]
    events = metrics["kind"] in WITH_EVENTS
    if not events:
        header.remove("events")
    rows: list[tuple[str, ...]] = []
    sets = sorted(metrics["sets"], key=lambda one: one != metrics["set"])
    for one in sets:
        found = metrics["sets"][one]["subgroups"]
        if found and len(sets) > 1:
            rows.append((f"Set {markup.text(one)}",))
        rows += _rows(found, events=events)
    caption = (
        "p: test of a difference between the groups (interaction); Holm's family are "
        "all these tests. Small groups can hide a difference."
    )
    table = markup.table(header, rows, caption=caption) if rows else ""
    return markup.section(
        "subgroups",
        "Subgroups",
        _forest(run, metrics["subgroups"], name=name, label=label),
        table,
        source="metrics.json (subgroups)",
    )


def _rows(found: Mapping[str, Any], *, events: bool) -> list[tuple[str, ...]]:
    """The columns of a set, with their levels below them."""
    rows: list[tuple[str, ...]] = []
    for column, group in found.items():
        test = group["interaction"]
        method = test["method"].partition("; p_holm is")[0]
        heading = f"{markup.code(column)}<small>{markup.text(method)}</small>"
        ends = (markup.p_value(test["p"]), markup.p_value(test.get("p_holm")))
        counts = [str(test["n"])] + [""] * events
        rows.append((heading, "", *counts, *ends))
        for level, metric in group["levels"].items():
            counts = [str(metric["n"])] + [str(metric.get("events", ""))] * events
            shown = markup.estimate(metric, decimals=2)
            rows.append((markup.text(level), shown, *counts, "", ""))
        if group["without"]:
            rows.append((f"not known: {group['without']}", *[""] * (4 + events)))
    return rows


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
        figures.forest(rows, label=f"{label} (95 % interval)", lines=chance_line(name)),
        run.path / "figures",
        name="subgroups",
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt=f"{label} with its interval in each subgroup",
        caption=f"{markup.text(label)} in each subgroup of the set "
        f"{markup.text(run.metrics['set'])}. figures/subgroups.svg",
    )
