"""The page's part on readers: with and without the model, and together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverjax.report import figures, markup
from liverjax.report.headlines import chance_line
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.words import counted

_WAYS = {"without": "Without the model", "with": "With the model"}


def readers(run: RunFolder) -> Section:
    """Returns each reader's area, the mean of all, and the gain by the model."""
    found = run.metrics.get("readers")
    if not found:
        return Section("readers", "", "")
    ways = found["ways"]
    header = ["Reader", *(f"{_WAYS[way]}: AUC (interval)" for way in ways)]
    if len(ways) == 2:
        header += ["Gain (interval)", "p"]
    rows = [
        _row(markup.text(name), block, block, ways)
        for name, block in found["readers"].items()
    ]
    rows.append(_row("Mean", found["mean"], found, ways))
    rest = len(header) - 2
    rows.append(
        ("The model alone", markup.estimate(found["model"], decimals=3), *[""] * rest)
    )
    whole = found.get("difference") or found["mean"][ways[0]]
    caption = (
        f"{counted(found['examinations'], 'examination')} that every reader read in "
        f"every way; left out: {found['left_out']}. Single readers: DeLong's test. "
        f"Mean: {markup.text(whole['method'])}."
    )
    return markup.section(
        "readers",
        "Readers",
        _forest(run, found),
        markup.table(header, rows, caption=caption),
        _kappas(found["agreement"]),
        _against_score(found),
        _one_set(found),
        source=f"metrics.json (readers), made of {found['file']}",
    )


def _row(
    label: str, areas: Mapping[str, Any], gain: Mapping[str, Any], ways: list[str]
) -> tuple[str, ...]:
    cells = [label, *(markup.estimate(areas[way], decimals=3) for way in ways)]
    if len(ways) == 2:
        difference = gain["difference"]
        cells += [
            markup.estimate(difference, decimals=3),
            markup.p_value(difference["p"]),
        ]
    return tuple(cells)


def _forest(run: RunFolder, found: Mapping[str, Any]) -> str:
    blocks = {**found["readers"], "mean of readers": found["mean"]}
    rows = [
        figures.interval(f"{name}, {way} the model", block[way])
        for name, block in blocks.items()
        for way in found["ways"]
    ]
    rows.append(figures.interval("the model alone", found["model"]))
    svg = figures.save(
        figures.forest(rows, label="AUC (95 % interval)", lines=chance_line("auc")),
        run.path / "figures",
        name="readers",
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt="Area under the ROC curve of each reader, of their mean, and of the model",
        caption="Readers with and without the model. figures/readers.svg",
    )


def _kappas(agreement: Mapping[str, Any]) -> str:
    sentences = [
        f"{_WAYS[way]} the readers' calls agree with a Fleiss kappa of "
        f"{markup.estimate(metric, decimals=2)} (n = {metric['n']})."
        for way, metric in agreement.items()
    ]
    return f"<p>{' '.join(sentences)}</p>" if sentences else ""


def _against_score(found: Mapping[str, Any]) -> str:
    """Calls that their reader's own scores contradict: areas rank by the scores."""
    several = [
        f"{reader} {way} the model {number}"
        for reader, ways in found["calls_against_score"].items()
        for way, number in ways.items()
    ]
    if not several:
        return ""
    words = (
        f"Calls, of {found['examinations']}, that no cut-off of the reader's own score "
        f"explains: {', '.join(several)}. Areas are those of the scores."
    )
    return f"<p>{markup.text(words)}</p>"


def _one_set(found: Mapping[str, Any]) -> str:
    """Which set was judged, and what was read of others."""
    others = ", ".join(f"{n} of {name}" for name, n in found["other_sets"].items())
    left = f" Other sets were read too and are not judged here: {others}."
    words = f"Readings are those of the set “{found['set']}”." + left * bool(others)
    return f"<p>{markup.text(words)}</p>"
