"""The page's parts about results: headline, statistics, groups, folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.report import figures, markup
from liverjax.report.block import is_class_index
from liverjax.report.figures import Interval
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.tasks.question import Outcome, Task

# Names of metrics.json in the order of the page; others follow under their own name.
LABELS = {
    "Ranking": {
        "kendall_tau": "Kendall's tau, pooled",
        "kendall_tau_within_folds": "Kendall's tau within folds",
        "kendall_tau_without_ascites": "Kendall's tau without ascites",
        "kendall_tau_ceiling": "Ceiling of tau",
        "kendall_tau_share_of_ceiling": "Tau as a share of its ceiling",
    },
    "Classes": {
        "accuracy": "Accuracy",
        "no_information_rate_test": "No-information rate",
        "accuracy_ceiling": "Ceiling of accuracy",
        "accuracy_share_of_ceiling": "Accuracy as a share of its ceiling",
        "within_one_class": "At most one class off",
        "quadratic_kappa": "Quadratic weighted kappa",
        "macro_sensitivity": "Sensitivity, mean of classes",
        "macro_specificity": "Specificity, mean of classes",
        "macro_precision": "Precision, mean of classes",
        "macro_npv": "Negative predictive value, mean of classes",
        "macro_f1": "F1, mean of classes",
    },
    "Distance from the truth": {
        "mean_absolute_error": "Mean absolute error",
        "mean_error": "Mean error (score less truth)",
    },
    "Other readings of tau": {
        "kendall_tau_score_against_class": "Score and true class",
        "kendall_tau_class_against_target": "Predicted class and truth",
        "kendall_tau_class_against_class": "Predicted and true class",
    },
}
_CLASS_FIGURES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
}
_GROUP_COLUMNS = {
    "kendall_tau": "Tau, pooled",
    "kendall_tau_within_folds": "Tau within folds",
    "accuracy": "Accuracy",
    "no_information_rate_test": "No-information rate",
    "mean_absolute_error": "Mean absolute error",
}


def headline(run: RunFolder) -> str:
    """Returns the tiles at the top: tau, accuracy, and the ceiling or the error."""
    metrics = run.metrics
    tau, within = metrics["kendall_tau"], metrics["kendall_tau_within_folds"]
    tiles = [_tile("Kendall's tau", tau, f"p = {markup.p_value(tau['p'])}")]
    if not markup.is_absent(within["estimate"]):
        note = f"one-sided permutation p = {markup.p_value(within['p'])}"
        tiles.append(_tile("Tau within folds", within, note))
    if "accuracy" in metrics:
        test = metrics["no_information_rate_test"]
        note = (
            f"no-information rate {markup.number(test['estimate'], decimals=2)}, "
            f"p = {markup.p_value(test['p'])}"
        )
        tiles.append(_tile("Accuracy", metrics["accuracy"], note))
    share = metrics.get("kendall_tau_share_of_ceiling")
    if share:
        best = markup.number(metrics["kendall_tau_ceiling"]["estimate"], decimals=2)
        tiles.append(
            _tile("Share of the ceiling", share, f"no reader exceeds tau {best}")
        )
    elif "mean_absolute_error" in metrics:
        tiles.append(_tile("Mean absolute error", metrics["mean_absolute_error"], ""))
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def results(run: RunFolder, *, task: Task) -> Section:
    """Returns the two panels of the paper's figure 2 and every statistic."""
    return markup.section(
        "results",
        "Results",
        f"<p>Set “{markup.text(run.metrics['set'])}”. Intervals hold 95 %; the unit is "
        "the examination, resampled by patient.</p>",
        markup.beside(_score_panel(run, task=task), _confusion_panel(run, task=task)),
        _statistics_table(run.metrics, task=task),
        _class_table(run.metrics, task=task),
        source="metrics.json, made of predictions.csv; confusion.csv, per_class.csv",
    )


