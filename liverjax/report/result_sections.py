"""The page's parts about results: headline, statistics, groups, folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.report import figures, markup
from liverjax.report.diagnostic_sections import cut_table, panels, recalibration_table
from liverjax.report.headlines import HEADLINES
from liverjax.report.judged import is_class_index
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.tasks import kinds
from liverjax.tasks.question import Outcome, Question

# Names of metrics.json in the order of the page; others follow under their own name.
LABELS = {
    "Discrimination": {
        "auc": "AUC (DeLong, logit interval)",
        "auc_bootstrap": "AUC (bootstrap interval)",
        "auc_macro": "AUC, mean of stages (macro)",
        "auc_micro": "AUC, all decisions (micro)",
        "obuchowski_index": "Obuchowski index",
        "harrell_c": "Harrell's C",
        "hazard_ratio": "Hazard ratio a standard deviation",
        "log_rank": "Log-rank test (chi-square)",
    },
    "Calls at the cut-off": {
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "ppv": "Positive predictive value",
        "npv": "Negative predictive value",
        "f1": "F1",
    },
    "Calibration": {
        "calibration_slope": "Slope (1 is perfect)",
        "calibration_intercept": "Intercept (0 is perfect)",
        "calibration_in_the_large": "In the large (0 is perfect)",
        "brier": "Brier score",
        "brier_scaled": "Scaled Brier score",
        "expected_calibration_error": "Expected calibration error",
        "hosmer_lemeshow": "Hosmer-Lemeshow test (chi-square)",
    },
    "Agreement": {
        "bias": "Mean difference (prediction less truth)",
        "limit_of_agreement_lower": "Lower limit of agreement",
        "limit_of_agreement_upper": "Upper limit of agreement",
        "bias_slope": "Change of the difference with size",
        "icc_agreement": "Intraclass correlation (absolute agreement)",
        "lin_concordance": "Lin's concordance",
        "pearson": "Pearson's r",
        "spearman": "Spearman's rho",
    },
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
        "accuracy_gain": "Accuracy above the commonest class",
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


def headline(run: RunFolder) -> str:
    """Returns the tiles at the top: the first figures of the kind of judgement."""
    metrics = run.metrics
    if metrics["kind"] == kinds.POINTS:
        return _points_headline(metrics)
    tiles = []
    for name in HEADLINES[metrics["kind"]]:
        metric = metrics.get(name)
        if metric is None or markup.is_absent(metric["estimate"]):
            continue
        note = "" if markup.is_absent(metric["p"]) else f"p = {_p(metric)}"
        title = next(labels[name] for labels in LABELS.values() if name in labels)
        tiles.append(_tile(title.partition(" (")[0], metric, note))
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _p(metric: Mapping[str, Any]) -> str:
    return markup.p_value(metric["p"])


def _points_headline(metrics: Mapping[str, Any]) -> str:
    """Tau, accuracy, and the ceiling or the error."""
    tau, within = metrics["kendall_tau"], metrics["kendall_tau_within_folds"]
    tiles = [_tile("Kendall's tau", tau, f"p = {markup.p_value(tau['p'])}")]
    if not markup.is_absent(within["estimate"]):
        note = f"one-sided permutation p = {markup.p_value(within['p'])}"
        if not markup.is_absent(within.get("p_bound")):
            note += (
                f", at most {markup.p_value(within['p_bound'])} (patients of "
                "different folds train each other's networks)"
            )
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
            _tile(
                "Share of the ceiling", share, f"a reader can expect at most tau {best}"
            )
        )
    elif "mean_absolute_error" in metrics:
        tiles.append(_tile("Mean absolute error", metrics["mean_absolute_error"], ""))
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def results(run: RunFolder, *, task: Question) -> Section:
    """Returns the two panels of the paper's figure 2 and every statistic."""
    return markup.section(
        "results",
        "Results",
        f"<p>Set “{markup.text(run.metrics['set'])}”. Intervals hold 95 %; the unit is "
        "the examination, resampled by patient.</p>",
        markup.beside(
            *panels(run, task=task),
            _score_panel(run, task=task),
            _confusion_panel(run, task=task),
        ),
        _statistics_table(run.metrics, task=task),
        cut_table(run.metrics, task=task),
        recalibration_table(run.metrics),
        _class_table(run.metrics, task=task),
        source="metrics.json, made of predictions.csv; confusion.csv, per_class.csv",
    )


def cut_offs(task: Question) -> tuple[float, ...]:
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


def _statistics_table(metrics: Mapping[str, Any], *, task: Question) -> str:
    """Every statistic but those of single classes, under the headings of `LABELS`."""
    shown = {name for labels in LABELS.values() for name in labels}
    shown |= {
        f"{figure}_{label}" for figure in _CLASS_FIGURES for label in task.classes
    }
    others = {
        name: name.replace("_", " ").capitalize()
        for name, value in metrics.items()
        if isinstance(value, Mapping)
        and "estimate" in value
        and name not in shown
        and "_from_" not in name
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


def _class_table(metrics: Mapping[str, Any], *, task: Question) -> str:
    if not task.classes or f"sensitivity_{task.classes[0]}" not in metrics:
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


def _score_panel(run: RunFolder, *, task: Question) -> str:
    shown = run.metrics["kind"] in (kinds.POINTS, kinds.NUMBER)
    if not shown or "kendall_tau" not in run.metrics:
        return ""
    rows = run.predictions
    rows = rows.take((rows.set == run.metrics["set"]) & np.isfinite(rows.target))
    tau = run.metrics["kendall_tau"]
    cuts = cut_offs(task) if rows.on_scale else ()
    true_class = np.asarray(task.true_class(rows.target), int)
    truths = np.unique(rows.target)
    classed = bool(task.classes)
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
        caption="Predicted score against the truth. "
        + ("Bars: median of each true value; grey: class cut-offs; " if classed else "")
        + "dashed: perfect prediction. figures/score_against_truth.svg",
    )


def _confusion_panel(run: RunFolder, *, task: Question) -> str:
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
        caption="True and predicted class: counts and shares of the true "
        "class. figures/confusion.svg",
    )
