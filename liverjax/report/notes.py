"""What a reader must know about the judged rows: the notes of ``metrics.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort.schema import TRAIN
from liverjax.report.cutoff import Cutoffs, cutoff_sentence
from liverjax.report.headlines import CHANCE, FOREST_LABELS, RANKED
from liverjax.report.judged import Judged
from liverjax.report.markup import estimate, is_absent
from liverjax.report.pairing import Pair, partly_matched
from liverjax.report.tables import Predictions
from liverjax.report.words import counted, listed
from liverjax.tasks.kinds import BINARY, NUMBER, SURVIVAL

POOLED_IS_BIASED = (
    "The pooled tau compares rows that different networks predicted. When a fold's "
    "held-out subjects are sicker than average its network was trained on healthier "
    "ones, so the pooled tau is biased, downwards when nothing can be learned. "
    "kendall_tau_within_folds compares rows of one fold only; read its p."
)
POOLED_AREA_IS_BIASED = (
    "The pooled figure compares rows that different networks predicted. When a fold's "
    "held-out subjects are sicker than average its network was trained on healthier "
    "ones, so a pooled area is biased, downwards when nothing can be learned."
)
UNKNOWN_FOLDS = (
    "Rows of train have no fold, so nothing says that the network which predicted them "
    "had not seen them: their figures may be optimistic. Fill the column fold."
)
SEVERAL_ROWS = (
    "Subjects have several examinations: intervals resample subjects, and tests that "
    "take rows as independent are left out. --visits first or --visits closest keeps "
    "one examination a subject."
)
# What others call the rows a model was fitted on.
_FITTED = re.compile(
    r"(train|training|dev|development|derivation)([ _-]?(set|cohort|data))?",
    re.IGNORECASE,
)
_FEW_OF_A_CLASS, _FEW_ROWS = 10, 20


def judgement_notes(
    predictions: Predictions,
    *,
    judged: Mapping[str, Judged],
    metrics: Mapping[str, Mapping[str, Any]],
    pairs: Mapping[str, Sequence[Pair]],
    top: str,
    cutoff: Cutoffs | None,
) -> list[str]:
    """Returns a sentence for each thing a reader must know.

    Args:
        predictions: The whole table, with the notes of its reading.
        judged: Its judged rows, by set.
        metrics: Their figures and those of the compared models, by set.
        pairs: The compared tables, by set.
        top: The headline's set.
        cutoff: What `choose_cutoffs` chose.
    """
    notes = list(predictions.notes)
    if cutoff:
        notes.append(cutoff_sentence(cutoff))
    own = judged[top]
    if own.fold is not None:
        of_areas = own.kind in (BINARY, SURVIVAL)
        notes.append(POOLED_AREA_IS_BIASED if of_areas else POOLED_IS_BIASED)
    in_train = predictions.set == TRAIN
    if np.any(in_train & np.isfinite(predictions.target) & (predictions.fold == "")):
        notes.append(UNKNOWN_FOLDS)
    if any(rows.clustered for rows in judged.values()):
        notes.append(SEVERAL_ROWS)
    notes += _fitted_by_name(judged, top=top)
    notes += _in_train_too(predictions)
    for name, rows in judged.items():
        notes += _without_contrast(rows, name=name)
        notes += _called_alike(rows, name=name)
        notes += _backwards(metrics[name], kind=rows.kind, name=name)
    return [*notes, *_few(judged), *partly_matched(pairs)]


def _fitted_by_name(judged: Mapping[str, Judged], *, top: str) -> list[str]:
    return [
        f"The set “{name}”{' of the headline' if name == top else ''} bears a name of "
        "rows that a model was fitted on; if they were, their figures are optimistic. "
        "Cross-validated rows are the set train, spelt so, with the fold that held "
        "each row out in the column fold; --set NAME puts another set first."
        for name, rows in judged.items()
        if name != TRAIN and rows.fold is None and _FITTED.fullmatch(name)
    ]


def _in_train_too(predictions: Predictions) -> list[str]:
    """Subjects of train that stand in another set."""
    train = set(predictions.subject[predictions.set == TRAIN].tolist())
    found = []
    for name in dict.fromkeys(predictions.set.tolist()):
        both = train & set(predictions.subject[predictions.set == name].tolist())
        if both and name != TRAIN:
            found.append(
                f"Both train and {name} hold {counted(len(both), 'subject')} (such as "
                f"{min(both)!r}): {name} is no independent test."
            )
    return found


def _without_contrast(rows: Judged, *, name: str) -> list[str]:
    n = counted(len(rows.target), "row")
    if rows.event is not None and rows.kind == SURVIVAL and not rows.event.any():
        return [f"No event in {name} ({n}, all censored): nothing can be ranked there."]
    if len(np.unique(rows.target)) == 1:
        return [f"Every truth in {name} is the same: nothing can be ranked."]
    return []


def _called_alike(rows: Judged, *, name: str) -> list[str]:
    """All rows on one side of the cut-off."""
    if rows.kind != BINARY or rows.predicted_class is None or len(rows.score) < 2:
        return []
    if len(np.unique(rows.predicted_class)) > 1:
        return []
    which = "Every" if rows.predicted_class[0] == 1 else "No"
    low, high = rows.score.min(), rows.score.max()
    return [
        f"{which} row of {name} is called {rows.classes[1]}: its scores run from "
        f"{low:.4g} to {high:.4g}, on one side of the cut-off (--cutoff names another)."
    ]


def _backwards(figures: Mapping[str, Any], *, kind: str, name: str) -> list[str]:
    """Scores whose ranking is worse than chance beyond doubt."""
    found = []
    for model, block in {"": figures, **figures["models"]}.items():
        figure = RANKED[kind]
        metric, chance = block.get(figure), CHANCE[figure]
        if not metric or not _below(metric, chance=chance):
            continue
        who = f"The score of {model}" if model else "The score"
        lower = {SURVIVAL: "an earlier event", NUMBER: "more"}.get(kind, "sicker")
        found.append(
            f"{who} ranks the wrong way in {name}: {FOREST_LABELS[figure]} "
            f"{estimate(metric, decimals=2)}, wholly below {chance:g}. Does "
            f"lower mean {lower}? Then give minus the score."
        )
    return found


def _below(metric: Mapping[str, Any], *, chance: float) -> bool:
    """Whether a figure of enough rows lies below chance with its whole interval."""
    if metric["n"] < _FEW_OF_A_CLASS or is_absent(metric["estimate"]):
        return False
    if is_absent(metric["high"]):
        return metric["estimate"] == 2 * chance - 1  # the worst there is
    return metric["high"] < chance


def _few(judged: Mapping[str, Judged]) -> list[str]:
    """Sets with so few cases that their intervals are rough."""
    found = []
    for name, rows in judged.items():
        n, few = len(rows.target), []
        if rows.kind == SURVIVAL and rows.event is not None:
            events = int(rows.event.sum())
            few = [counted(events, "event")] if events < _FEW_OF_A_CLASS else []
        elif rows.classes:
            counts = np.bincount(rows.true_class, minlength=len(rows.classes))
            few = [
                f"{count} of class {label}"
                for label, count in zip(rows.classes, counts.tolist(), strict=True)
                if count < _FEW_OF_A_CLASS
            ]
        if few or n < _FEW_ROWS:
            inside = listed(few) + (f", n = {n}" if few else f"n = {n}")
            found.append(f"{name} ({inside})")
    if not found:
        return []
    kind = next(iter(judged.values())).kind
    return [
        f"Few cases: {', '.join(found)}. Intervals are rough where a class or the "
        f"events are fewer than {_FEW_OF_A_CLASS}, or the rows fewer than "
        f"{_FEW_ROWS}. {_NEEDS.get(kind, _NEEDS_OF_CLASSES)}"
    ]


_NEEDS_OF_CLASSES = (
    "Figures of a class rest on its own cases: sensitivity on those that have it, "
    "specificity on those that do not."
)
_NEEDS = {
    BINARY: "Sensitivity rests on the positive cases alone, specificity on the "
    "negative ones, the AUC on the smaller class; to judge calibration 100 or more of "
    "each are advised (Collins et al., Statistics in Medicine 35 (2016) 214).",
    NUMBER: "Limits of agreement and correlations suffer most.",
    SURVIVAL: "All figures rest on the events, not on the rows; to judge a risk 100 or "
    "more are advised (Collins et al., Statistics in Medicine 35 (2016) 214).",
}
