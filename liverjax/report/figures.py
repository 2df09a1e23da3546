"""Figures as SVG and PDF: the same bytes whenever the numbers are the same."""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.patches
import matplotlib.ticker
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Writing a PDF would otherwise tell every glyph it keeps.
logging.getLogger("fontTools").setLevel(logging.WARNING)

# Okabe and Ito's colours: distinguishable with any common colour vision.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
RED, SKY, PURPLE, GREY = "#D55E00", "#56B4E9", "#CC79A7", "#6b7280"
CLASS_COLOURS = (BLUE, ORANGE, RED, GREEN, PURPLE, SKY)
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.hashsalt": "liverjax",
    "pdf.fonttype": 42,
}
_WIDTH = 4.2  # inches: full size on a phone, half a page in print


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Returns a drawing function that keeps this module's style for any caller."""

    @functools.wraps(draw)
    def styled(*args: Any, **options: Any) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **options)

    return styled


@dataclasses.dataclass(frozen=True)
class Interval:
    """A row of a forest plot: an estimate with its interval and n."""

    label: str
    estimate: float
    low: float
    high: float
    n: int


def interval(label: str, metric: Mapping[str, Any]) -> Interval:
    """Returns a row of a forest plot from a statistic of ``metrics.json``."""
    ends = (
        float("nan") if metric[key] is None else float(metric[key])
        for key in ("estimate", "low", "high")
    )
    return Interval(label, *ends, n=metric["n"])


