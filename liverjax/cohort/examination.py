"""What a row of the manifest is once it is read: an examination and its files."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class MaskSource:
    """Where an organ's mask lies.

    Attributes:
        path: NIfTI, NRRD or MHA file, DICOM SEG or RTSTRUCT file, a folder of PNGs, or
            a TotalSegmentator output folder.
        order: ``file_order``, ``z_up`` or ``z_down`` of a PNG stack; empty otherwise.
        segment: SEG number, code or label; RTSTRUCT name; label value; empty where the
            file holds one structure.
    """

    path: pathlib.Path
    order: str = ""
    segment: str = ""


@dataclasses.dataclass(frozen=True)
class Examination:
    """One row of the manifest: one visit of a subject.

    Attributes:
        subject: Name of the patient in this study, never a hospital number.
        visit: Number of the visit, 1 if the manifest has no such column.
        set: ``train`` is cross-validated, every other set is only predicted.
        site: Empty if unknown.
        images: Path of each channel that is present: a file or a DICOM series folder.
        masks: Liver mask of a channel by its name.
        spleen_masks: Spleen mask of a channel by its name.
        cells: Every other column as text: labels, clinical values; numbers with a
            decimal point whatever the table's dialect.
        line: Its line in the manifest, for messages.
    """

    subject: str
    visit: int
    set: str
    site: str
    images: Mapping[str, pathlib.Path]
    masks: Mapping[str, MaskSource]
    spleen_masks: Mapping[str, MaskSource]
    cells: Mapping[str, str]
    line: int

    @property
    def name(self) -> str:
        """``P07 (visit 2)``, for people."""
        return f"{self.subject} (visit {self.visit})"


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """A row that is right but cannot be used, counted and named.

    Attributes:
        examination: The row.
        code: ``no-image``, ``no-label``, ``no-mask`` or ``other-visit``.
        reason: A sentence.
    """

    examination: Examination
    code: str
    reason: str


@dataclasses.dataclass(frozen=True)
class FlowStep:
    """Patients who never reached the manifest: a line of ``exclusions.csv``."""

    step: str
    reason: str
    count: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A manifest without errors.

    Attributes:
        path: The table.
        columns: Its columns in order.
        examinations: Rows to use, in the order of the table.
        excluded: Rows left out, with the reason; none is lost.
        before: What ``exclusions.csv`` beside the table counts.
        warnings: A sentence each: what is allowed but looks wrong.
    """

    path: pathlib.Path
    columns: tuple[str, ...]
    examinations: tuple[Examination, ...]
    excluded: tuple[Exclusion, ...] = ()
    before: tuple[FlowStep, ...] = ()
    warnings: tuple[str, ...] = ()
