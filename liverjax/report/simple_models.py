"""The simple baselines among compared models: what they are, and who does as well."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from liverjax.report import markup
from liverjax.report.foreign import BASELINE
from liverjax.report.headlines import DIFFERENCE_LABELS, FORESTS
from liverjax.tabular.baselines import BASELINES
from liverjax.tabular.scores import SCORES

_FITTED = {name.replace(" ", "_"): columns for name, columns in BASELINES.items()}


def is_baseline(name: str) -> bool:
    """Returns whether a compared model needs no network."""
    return name.startswith(BASELINE) or name in _FITTED


def describe_baselines(names: Sequence[str], *, columns: Collection[str]) -> str:
    """Returns what each baseline among the models is, as HTML; empty for none.

    Args:
        names: Of the compared models.
        columns: Of the judged table, which a score of the same name was taken from.
    """
    found = []
    for name in filter(is_baseline, names):
        short = name.removeprefix(BASELINE)
        if name in _FITTED:
            words = (
                f"a least-squares line on {', '.join(_FITTED[name])}, fitted in the "
                "network's own training folds and judged on subjects it never saw"
            )
        elif short in SCORES and short not in columns:
            taken, assumed = list(SCORES[short].columns), ""
            for column, otherwise in SCORES[short].optional.items():
                if column in columns:
                    taken.append(column)
                else:
                    assumed += f"; {otherwise}, as there is no column {column}"
            words = f"the score computed from {', '.join(taken)}, not fitted{assumed}"
        else:
            words = "this column, with the sign that the call gave it, not fitted"
        shown = markup.text(short.replace("_", " "))
        found.append(f"<b>{shown}</b>: {markup.text(words)}.")
    if not found:
        return ""
    why = (
        "<p>Simple baselines need no network: what they already say is no merit of it. "
        "They are compared on the rows where their columns are filled.</p>"
    )
    return why + markup.items(found)


def as_good_as(metrics: Mapping[str, Any]) -> list[str]:
    """Returns a sentence on the baselines that the model is not shown to beat."""
    found = []
    several = len(metrics["sets"]) > 1
    for where, block in metrics["sets"].items():
        for name, figures in block["models"].items():
            if not is_baseline(name):
                continue
            gain = _main_difference(figures, kind=metrics["kind"])
            if gain:
                shown = name.removeprefix(BASELINE).replace("_", " ")
                inside = f" in {where}" if several else ""
                found.append(f"“{shown}”{inside} ({gain})")
    if not found:
        return []
    return [
        "Not shown to do better than a simple baseline that needs no network: "
        + "; ".join(found)
        + "."
    ]


def _main_difference(block: Mapping[str, Any], *, kind: str) -> str:
    """The first figure's difference where it is not above 0 beyond doubt."""
    for name in FORESTS[kind]:
        metric = block.get(f"{name}_difference")
        if not metric or markup.is_absent(metric["estimate"]):
            continue
        low = metric["low"]
        if metric["estimate"] > 0 and not markup.is_absent(low) and low > 0:
            return ""
        shown = markup.estimate(metric, decimals=2)
        return f"{DIFFERENCE_LABELS[name]} difference {shown}, n = {metric['n']}"
    return ""
