"""Figures of discrimination, calibration, benefit, agreement and survival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from liverjax.report.figures import (
    BLUE,
    CLASS_COLOURS,
    CLASS_MARKERS,
    GREY,
    RED,
    new_axes,
    styled,
)
from liverjax.stats.calibration_groups import CalibrationBins
from liverjax.stats.decision_curve import DecisionCurve
from liverjax.stats.measurement import BlandAltman
from liverjax.stats.roc_curve import RocCurve
from liverjax.stats.survival import KaplanMeier

_LINES = ("solid", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 1)))


@styled
def roc_curves(
    curves: Mapping[str, RocCurve], *, point: tuple[float, float] | None = None
) -> Figure:
    """Returns ROC curves over the diagonal of guessing.

    Args:
        curves: By label, the first one thickest.
        point: False and true positive rate of the calls, marked by a dot.
    """
    figure, axes = new_axes(4.3 + 0.17 * max(0, len(curves) - 2))
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8)
    for i, (label, curve) in enumerate(curves.items()):
        axes.plot(
            curve.fpr,
            curve.tpr,
            color=CLASS_COLOURS[i % len(CLASS_COLOURS)],
            linestyle=_LINES[i % len(_LINES)],
            linewidth=1.9 if i == 0 else 1.4,
            label=label,
        )
    if point is not None:
        axes.plot(*point, "o", color="black", markersize=5, label="at the cut-off")
    axes.set_aspect("equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


@styled
def calibration(
    bins: CalibrationBins,
    *,
    smooth: tuple[np.ndarray, np.ndarray],
    probability: np.ndarray,
    positive: np.ndarray,
) -> Figure:
    """Returns observed against predicted risk, with the predictions' histograms.

    Args:
        bins: Groups of rows with their intervals.
        smooth: Sorted probabilities and the smoothed share of events.
        probability: Of each row.
        positive: Truth of each row.
    """
    figure, axes = new_axes(4.9)
    del axes
    figure.clear()
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    main.plot([0, 1], [0, 1], color="0.75", linewidth=0.8, label="perfect")
    main.plot(*smooth, color=RED, linestyle=_LINES[1], linewidth=1.4, label="smoothed")
    main.errorbar(
        bins.predicted,
        bins.observed,
        # A share of 1 may lie above its interval's end by a rounding error.
        yerr=np.maximum([bins.observed - bins.low, bins.high - bins.observed], 0),
        fmt="o",
        color=BLUE,
        markersize=4.5,
        linewidth=1.1,
        label="tenths of the rows, 95 % interval",
    )
    main.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    main.set_ylabel("observed share")
    main.legend(loc="upper left")
    edges = np.linspace(0, 1, 31)
    for of, sign, colour in ((positive, 1, BLUE), (~positive, -1, GREY)):
        counts, _ = np.histogram(probability[of], bins=edges)
        below.bar(edges[:-1], sign * counts, np.diff(edges), align="edge", color=colour)
    below.axhline(0, color="black", linewidth=0.6)
    below.set_yticks([])
    below.set_ylabel("with\nwithout", fontsize=7.5, rotation=0, ha="right", va="center")
    below.spines["left"].set_visible(False)
    below.set_xlabel("predicted probability")
    return figure


@styled
def decision(curves: Mapping[str, DecisionCurve]) -> Figure:
    """Returns net benefit by threshold probability; the first curve has its band."""
    figure, axes = new_axes(4.3 + 0.17 * max(0, len(curves) - 1))
    first = next(iter(curves.values()))
    axes.plot(first.threshold, first.treat_all, color=GREY, linewidth=1, label="all")
    axes.axhline(0, color="black", linewidth=1, label="none")
    axes.fill_between(
        first.threshold, first.low, first.high, color=BLUE, alpha=0.15, linewidth=0
    )
    for i, (label, curve) in enumerate(curves.items()):
        axes.plot(
            curve.threshold,
            curve.net_benefit,
            color=CLASS_COLOURS[i % len(CLASS_COLOURS)],
            linestyle=_LINES[i % len(_LINES)],
            linewidth=1.9 if i == 0 else 1.4,
            label=label,
        )
    top = float(np.nanmax(first.treat_all))
    axes.set_ylim(min(-0.02, -0.12 * top), max(0.05, top * 1.1))
    axes.set_xlabel("threshold probability")
    axes.set_ylabel("net benefit")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def score_by_class(
    score: np.ndarray, *, true_class: np.ndarray, classes: Sequence[str], label: str
) -> Figure:
    """Returns the score in each true class: boxes over all points.

    Args:
        score: Of each row.
        true_class: Index of its class.
        classes: Names.
        label: Of the vertical axis.
    """
    figure, axes = new_axes(4.0)
    there = [i for i in range(len(classes)) if np.any(true_class == i)]
    axes.boxplot(
        [score[true_class == i] for i in there],
        positions=there,
        widths=0.5,
        showfliers=False,
        medianprops={"color": "black", "linewidth": 1.5},
    )
    for i in there:
        values = score[true_class == i]
        spread = ((np.arange(len(values)) * 0.618034) % 1 - 0.5) * 0.4
        axes.scatter(
            i + spread,
            values,
            s=9,
            alpha=0.5,
            linewidths=0,
            color=CLASS_COLOURS[i % len(CLASS_COLOURS)],
            marker=CLASS_MARKERS[i % len(CLASS_MARKERS)],
        )
    sizes = [f"{classes[i]}\nn = {np.sum(true_class == i)}" for i in there]
    axes.set_xticks(there, sizes)
    axes.set_xlim(-0.6, len(classes) - 0.4)
    axes.set_xlabel("true class")
    axes.set_ylabel(label)
    return figure


@styled
def differences(agreement: BlandAltman) -> Figure:
    """Returns Bland and Altman's plot: difference against mean, with its limits."""
    figure, axes = new_axes(4.0)
    axes.scatter(
        agreement.mean, agreement.difference, s=14, alpha=0.6, linewidths=0, color=BLUE
    )
    for line, words, style in (
        (agreement.upper, "upper limit", _LINES[1]),
        (agreement.bias, "mean", "solid"),
        (agreement.lower, "lower limit", _LINES[1]),
    ):
        axes.axhspan(line.low, line.high, color=GREY, alpha=0.15, linewidth=0)
        axes.axhline(line.estimate, color="black", linestyle=style, linewidth=1)
        axes.annotate(
            f"{words} {line.estimate:.3g}".replace("-", "−"),
            (1, line.estimate),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
        )
    axes.set_xlabel("mean of prediction and truth")
    axes.set_ylabel("prediction less truth")
    return figure


