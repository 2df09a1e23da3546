"""Whether a model does as well in each part of a cohort."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from liverjax.cohort.table_text import near_names, number
from liverjax.errors import InputError
from liverjax.report.block import block
from liverjax.report.judged import CLUSTERED, Judged, judged_rows
from liverjax.report.tables import Predictions
from liverjax.report.words import counted
from liverjax.stats import (
    cox,
    groups,
    multiplicity,
    ordinal,
    rank_correlation,
    roc_tests,
)
from liverjax.stats.estimate import Estimate
from liverjax.tasks import kinds
from liverjax.tasks.question import Question

# Columns that are compared when nobody names others, where they have 2 to 6 values.
USUAL = ("site", "sex", "aetiology", "recruitment", "specimen", "vendor")
MAIN = {
    kinds.POINTS: "kendall_tau",
    kinds.BINARY: "auc",
    kinds.STAGES: "obuchowski_index",
    kinds.NUMBER: "mean_absolute_error",
    kinds.SURVIVAL: "harrell_c",
}
# Kinds whose groups are told with their number of events.
WITH_EVENTS = (kinds.BINARY, kinds.SURVIVAL)
_MOST = 6
_CUT = re.compile(r"(\w+)(>=|<=|>|<)(-?\d+(?:\.\d+)?)")


class _NoGroupsError(InputError):
    """A column that makes no groups among these rows."""


def judge_subgroups(
    sets: Mapping[str, Predictions],
    *,
    headline: str,
    task: Question,
    names: Sequence[str] | None,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Returns, for each set and column, the levels' main figure and their test.

    Holm's family are the tests of all columns and sets.

    Args:
        sets: Rows that have a truth, by set.
        headline: The set in which every named column must make groups; in others a
            column that makes none is left out.
        task: The clinical question.
        names: Columns; a column of numbers with its cut, such as ``age_years>=60``.
            None takes those of `USUAL` that make groups.
        seed: Of the bootstraps.

    Raises:
        InputError: If a column is missing or cannot make groups.
    """
    found = {
        name: _of_set(rows, task=task, names=names, seed=seed, strict=name == headline)
        for name, rows in sets.items()
    }
    _correct([group for groups in found.values() for group in groups.values()])
    return found


def _of_set(
    rows: Predictions,
    *,
    task: Question,
    names: Sequence[str] | None,
    seed: int,
    strict: bool,
) -> dict[str, Any]:
    rows = rows.take(np.lexsort((rows.visit, rows.subject)))
    if names is None:
        names = [name for name in USUAL if 2 <= len(_values(rows, name)) <= _MOST]
    whole = judged_rows(rows, task=task, seed=seed)
    found: dict[str, Any] = {}
    for name in names:
        try:
            level = _levels(rows, name)
        except _NoGroupsError:
            if strict:
                raise
            continue
        levels = {
            one: _level(rows.take(level == one), task=task, seed=seed)
            for one in sorted(set(level.tolist()) - {""})
        }
        test = _interaction(whole, level)
        found[name] = {
            "levels": levels,
            "interaction": test.as_metric(),
            "without": int(np.sum(level == "")),
        }
    return found


def _level(rows: Predictions, *, task: Question, seed: int) -> dict[str, Any]:
    judged = judged_rows(rows, task=task, seed=seed)
    none = Estimate(np.nan, method="not defined in this group", n=len(judged.target))
    main = block(judged).get(MAIN[judged.kind], none)
    events = int(np.sum(judged.true_class == len(judged.classes) - 1))
    if judged.kind == kinds.SURVIVAL:
        events = int(judged.event.sum()) if judged.event is not None else 0
    shown = judged.kind in WITH_EVENTS
    return main.as_metric() | ({"events": events} if shown else {})


def _values(rows: Predictions, name: str) -> set[str]:
    cells = rows.site if name == "site" else rows.extra.get(name)
    return set() if cells is None else set(cells.tolist()) - {""}


def _levels(rows: Predictions, name: str) -> np.ndarray:
    """The level of each row as text; empty where the column is."""
    cut = _CUT.fullmatch(name)
    column = cut[1] if cut else name
    cells = rows.site if column == "site" else rows.extra.get(column)
    if cells is None:
        known = ", ".join(("site", *rows.extra))
        raise InputError(
            f"--subgroups {name}: {rows.file} has no column {column!r}"
            f"{near_names(column, ('site', *rows.extra))}; it has {known}"
        )
    if not cut:
        count = len(set(cells.tolist()) - {""})
        if not 2 <= count <= _MOST:
            raise _NoGroupsError(
                f"--subgroups {name}: the column has {counted(count, 'value')} in the "
                f"judged rows, expected 2 to {_MOST}; cut a column of numbers like "
                f"'{name}>=60'"
            )
        return cells
    try:
        values = np.array([number(cell) for cell in cells])
    except InputError as error:
        raise InputError(f"--subgroups {name}: {column}: {error}") from None
    sign, at = cut[2], float(cut[3])
    inside = {
        ">=": values >= at,
        ">": values > at,
        "<=": values <= at,
        "<": values < at,
    }[sign]
    opposite = {">=": "<", ">": "<=", "<=": ">", "<": ">="}[sign]
    level = np.where(inside, f"{sign} {cut[3]}", f"{opposite} {cut[3]}")
    level = np.where(np.isnan(values), "", level)
    if len(set(level.tolist()) - {""}) < 2:
        raise _NoGroupsError(
            f"--subgroups {name}: all judged rows are on one side of the cut"
        )
    return level


