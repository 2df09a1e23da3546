"""The manifest's columns: what is needed, what a name promises, what is no cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverjax.cohort.schema import Recipe
from liverjax.cohort.table_text import Table, holds_date, missing_units, near_names

KEYS = ("subject", "visit", "set", "site")
# Other words that people use for a column, for the hint when it is missing.
_WORDS = {
    "native": ("plain", "unenhanced", "non_contrast", "nc", "pre", "precontrast"),
    "arterial": ("art", "ap", "late_arterial"),
    "venous": ("portal", "portal_venous", "pv", "pvp", "pvv", "portalvenous"),
    "subject": ("id", "patient", "patient_id", "case", "subject_id", "pid"),
}
_IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm", ".png")
_MASK_COLUMN = re.compile(r"(mask|spleen_mask)_.+")
# mask_source is a remark (tool, reader, phase), not a file.
_REMARKS = ("mask_source",)


def column_problems(
    columns: Sequence[str],
    *,
    recipe: Recipe,
    label: str | None,
    require_mask: bool,
) -> list[str]:
    """Returns columns that are missing, lack their unit, or belong to no other.

    Args:
        columns: Names of the table.
        recipe: Says which channels and masks are needed.
        label: The target's column, if one is needed.
        require_mask: Whether the reference channel's mask is needed.
    """
    needed = {"subject": "a name of the patient, never a hospital number"}
    for channel in recipe.channels:
        if channel not in recipe.optional_channels:
            needed[channel] = "a NIfTI file or a DICOM series folder a row"
    if require_mask:
        needed[f"mask_{recipe.reference}"] = "the liver mask of that image"
    if label is not None:
        needed[label] = "the label"
    problems = [
        f"column {name!r} is missing: {what}"
        f"{near_names(name, columns, also=_WORDS.get(name, ()))}; the table "
        f"has {list(columns)}"
        for name, what in needed.items()
        if name not in columns
    ]
    problems += [
        f"column {name!r} does not say its unit; name it {' or '.join(choice)}"
        for name, choice in missing_units(columns).items()
    ]
    for name in columns:
        base = re.sub(r"_(order|segment)$", "", name)
        if base == name or not _MASK_COLUMN.fullmatch(base):
            continue
        if base not in columns:
            problems.append(f"column {name!r} belongs to no column {base!r}")
    return problems


def date_problems(table: Table) -> list[str]:
    """Returns columns of calendar dates, which must not travel with a cohort."""
    problems = []
    for column in table.columns:
        lines = [row.line for row in table.rows if holds_date(row.cells[column])]
        if lines:
            problems.append(
                f"column {column!r} holds calendar dates (first in line {lines[0]}, "
                f"{len(lines)} in all), which must not travel with a cohort; write "
                "days from one index day of the subject (exam_day, reference_day) or "
                "remove the column"
            )
    return problems


def path_columns(table: Table, *, recipe: Recipe) -> set[str]:
    """Returns columns of files that this study does not use."""
    hidden = set()
    for column in table.columns:
        cells = [row.cells[column] for row in table.rows if row.cells[column]]
        is_mask = column not in _REMARKS and _MASK_COLUMN.fullmatch(column)
        if is_mask or (
            cells
            and column not in (*KEYS, *recipe.channels)
            and all(cell.lower().endswith(_IMAGE_SUFFIXES) for cell in cells)
        ):
            hidden.add(column)
    return hidden
