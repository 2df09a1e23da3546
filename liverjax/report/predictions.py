"""A checked table of predictions, the one form in which all rooms pass it on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, Shaped


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A checked table of predictions, a row an examination.

    Attributes:
        name: The file's name without its ending.
        file: The file's name.
        sha256: Of the file.
        subject: The independent unit.
        visit: Number of the visit.
        set: Group of examinations; ``train`` is cross-validated.
        site: Empty where unknown.
        fold: The fold that held the row out; empty outside ``train``.
        target: Truth; NaN is predicted but not judged.
        score: Higher is sicker; only its order counts unless ``on_scale``.
        probs: Of each class, or None.
        predicted_class: Index into the task's classes; -1 where unknown.
        members: Predictions averaged into the row.
        extra: Every other column, as text.
        on_scale: The score is in the target's unit.
        notes: What a reader must know, a sentence each.
        left_out: (subject, visit) that a rule of visits left out.
        slice_of: Subject and visit in the file, of rows that stay slices; else None.
    """

    name: str
    file: str
    sha256: str
    subject: Shaped[np.ndarray, " n"]
    visit: Int[np.ndarray, " n"]
    set: Shaped[np.ndarray, " n"]
    site: Shaped[np.ndarray, " n"]
    fold: Shaped[np.ndarray, " n"]
    target: Float[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]
    probs: Float[np.ndarray, "n k"] | None
    predicted_class: Int[np.ndarray, " n"]
    members: Int[np.ndarray, " n"]
    extra: Mapping[str, Shaped[np.ndarray, " n"]]
    on_scale: bool = True
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
    slice_of: Shaped[np.ndarray, "n 2"] | None = None

    def __len__(self) -> int:
        return len(self.subject)

    def take(self, rows: Shaped[np.ndarray, " m"]) -> Predictions:
        """Returns these rows (indices or a mask) as a table of their own."""
        chosen = {
            field.name: value[rows]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        extra = {name: column[rows] for name, column in self.extra.items()}
        return dataclasses.replace(self, extra=extra, **chosen)

    def answering(self, truth: Predictions) -> Predictions:
        """Returns another table's rows with this one's answers, row by row."""
        return dataclasses.replace(
            truth,
            score=self.score,
            probs=self.probs,
            predicted_class=self.predicted_class,
            on_scale=self.on_scale,
        )

    def examinations(self) -> list[tuple[str, int]]:
        """Returns (subject, visit) of each row."""
        return list(zip(self.subject.tolist(), self.visit.tolist(), strict=True))

    def examined(self) -> list[tuple[str, int]]:
        """Returns (subject, visit) in the file, also where slices were numbered."""
        if self.slice_of is None:
            return self.examinations()
        return [(subject, int(visit)) for subject, visit in self.slice_of.tolist()]