def _interaction(rows: Judged, level: np.ndarray) -> Estimate:
    n = int(np.sum(level != ""))
    if rows.clustered and rows.kind != kinds.POINTS:
        return Estimate(np.nan, method=CLUSTERED, n=n)
    try:
        p, words = _TESTS[rows.kind](rows, level)
    except ValueError as error:
        return Estimate(np.nan, method=f"no test: {error}", n=n)
    return Estimate(np.nan, p=p, method=words, n=n)


def _areas(rows: Judged, level: np.ndarray) -> tuple[float, str]:
    """Unpaired DeLong; of more than two levels each against the rest, by Holm."""
    names = sorted(set(level.tolist()) - {""})
    p = []
    for name in names[: 1 if len(names) == 2 else None]:
        inside, rest = level == name, (level != name) & (level != "")
        test = roc_tests.compare_unpaired(
            rows.score[inside],
            positive=rows.positive[inside],
            other_score=rows.score[rest],
            other_positive=rows.positive[rest],
        )
        p.append(test.p)
    adjusted = multiplicity.adjust(np.array(p))
    if len(p) == 1:
        return float(adjusted[0]), "unpaired DeLong test of two areas"
    words = f"unpaired DeLong, smallest of {len(p)} (each against the rest, Holm)"
    return float(np.nanmin(adjusted)), words


def _taus(rows: Judged, level: np.ndarray) -> tuple[float, str]:
    """The bootstrap draws whole subjects, so it serves clustered rows too."""
    taus, draws = [], []
    for name in sorted(set(level.tolist()) - {""}):
        inside = level == name
        x, y = rows.score[inside], rows.target[inside]
        if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
            taus.append(rank_correlation.kendall_tau(x, y=y).estimate)
            weight = rows.weight[:, inside]
            draws.append(rank_correlation.resampled_tau(x, y=y, weight=weight))
    if len(taus) < 2:
        raise ValueError("fewer than two groups have a tau")
    drawn = np.stack(draws, axis=1)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if len(drawn) < len(rows.weight) / 2:
        raise ValueError("a group is too small to be resampled")
    p = _equal(np.array(taus), np.cov(drawn, rowvar=False))
    words = f"chi-square with the covariance of {len(drawn):,} bootstraps of subjects"
    return p, f"differences of tau between {len(taus)} groups, {words}"


def _indices(rows: Judged, level: np.ndarray) -> tuple[float, str]:
    """Groups share no subject, so their indices vary by themselves."""
    penalty = ordinal.linear_penalty(len(rows.classes))
    found = [
        ordinal.obuchowski_index(
            rows.score[level == name], stage=rows.true_class[level == name],
            penalty=penalty,
        )
        for name in sorted(set(level.tolist()) - {""})
        if len(np.unique(rows.true_class[level == name])) > 1
    ]  # fmt: skip
    if len(found) < 2:
        raise ValueError("fewer than two groups have two stages")
    p = _equal(
        np.array([one.estimate for one in found]),
        np.diag([one.se**2 for one in found]),
    )
    return p, f"differences of Obuchowski's index between {len(found)} groups (Wald)"


def _equal(value: np.ndarray, covariance: np.ndarray) -> float:
    """P of the chi-square test that all figures are one."""
    contrast = np.diff(np.eye(len(value)), axis=0)
    gap, spread = contrast @ value, contrast @ covariance @ contrast.T
    if np.linalg.matrix_rank(spread) < len(gap):
        raise ValueError("a figure at its end does not vary")
    return float(scipy.stats.chi2.sf(gap @ np.linalg.solve(spread, gap), len(gap)))


def _errors(rows: Judged, level: np.ndarray) -> tuple[float, str]:
    if rows.ideal is None:
        raise ValueError("the score is not in the target's unit")
    error = np.abs(rows.score - rows.ideal)
    names = sorted(set(level.tolist()) - {""})
    test = groups.kruskal_wallis([error[level == name] for name in names])
    return test.p, f"absolute errors by group; {test.method}"


def _hazards(rows: Judged, level: np.ndarray) -> tuple[float, str]:
    names = sorted(set(level.tolist()) - {""})
    if len(names) != 2 or rows.event is None:
        raise ValueError("written for two groups")
    there = level != ""
    risk = rows.score[there] - rows.score[there].mean()
    group = (level[there] == names[1]) * 1.0
    fit = cox.cox(
        rows.target[there],
        event=rows.event[there].astype(bool),
        columns={"risk": risk, "group": group, "product": risk * group},
    )
    return float(fit.p[2]), f"product of risk and group; {fit.method}"


_TESTS = {
    kinds.POINTS: _taus,
    kinds.BINARY: _areas,
    kinds.STAGES: _indices,
    kinds.NUMBER: _errors,
    kinds.SURVIVAL: _hazards,
}


def _correct(groups: Sequence[Mapping[str, Any]]) -> None:
    tests = [one["interaction"] for one in groups]
    p = np.array([test["p"] for test in tests], float)
    done = int(np.isfinite(p).sum())
    if not done:
        return
    family = f"Holm's over {counted(done, 'test')} of all columns and sets"
    for test, value in zip(tests, multiplicity.adjust(p).tolist(), strict=True):
        test["p_holm"] = value
        if np.isfinite(test["p"]):
            test["method"] += f"; p_holm is {family}"
