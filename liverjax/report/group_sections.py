"""The page's parts that compare: sets, sites, other models, folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.report import figures, markup
from liverjax.report.diagnostic_sections import model_name
from liverjax.report.figures import Interval
from liverjax.report.headlines import (
    DIFFERENCE_LABELS,
    FOREST_LABELS,
    FORESTS,
    chance_line,
)
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.simple_models import describe_baselines
from liverjax.report.words import counted
from liverjax.tasks import kinds
from liverjax.tasks.question import Question

# Columns of the table of sets, sites and models.
_GROUP_COLUMNS = {
    kinds.POINTS: {
        "kendall_tau": "Tau, pooled",
        "kendall_tau_within_folds": "Tau within folds",
        "accuracy": "Accuracy",
        "no_information_rate_test": "No-information rate",
        "mean_absolute_error": "Mean absolute error",
    },
    kinds.BINARY: {
        "auc": "AUC",
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "accuracy": "Accuracy",
        "brier": "Brier score",
        "calibration_slope": "Calibration slope",
    },
    kinds.STAGES: {
        "auc_macro": "AUC, macro",
        "obuchowski_index": "Obuchowski index",
        "quadratic_kappa": "Quadratic kappa",
        "accuracy": "Accuracy",
        "mean_absolute_error": "Mean absolute error",
    },
    kinds.NUMBER: {
        "mean_absolute_error": "Mean absolute error",
        "bias": "Mean difference",
        "icc_agreement": "Intraclass correlation",
        "lin_concordance": "Lin's concordance",
    },
    kinds.SURVIVAL: {
        "harrell_c": "Harrell's C",
        "hazard_ratio": "Hazard ratio",
    },
}
_GAIN = "_difference"


def groups(run: RunFolder) -> Section:
    """Returns sets, sites and other models side by side."""
    metrics = run.metrics
    headline_first = sorted(metrics["sets"], key=lambda name: name != metrics["set"])
    blocks = {f"set {name}": metrics["sets"][name] for name in headline_first}
    blocks |= {f"site {name}": block for name, block in metrics["sites"].items()}
    blocks |= {
        f"model {model_name(name)}": block for name, block in metrics["models"].items()
    }
    # Beyond the headline's set other models stand in the tables alone.
    in_table = blocks | {
        f"model {model_name(name)}, set {where}": block
        for where in headline_first[1:]
        for name, block in metrics["sets"][where]["models"].items()
    }
    if len(in_table) < 2:
        return Section("groups", "", "")
    kind = metrics["kind"]
    columns = _GROUP_COLUMNS[kind]
    main = FORESTS[kind][0]
    panels = markup.beside(
        *(
            _forest(run, blocks, name=name, label=FOREST_LABELS[name])
            for name in FORESTS[kind]
        )
    )
    header = ("Group", *columns.values(), "n")
    rows = [
        (
            markup.text(name),
            *(_group_cell(block, column) for column in columns),
            str(block.get(main, {}).get("n", markup.NONE)),
        )
        for name, block in in_table.items()
    ]
    return markup.section(
        "groups",
        "Sets, sites and other models",
        panels,
        markup.table(header, rows),
        _model_table(metrics),
        describe_baselines(
            _model_names(metrics, headline_first), columns=run.predictions.extra
        ),
        source="metrics.json (sets, sites, models)",
    )


def folds(run: RunFolder, *, task: Question) -> Section:
    """Returns how subjects were split, and the result of each fold."""
    picture = ""
    rows = [row for row in run.per_fold if row["set"] == run.metrics["set"]]
    if rows and "kendall_tau_within_folds" in run.metrics:
        accuracy = run.metrics.get("accuracy") or {}
        svg = figures.save(
            figures.by_fold(
                rows,
                tau=_float(run.metrics["kendall_tau_within_folds"]["estimate"]),
                accuracy=_float(accuracy.get("estimate")),
            ),
            run.path / "figures",
            name="folds",
        )
        picture = markup.figure(
            svg,
            kind="svg+xml",
            alt="Kendall's tau and accuracy of each fold",
            caption=f"Each fold by itself: {markup.text(run.held_out)}. "
            "figures/folds.svg",
        )
    return markup.section(
        "split",
        "Split and folds",
        markup.beside(picture, _split_table(run, task=task)),
        source="splits.json, per_fold.csv",
    )


def _forest(run: RunFolder, blocks: Mapping[str, Any], *, name: str, label: str) -> str:
    rows = [
        Interval(
            group,
            *(_float(block[name][k]) for k in ("estimate", "low", "high")),
            n=block[name]["n"],
        )
        for group, block in blocks.items()
        if name in block
    ]
    if not rows:
        return ""
    lines = chance_line(name)
    if f"{name}_ceiling" in run.metrics:
        lines["ceiling of the synthetic cohort"] = run.metrics[f"{name}_ceiling"][
            "estimate"
        ]
    if name == "accuracy" and "no_information_rate_test" in run.metrics:
        rate = run.metrics["no_information_rate_test"]["estimate"]
        lines[f"no-information rate of set {run.metrics['set']}"] = rate
    svg = figures.save(
        figures.forest(rows, label=f"{label} (95 % interval)", lines=lines),
        run.path / "figures",
        name=f"groups_{name}",
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt=f"{label} with intervals of each set, site and model",
        caption=f"{markup.text(label)} by group. figures/groups_{name}.svg",
    )


def _group_cell(block: Mapping[str, Any], name: str) -> str:
    metric = block.get(name)
    if not metric or metric["estimate"] is None:
        return markup.NONE
    cell = markup.estimate(metric, decimals=2)
    if metric["p"] is not None:
        cell += f"<small>p = {markup.p_value(metric['p'])}</small>"
    return cell


def _model_names(metrics: Mapping[str, Any], sets: Sequence[str]) -> list[str]:
    """Names of the compared models, those of the first sets first."""
    return list(dict.fromkeys(n for s in sets for n in metrics["sets"][s]["models"]))


def _model_table(metrics: Mapping[str, Any]) -> str:
    """A row a paired difference and set, under the name of the other model."""
    sets = sorted(metrics["sets"], key=lambda name: name != metrics["set"])
    names = _model_names(metrics, sets)
    rows: list[tuple[str, ...]] = []
    tests = 0
    for name in names:
        blocks = {
            where: metrics["sets"][where]["models"][name]
            for where in sets
            if name in metrics["sets"][where]["models"]
        }
        counts = [_row_counts(where, block["rows"]) for where, block in blocks.items()]
        title = f"less {model_name(name)} (rows: {'; '.join(counts)})"
        rows.append((markup.text(title),))
        keys = {k for block in blocks.values() for k in block if k.endswith(_GAIN)}
        for key in sorted(keys, key=lambda key: (_place_of_difference(key), key)):
            there = {w: block[key] for w, block in blocks.items() if key in block}
            rows += _difference_rows(key, there)
            tests += sum("p_holm" in metric for metric in there.values())
    header = ("This model", "Set", "Difference (interval)", "p", "p, Holm", "n")
    caption = "Paired: both models on the same examinations of the set."
    if tests:
        caption += f" Holm's family: {counted(tests, 'test')}, all of this table."
    return markup.table(header, rows, caption=caption) if rows else ""


def _row_counts(where: str, rows: Mapping[str, int]) -> str:
    return (
        f"{where} {rows['matched']} matched, {rows['unmatched_here']} only here, "
        f"{rows['unmatched_there']} only there"
    )


def _difference_rows(
    key: str, by_set: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, ...]]:
    """A figure's difference in each set; the first row tells the method."""
    label = DIFFERENCE_LABELS.get(key.removesuffix(_GAIN))
    if label is None:
        cut = key.removesuffix(_GAIN).partition("_from_")[2]
        label = f"AUC, {cut} or later"
    rows = []
    told = ""
    for where, metric in by_set.items():
        method = metric["method"].partition("; p_holm is")[0]
        small = "" if method == told else f"<small>{markup.text(method)}</small>"
        told = method
        rows.append(
            (
                f"{markup.text(label)}{small}",
                markup.text(where),
                markup.estimate(metric, decimals=3),
                markup.p_value(metric["p"]),
                markup.p_value(metric.get("p_holm")),
                str(metric["n"]),
            )
        )
    return rows


def _place_of_difference(key: str) -> int:
    """Its place in the page's order; areas of single cuts stand first."""
    order = list(DIFFERENCE_LABELS)
    name = key.removesuffix(_GAIN)
    return order.index(name) if name in order else -1


def _split_table(run: RunFolder, *, task: Question) -> str:
    truth = dict(
        zip(run.predictions.subject.tolist(), run.predictions.target, strict=True)
    )
    rows = []
    for number, fold in enumerate(run.folds):
        held_out = [
            s for s in fold.get("held_out", ()) if np.isfinite(truth.get(s, np.nan))
        ]
        index = np.asarray(task.true_class(np.array([truth[s] for s in held_out])), int)
        counts = np.bincount(index, minlength=len(task.classes))
        rows.append(
            (
                str(number),
                *(str(len(fold.get(g, ()))) for g in ("train", "select", "held_out")),
                " / ".join(map(str, counts)),
            )
        )
    header = (
        "Fold",
        "Train",
        "Select",
        "Held out",
        f"Held out {'/'.join(task.classes)}".strip(),
    )
    caption = (
        "Subjects. Train fits the weights, select picks the epoch, held out is judged."
    )
    return markup.table(header, rows, caption=caption) if rows else ""


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