def save(figure: Figure, folder: pathlib.Path, *, name: str) -> bytes:
    """Returns a figure's SVG, written with its PDF into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    svg = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(
            folder / f"{name}.pdf", metadata={"CreationDate": None, "ModDate": None}
        )
    (folder / f"{name}.svg").write_bytes(svg.getvalue())
    return svg.getvalue()


@styled
def score_against_truth(
    score: Float[np.ndarray, " n"],
    *,
    target: Float[np.ndarray, " n"],
    true_class: Int[np.ndarray, " n"],
    classes: Sequence[str],
    score_cuts: Sequence[float],
    target_cuts: Sequence[float],
    identity: bool,
    title: str,
) -> Figure:
    """Returns the continuous prediction against the truth (figure 2a of study 000).

    Args:
        score: Prediction.
        target: Truth; points are spread sideways where it repeats.
        true_class: Sets colour and marker.
        classes: Names; empty where there are none.
        score_cuts: Where the predicted class changes.
        target_cuts: Where the true class changes.
        identity: Whether both axes have one unit, so that the diagonal is perfection.
        title: Line above.
    """
    figure, axes = new_axes(4.0)
    for cut in target_cuts:
        axes.axvline(cut, color="0.8", linewidth=0.8, zorder=0)
    for cut in score_cuts:
        axes.axhline(cut, color="0.8", linewidth=0.8, zorder=0)
    if target_cuts and len(score_cuts) == len(target_cuts):
        _shade_agreement(axes, target_cuts, score_cuts)
    place = target + _sideways(target)
    for index, name in enumerate(classes or ("",)):
        of = true_class == index
        axes.scatter(
            place[of],
            score[of],
            s=16,
            alpha=0.75,
            color=CLASS_COLOURS[index % 6],
            marker=CLASS_MARKERS[index % 6],
            linewidths=0,
            label=f"true {name} (n = {of.sum()})",
        )
    levels = np.unique(target)
    medians = [np.median(score[target == level]) for level in levels]
    if len(levels) < len(target):
        axes.hlines(medians, levels - 0.35, levels + 0.35, color="black", linewidth=1.4)
    if identity:
        ends = [target.min(), target.max()]
        axes.plot(ends, ends, color=GREY, linestyle=(0, (4, 3)), linewidth=0.9)
    axes.set_xlabel("truth")
    axes.set_ylabel("predicted score")
    axes.set_title(title)
    axes.autoscale_view()
    if classes:
        figure.legend(loc="outside lower center", ncols=min(3, len(classes)))
    return figure


@styled
def confusion(
    counts: Int[np.ndarray, "k k"], *, classes: Sequence[str], title: str
) -> Figure:
    """Returns the confusion matrix with counts and row shares (figure 2b)."""
    figure, axes = new_axes(4.0)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        axes.text(
            j,
            i,
            f"{count}\n{shares[i, j]:.0%}",
            ha="center",
            va="center",
            color="white" if shares[i, j] > 0.55 else "black",
            fontsize=10,
        )
    axes.set_xticks(range(len(classes)), classes)
    labels = [f"{c}\nn = {n}" for c, n in zip(classes, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(classes)), labels)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title)
    return figure


@styled
def forest(
    rows: Sequence[Interval], *, label: str, lines: Mapping[str, float]
) -> Figure:
    """Returns estimates of at most 1 with their intervals, one a row.

    Args:
        rows: From top to bottom; NaN ends draw no bar.
        label: Name of the statistic.
        lines: Named values drawn across all rows.
    """
    figure, axes = new_axes(0.9 + 0.36 * len(rows) + 0.2 * len(lines))
    places = np.arange(len(rows))[::-1]
    ends = [*(row.low for row in rows), *(row.estimate for row in rows)]
    lowest = np.nanmin([0.0, *ends])
    for place, row in zip(places, rows, strict=True):
        axes.plot([row.low, row.high], [place, place], color=BLUE, linewidth=1.6)
        axes.plot(row.estimate, place, "o", color=BLUE, markersize=5)
    styles = [(0, (4, 3)), (0, (1, 2)), "solid"]
    for (name, value), style in zip(lines.items(), styles, strict=False):
        axes.axvline(value, color=RED, linestyle=style, linewidth=1.0, label=name)
    axes.set_xlim(min(0.0, lowest * 1.05), 1.0)
    axes.set_yticks(places, [f"{row.label}\nn = {row.n}" for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    if lines:
        figure.legend(loc="outside lower center", ncols=1)
    return figure


@styled
def by_fold(
    rows: Sequence[Mapping[str, Any]], *, tau: float, accuracy: float
) -> Figure:
    """Returns tau and accuracy of each fold, with the value over all folds.

    Args:
        rows: ``fold``, ``n``, ``kendall_tau``, ``accuracy`` of ``per_fold.csv``.
        tau: Within-fold tau.
        accuracy: Of all rows.
    """
    figure, axes = new_axes(3.6, rows=2)
    names = [str(row["fold"]) for row in rows]
    for one, (key, whole, label) in zip(
        axes,
        (("kendall_tau", tau, "tau"), ("accuracy", accuracy, "accuracy")),
        strict=True,
    ):
        values = [float(row.get(key) or "nan") for row in rows]
        one.plot(range(len(names)), values, "o", color=BLUE, markersize=5)
        one.axhline(whole, color=RED, linestyle=(0, (4, 3)), linewidth=1.0)
        one.set_ylabel(label)
        one.grid(axis="y", color="0.92")
    axes[1].set_xticks(range(len(names)), names)
    axes[1].set_xlabel("fold (dashed: all folds together)")
    return figure


@styled
def learning_curves(
    members: Mapping[str, Sequence[Mapping[str, Any]]], *, best: Mapping[str, int]
) -> Figure:
    """Returns loss and selection score by epoch, a thin line a member.

    Args:
        members: Lines of ``metrics.jsonl`` by member.
        best: Epoch (from 0) whose state predicts, by member.
    """
    figure, axes = new_axes(4.4, rows=2)
    for key, colour, label in (
        ("loss", BLUE, "training"),
        ("select_loss", ORANGE, "selection"),
    ):
        _curves(axes[0], members, key=key, colour=colour, label=label)
    axes[0].set_ylabel("loss")
    axes[0].legend(loc="upper right")
    if all(value > 0 for value in _values(members, "loss")):
        axes[0].set_yscale("log")
        plain = matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}")
        axes[0].yaxis.set_major_formatter(plain)
        axes[0].yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
        axes[0].yaxis.set_minor_formatter(plain)
    _curves(axes[1], members, key="select_score", colour=GREEN, label="")
    for name, epoch in best.items():
        line = [row for row in members[name] if row.get("epoch") == epoch]
        if line and line[0].get("select_score") is not None:
            axes[1].plot(
                epoch + 1, line[0]["select_score"], "o", color="black", markersize=3.5
            )
    axes[1].set_ylabel("selection score")
    axes[1].set_xlabel("epoch (dots: the epoch that predicts)")
    return figure


@styled
def strips(columns: Mapping[str, Sequence[float]], *, label: str) -> Figure:
    """Returns values as points, a row a column, with their medians.

    Args:
        columns: Values by name.
        label: Of the axis, with the unit.
    """
    figure, axes = new_axes(0.8 + 0.5 * len(columns))
    places = np.arange(len(columns))[::-1]
    for place, values in zip(places, columns.values(), strict=True):
        values = np.asarray(values, float)
        spread = _golden(len(values)) * 0.5
        axes.plot(values, place + spread, "o", color=BLUE, markersize=3, alpha=0.6)
        axes.plot([np.median(values)] * 2, [place - 0.3, place + 0.3], color="black")
    axes.set_yticks(places, [f"{n}\nn = {len(v)}" for n, v in columns.items()])
    axes.set_ylim(-0.6, len(columns) - 0.4)
    axes.set_xlabel(label)
    axes.grid(axis="x", color="0.92")
    return figure


def _shade_agreement(
    axes: Axes, target_cuts: Sequence[float], score_cuts: Sequence[float]
) -> None:
    """Tints the fields in which true and predicted class agree."""
    far = 1e6
    x, y = ([-far, *cuts, far] for cuts in (target_cuts, score_cuts))
    for left, right, low, high in zip(x, x[1:], y, y[1:], strict=False):
        field = matplotlib.patches.Rectangle((left, low), right - left, high - low)
        field.set(facecolor="#eef4fa", edgecolor="none", zorder=-1, in_layout=False)
        axes.add_artist(field)


def new_axes(height: float, *, rows: int = 1) -> tuple[Figure, Any]:
    """Returns a figure of the page's width and its axes, one above the other.

    Args:
        height: Inches.
        rows: Number of axes, with one horizontal axis.
    """
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=rows > 1)


def _curves(
    axes: Axes,
    members: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    key: str,
    colour: str,
    label: str,
) -> None:
    by_epoch: dict[int, list[float]] = {}
    for lines in members.values():
        points = [
            (line["epoch"] + 1, line[key])
            for line in lines
            if line.get(key) is not None and line.get("epoch") is not None
        ]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=colour, alpha=0.3, linewidth=0.8)
        for epoch, value in points:
            by_epoch.setdefault(epoch, []).append(value)
    if by_epoch:
        epochs = sorted(by_epoch)
        medians = [float(np.median(by_epoch[epoch])) for epoch in epochs]
        axes.plot(epochs, medians, color=colour, linewidth=2, label=label)


def _values(
    members: Mapping[str, Sequence[Mapping[str, Any]]], key: str
) -> list[float]:
    return [
        line[key]
        for lines in members.values()
        for line in lines
        if line.get(key) is not None
    ]


def _sideways(values: np.ndarray) -> np.ndarray:
    """Small offsets that part equal values; none where values do not repeat."""
    offsets = np.zeros(len(values))
    if len(np.unique(values)) == len(values):
        return offsets
    for level in np.unique(values):
        of = np.flatnonzero(values == level)
        offsets[of] = _golden(len(of)) * 0.62
    return offsets


def _golden(n: int) -> np.ndarray:
    """Evenly spread numbers in -0.5..0.5 that look unordered, the same every time."""
    return (np.arange(n) * 0.6180339887498949) % 1.0 - 0.5