def groups(run: RunFolder) -> Section:
    """Returns sets, sites and other models side by side."""
    metrics = run.metrics
    headline_first = sorted(metrics["sets"], key=lambda name: name != metrics["set"])
    blocks = {f"set {name}": metrics["sets"][name] for name in headline_first}
    blocks |= {f"site {name}": block for name, block in metrics["sites"].items()}
    blocks |= {f"model {name}": block for name, block in metrics["models"].items()}
    if len(blocks) < 2:
        return Section("groups", "", "")
    panels = markup.beside(
        _forest(run, blocks, name="kendall_tau", label="Kendall's tau"),
        _forest(run, blocks, name="accuracy", label="Accuracy"),
    )
    header = ("Group", *_GROUP_COLUMNS.values(), "n")
    rows = [
        (
            markup.text(name),
            *(_group_cell(block, column) for column in _GROUP_COLUMNS),
            str(block["kendall_tau"]["n"]),
        )
        for name, block in blocks.items()
    ]
    return markup.section(
        "groups",
        "Sets, sites and other models",
        panels,
        markup.table(header, rows),
        _model_table(metrics["models"]),
        source="metrics.json (sets, sites, models)",
    )


def folds(run: RunFolder, *, task: Task) -> Section:
    """Returns how subjects were split, and the result of each fold."""
    picture = ""
    rows = [row for row in run.per_fold if row["set"] == run.metrics["set"]]
    if rows:
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
            caption="Each fold's held-out subjects, predicted by networks that never "
            "saw them. figures/folds.svg",
        )
    return markup.section(
        "split",
        "Split and folds",
        markup.beside(picture, _split_table(run, task=task)),
        source="splits.json, per_fold.csv",
    )


def cut_offs(task: Task) -> tuple[float, ...]:
    """Returns the scores at which the task's class changes; none if not by score."""
    if task.judged_by != "score":
        return ()
    low, high = task.score_range
    grid = np.linspace(low, high, 2001)
    index = np.asarray(task.classify(Outcome(grid)))
    return tuple(float(v) for v in np.round(grid[1:][np.diff(index) != 0], 2))


def _tile(title: str, metric: Mapping[str, Any], note: str) -> str:
    value = markup.number(metric["estimate"], decimals=2)
    span = ""
    if not markup.is_absent(metric["low"]):
        ends = (markup.number(metric[end], decimals=2) for end in ("low", "high"))
        span = "95 % interval {} to {}".format(*ends)
    lines = "".join(
        f"<p>{line}</p>" for line in (span, note, f"n = {metric['n']}") if line
    )
    heading = f"<h3>{markup.text(title)}</h3><strong>{value}</strong>"
    return f"<div class='tile'>{heading}{lines}</div>"


def _statistics_table(metrics: Mapping[str, Any], *, task: Task) -> str:
    """Every statistic but those of single classes, under the headings of `LABELS`."""
    shown = {name for labels in LABELS.values() for name in labels}
    shown |= {
        f"{figure}_{label}" for figure in _CLASS_FIGURES for label in task.classes
    }
    others = {
        name: name.replace("_", " ").capitalize()
        for name, value in metrics.items()
        if isinstance(value, Mapping) and "estimate" in value and name not in shown
    }
    rows: list[tuple[str, ...]] = []
    for title, labels in (*LABELS.items(), ("Further statistics", others)):
        there = [name for name in labels if name in metrics]
        if there:
            rows.append((title,))
        rows += [_statistic_row(name, labels[name], metrics[name]) for name in there]
    return markup.table(("Statistic", "Estimate (interval)", "p", "n"), rows)


def _statistic_row(name: str, label: str, metric: Mapping[str, Any]) -> tuple[str, ...]:
    small = f"<small>{markup.code(name)}: {markup.text(metric['method'])}</small>"
    return (
        f"{markup.text(label)}{small}",
        markup.estimate(metric),
        markup.p_value(metric["p"]),
        str(metric["n"]),
    )