@styled
def survival_curves(
    curves: Mapping[str, KaplanMeier],
    *,
    at_risk: Mapping[str, Sequence[int]],
    times: Sequence[float],
) -> Figure:
    """Returns Kaplan-Meier curves with their bands and the numbers at risk.

    Args:
        curves: By label.
        at_risk: Subjects at risk at each of the times, by label.
        times: Times of the ticks.
    """
    figure, axes = new_axes(4.4 + 0.2 * len(curves))
    for i, (label, curve) in enumerate(curves.items()):
        colour = CLASS_COLOURS[i % len(CLASS_COLOURS)]
        time = np.concatenate([[0.0], curve.time, [curve.observed.max()]])
        survival, low, high = (
            np.concatenate([[1.0], values, values[-1:] if len(values) else [1.0]])
            for values in (curve.survival, curve.low, curve.high)
        )
        axes.fill_between(
            time, low, high, step="post", color=colour, alpha=0.15, linewidth=0
        )
        axes.step(
            time,
            survival,
            where="post",
            color=colour,
            linestyle=_LINES[i % 5],
            linewidth=1.7,
            label=label,
        )
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, times[-1])
    axes.set_xticks(list(times), [f"{time:g}" for time in times])
    axes.set_ylabel("share without the event")
    axes.set_xlabel("time")
    place = axes.get_xaxis_transform()
    for line, label in enumerate(curves):
        colour = CLASS_COLOURS[line % len(CLASS_COLOURS)]
        for time, count in zip(times, at_risk[label], strict=True):
            below = -0.24 - 0.06 * line
            axes.text(
                time, below, str(count), transform=place, ha="center", color=colour
            )
    axes.text(0, -0.17, "at risk", transform=place, ha="center", fontsize=8)
    axes.legend(loc="best")
    return figure
