"""Table 1: who was judged, by set and by class, with what is missing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from liverjax.cohort.table_text import is_numeric_column, number
from liverjax.errors import InputError
from liverjax.report import markup
from liverjax.report.score_scale import SCALE
from liverjax.report.tables import Predictions
from liverjax.stats import exact_tables, groups
from liverjax.tasks.question import Question

_MOST_VALUES = 6
# Of an exact sum, so that one of many columns takes half a second at most or so.
_MOST_STEPS = 100_000
_CHI_SQUARE = "χ²"
# Day offsets order the visits of one subject, their median describes nobody; nor does
# what the table says of its scores.
_NOT_DESCRIBED = ("exam_day", "reference_day", SCALE)


def table_one(rows: Predictions, *, task: Question) -> str:
    """Returns the table: columns are the sets, and the classes of all judged rows.

    Columns of numbers are told by median and quartiles, columns of few values by
    counts. p compares the classes, taking rows as independent; where subjects have
    several rows there is none. The standardised difference compares the sets; of more
    than two it is the largest of a pair.

    Args:
        rows: The table of predictions with all its columns.
        task: The clinical question.
    """
    judged = rows.take(np.isfinite(rows.target))
    true_class = np.asarray(task.true_class(judged.target), int)
    sets = list(dict.fromkeys(judged.set.tolist()))
    columns = {f"Set {name}": judged.set == name for name in sets}
    if len(columns) > 1:
        columns = {"All": np.ones(len(judged), bool)} | columns
    classes = {f"Class {c}": true_class == i for i, c in enumerate(task.classes)}
    columns |= classes
    masks = list(columns.values())
    single = len(set(judged.subject.tolist())) == len(judged)
    compared = [m for m in classes.values() if m.any()] if single else []
    with_p, with_gap = len(compared) > 1, len(sets) > 1
    lines: list[tuple[str, ...]] = []

    def line(
        label: str, cells: Sequence[str], p: str = "", values: np.ndarray | None = None
    ) -> None:
        gap = "" if values is None else _between_sets(values, judged.set)
        ends = [text for text, there in ((gap, with_gap), (p, with_p)) if there]
        lines.append((label, *cells, *ends))

    line("Examinations", [str(mask.sum()) for mask in masks])
    line("Patients", [str(len(set(judged.subject[m].tolist()))) for m in masks])
    if not task.classes or not _is_index(judged.target, true_class):
        cells = [_quartiles(judged.target[m]) for m in masks]
        line("Truth, median (quartiles)", cells, values=judged.target)
    for i, name in enumerate(task.classes):
        shares = [_share(true_class[m] == i) for m in masks]
        line(f"Class {markup.text(name)}", shares, values=true_class == i)
    cells_of = {"site": judged.site, **judged.extra}
    for name, cells in cells_of.items():
        if name in _NOT_DESCRIBED:
            continue
        values = _numbers(cells.tolist())
        if _is_measured(name, values):
            assert values is not None
            p = _p_of_numbers(values, compared)
            line(markup.code(name), [_quartiles(values[m]) for m in masks], p, values)
            _missing(line, np.isnan(values), masks)
        elif 1 <= len(present := sorted(set(cells.tolist()) - {""})) <= _MOST_VALUES:
            p = _p_of_counts(cells, present, compared)
            for value in present:
                label = f"{markup.code(name)}: {markup.text(value)}"
                # Shares are of all rows, standardised differences of known ones.
                known = np.where(cells == "", np.nan, cells == value)
                line(label, [_share(cells[m] == value) for m in masks], p, known)
                p = ""
            if name != "site":
                _missing(line, cells == "", masks)
    caption = "Judged examinations: number (%), or median (quartiles)."
    if with_p:
        caption += (
            " p compares the classes: Mann-Whitney or Kruskal-Wallis for numbers; for "
            "shares Fisher's exact test where an expected count is below 5, else the "
            f"chi-square test (marked {_CHI_SQUARE} where Fisher's would take too "
            "long); not corrected for their number."
        )
    if with_gap:
        caption += (
            " Standardised difference of the sets"
            + (" (the largest of any two)" if len(sets) > 2 else "")
            + ": above 0.1 they are commonly called unbalanced."
        )
    ends = [*(["Std. difference"] if with_gap else []), *(["p"] if with_p else [])]
    header = ("", *columns, *ends)
    return markup.table(header, lines, caption=caption)


def _missing(
    line: Callable[..., None], absent: np.ndarray, masks: Sequence[np.ndarray]
) -> None:
    if absent.any():
        line("– missing", [_share(absent[m]) for m in masks], values=absent)


def _between_sets(values: np.ndarray, sets: np.ndarray) -> str:
    """The largest standardised difference of two sets."""
    parts = [values[sets == name].astype(float) for name in dict.fromkeys(sets)]
    gaps = [
        abs(groups.standardised_difference(one, y=two))
        for one, two in itertools.combinations(parts, 2)
    ]
    known = [gap for gap in gaps if not np.isnan(gap)]
    return markup.number(max(known), decimals=2) if known else markup.NONE


def column_numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Returns a column's numbers, NaN where empty; None if a cell is no number."""
    return _numbers(cells)


def _is_index(target: np.ndarray, true_class: np.ndarray) -> bool:
    return bool(np.array_equal(target, true_class))


def _is_measured(name: str, values: np.ndarray | None) -> bool:
    """Whether a column holds a measurement, not the numbers of categories."""
    if values is None or not np.isfinite(values).any():
        return False
    few = len(np.unique(values[np.isfinite(values)])) <= _MOST_VALUES
    return not few or (is_numeric_column(name) and name != "event")


def _p_of_numbers(values: np.ndarray, compared: Sequence[np.ndarray]) -> str:
    parts = [values[m & np.isfinite(values)] for m in compared]
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return ""
    if len(parts) == 2:
        return markup.p_value(groups.mann_whitney(parts[0], y=parts[1]).p)
    return markup.p_value(groups.kruskal_wallis(parts).p)


def _p_of_counts(
    cells: np.ndarray, present: Sequence[str], compared: Sequence[np.ndarray]
) -> str:
    counts = np.array(
        [[int(np.sum(cells[m] == value)) for value in present] for m in compared], int
    )
    if counts.size == 0:
        return ""
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return ""
    test = groups.contingency(counts, fisher="never")
    if not test.small_expected:
        return markup.p_value(test.p)
    exact = exact_tables.exact_table_p(counts, most_steps=_MOST_STEPS)
    if np.isnan(exact):
        return f"{markup.p_value(test.p)} {_CHI_SQUARE}"
    return markup.p_value(exact)


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array([number(cell) for cell in cells])
    except InputError:
        return None


def _share(mask: np.ndarray) -> str:
    if not len(mask):
        return markup.NONE
    return f"{mask.sum()} ({mask.mean():.0%})"


def _quartiles(values: np.ndarray) -> str:
    found = groups.summary(values)
    if not found.n:
        return markup.NONE
    low, middle, high = map(_short, (found.q1, found.median, found.q3))
    return f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    """One decimal below 100 (two below 1), none above, no trailing zero."""
    decimals = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