def _class_table(metrics: Mapping[str, Any], *, task: Task) -> str:
    if f"sensitivity_{task.classes[0]}" not in metrics:
        return ""
    rows = [
        (
            f"Class {markup.text(label)} (n = {metrics[f'sensitivity_{label}']['n']})",
            *(
                markup.estimate(metrics[f"{f}_{label}"], decimals=2)
                for f in _CLASS_FIGURES
            ),
        )
        for label in task.classes
    ]
    caption = "Each class against the rest; Wilson intervals, F1 by bootstrap."
    return markup.table(("", *_CLASS_FIGURES.values()), rows, caption=caption)


def _score_panel(run: RunFolder, *, task: Task) -> str:
    rows = run.predictions
    rows = rows.take((rows.set == run.metrics["set"]) & np.isfinite(rows.target))
    tau = run.metrics["kendall_tau"]
    cuts = cut_offs(task) if rows.on_scale else ()
    true_class = np.asarray(task.true_class(rows.target), int)
    truths = np.unique(rows.target)
    classes = np.asarray(task.true_class(truths), int)
    changes = np.flatnonzero(np.diff(classes))
    svg = figures.save(
        figures.score_against_truth(
            rows.score,
            target=rows.target,
            true_class=true_class,
            classes=task.classes,
            score_cuts=cuts,
            target_cuts=[float(truths[i : i + 2].mean()) for i in changes],
            identity=rows.on_scale and not is_class_index(task),
            title=f"tau {markup.estimate(tau, decimals=2)}, n = {tau['n']}",
        ),
        run.path / "figures",
        name="score_against_truth",
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt=f"Predicted score against truth, Kendall's tau {tau['estimate']}",
        caption="<b>a</b> Predicted score against the truth. Bars: median of each true "
        "value; grey lines: class cut-offs; dashed: perfect prediction. "
        "figures/score_against_truth.svg",
    )


def _confusion_panel(run: RunFolder, *, task: Task) -> str:
    rows = run.predictions
    rows = rows.take((rows.set == run.metrics["set"]) & np.isfinite(rows.target))
    if "accuracy" not in run.metrics:
        return ""
    counts = np.zeros((len(task.classes),) * 2, int)
    truth = np.asarray(task.true_class(rows.target), int)
    np.add.at(counts, (truth, rows.predicted_class), 1)
    accuracy = run.metrics["accuracy"]
    title = f"accuracy {markup.estimate(accuracy, decimals=2)}, n = {accuracy['n']}"
    svg = figures.save(
        figures.confusion(counts, classes=task.classes, title=title),
        run.path / "figures",
        name="confusion",
    )
    cells = "; ".join(
        f"true {t}: "
        + ", ".join(f"{n} {p}" for n, p in zip(row, task.classes, strict=True))
        for t, row in zip(task.classes, counts.tolist(), strict=True)
    )
    return markup.figure(
        svg,
        kind="svg+xml",
        alt=f"Confusion matrix, predicted classes by true class. {cells}",
        caption="<b>b</b> True and predicted class: counts and shares of the true "
        "class. figures/confusion.svg",
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
    lines = {}
    if f"{name}_ceiling" in run.metrics:
        lines["ceiling of the synthetic cohort"] = run.metrics[f"{name}_ceiling"][
            "estimate"
        ]
    if name == "accuracy":
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


def _model_table(models: Mapping[str, Any]) -> str:
    rows = [
        (
            markup.text(name),
            markup.estimate(block["kendall_tau_difference"], decimals=2),
            markup.estimate(block.get("accuracy_difference"), decimals=2),
            "{matched} matched, {unmatched_here} only here, {unmatched_there} only "
            "there".format(**block["rows"]),
        )
        for name, block in models.items()
    ]
    header = ("This model less", "Difference of tau", "Difference of accuracy", "Rows")
    caption = "Paired: the same bootstraps of the same examinations."
    return markup.table(header, rows, caption=caption) if rows else ""


def _split_table(run: RunFolder, *, task: Task) -> str:
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
        f"Held out {'/'.join(task.classes)}",
    )
    caption = (
        "Subjects. Train fits the weights, select picks the epoch, held out is judged."
    )
    return markup.table(header, rows, caption=caption) if rows else ""


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
