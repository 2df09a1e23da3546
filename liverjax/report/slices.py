"""Tables whose rows are slices, not patients: averaged, clustered, or taken as rows."""

from __future__ import annotations

import dataclasses

import numpy as np

from liverjax.errors import InputError
from liverjax.report.answers import UNKNOWN_CLASS
from liverjax.report.predictions import Predictions
from liverjax.report.score_scale import call_classes, is_called_later
from liverjax.report.words import counted
from liverjax.tasks.question import Outcome, Question, average_rows


def from_slices(predictions: Predictions, *, rule: str, task: Question) -> Predictions:
    """Returns a table of slices as rows that may be judged.

    Args:
        predictions: Any number of rows a (subject, visit).
        rule: ``mean``: an examination is the mean of its slices' scores and
            probabilities, then its class. ``clustered``: rows stay slices, numbered as
            visits in the order of the file; intervals resample subjects.
            ``independent``: each slice is counted as if it were a patient, as some
            papers do.
        task: Makes the class of an averaged examination.

    Raises:
        InputError: If slices of one examination have different targets, sets or folds.
    """
    if rule == "mean":
        return _mean_of_slices(predictions, task=task)
    number = _running_number(predictions.subject)
    origin = np.stack([predictions.subject, predictions.visit.astype(np.str_)], axis=1)
    predictions = dataclasses.replace(predictions, slice_of=origin)
    if rule == "clustered":
        note = (
            f"Rows are slices: {counted(len(predictions), 'slice')} of "
            f"{counted(len(np.unique(predictions.subject)), 'patient')}. Figures count "
            "slices; intervals and tests count patients."
        )
        return dataclasses.replace(
            predictions, visit=number, notes=(*predictions.notes, note)
        )
    names = [f"{s}#{i}" for s, i in zip(predictions.subject, number, strict=True)]
    note = (
        f"Rows are {counted(len(predictions), 'slice')}, counted as if each were a "
        f"patient, of {counted(len(np.unique(predictions.subject)), 'patient')}. "
        "Slices of one patient are alike, so intervals are too narrow and p values too "
        "small. The figures compare with papers that count slices, and say nothing "
        "about patients."
    )
    return dataclasses.replace(
        predictions,
        subject=np.array(names, dtype=np.str_),
        visit=np.ones(len(names), int),
        notes=(*predictions.notes, note),
    )


def _mean_of_slices(predictions: Predictions, *, task: Question) -> Predictions:
    keys = predictions.examinations()
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    group = np.array([place[key] for key in keys], int)
    first = np.unique(group, return_index=True)[1]
    found = predictions.take(first)
    for name in ("target", "set", "fold", "site"):
        column = getattr(predictions, name)
        unlike = ~(column == column[first][group])
        if name == "target":
            unlike &= ~(np.isnan(column) & np.isnan(column[first][group]))
        if unlike.any():
            subject = predictions.subject[unlike].tolist()[0]
            raise InputError(
                f"{predictions.file}: slices of subject {subject!r} have different "
                f"values of {name}; --slices mean needs one a (subject, visit)"
            )
    outcome = average_rows(
        Outcome(predictions.score, predictions.probs),
        group=group,
        num_groups=len(first),
    )
    classes = None
    note = (
        f"Averaged (--slices mean): {counted(len(predictions), 'slice')} to "
        f"{counted(len(first), 'examination')}, the mean of their scores, then the "
        "class."
    )
    if np.any(predictions.predicted_class != UNKNOWN_CLASS):
        classes = call_classes(outcome, on_scale=predictions.on_scale, task=task)
        if classes is None and not is_called_later(task):
            note += (
                " Their mean only ranks, so the classes of slices make no class of an "
                "examination; that takes probabilities"
                + (", or --cutoff." if len(task.classes) == 2 else ".")
            )
    return dataclasses.replace(
        found,
        score=outcome.score,
        probs=outcome.probs,
        predicted_class=(
            np.full(len(first), UNKNOWN_CLASS) if classes is None else classes
        ),
        notes=(*predictions.notes, note),
    )


def _running_number(subject: np.ndarray) -> np.ndarray:
    """1, 2, ... within each subject, in the order of rows."""
    seen: dict[str, int] = {}
    numbers = []
    for name in subject.tolist():
        seen[name] = seen.get(name, 0) + 1
        numbers.append(seen[name])
    return np.array(numbers, int)
