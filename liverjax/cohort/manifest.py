"""The manifest: a row an examination, as people write it, read without guessing."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from liverjax.cohort import manifest_checks as checks
from liverjax.cohort import manifest_columns as columns
from liverjax.cohort.examination import (
    Examination,
    Exclusion,
    FlowStep,
    Manifest,
    MaskSource,
)
from liverjax.cohort.schema import TRAIN, Recipe
from liverjax.cohort.table_text import (
    Dialect,
    Table,
    TableRow,
    is_numeric_column,
    number,
    read_table,
)
from liverjax.errors import InputError, raise_all

__all__ = [
    "Dialect",
    "Examination",
    "Exclusion",
    "FlowStep",
    "Manifest",
    "MaskSource",
    "examine_manifest",
    "read_manifest",
]

ORDERS = ("file_order", "z_up", "z_down")


@runtime_checkable
class Label(Protocol):
    """What is needed of a task: its column and how a cell is read."""

    target_column: str

    def parse(self, cell: str) -> float:
        """Returns the truth in a cell, NaN for an empty one; raises `InputError`."""
        ...


def read_manifest(
    path: pathlib.Path,
    *,
    recipe: Recipe,
    task: Label | None,
    dialect: Dialect | None = None,
    require_mask: bool = True,
    check_files: bool = True,
    check_content: bool = True,
) -> Manifest:
    """Returns a manifest's examinations; all its errors are raised at once.

    An empty label, an absent required image or mask, and a visit that the recipe's rule
    does not take are no errors: the row is counted among the excluded with its reason.

    Args:
        path: The table; image paths in it are relative to its folder or absolute.
        recipe: Names channels, the reference (whose mask is needed) and the visit rule.
        task: Whose label is needed; None where only a prediction is wanted.
        dialect: How the table is written, if not with comma, point and UTF-8.
        require_mask: Whether a row without the reference channel's mask is excluded.
        check_files: Whether every path must be there.
        check_content: With ``check_files``: whether two image files of equal content
            are an error; unequal files are told apart by their size or 64 KB of each.

    Raises:
        InputError: Lists every problem with line, subject, column, value, what was
            expected and how to mend it.
    """
    manifest, problems = examine_manifest(
        path,
        recipe=recipe,
        task=task,
        dialect=dialect,
        require_mask=require_mask,
        check_files=check_files,
        check_content=check_content,
    )
    raise_all(problems, title=f"{path}")
    return manifest


def examine_manifest(
    path: pathlib.Path,
    *,
    recipe: Recipe,
    task: Label | None,
    dialect: Dialect | None = None,
    require_mask: bool = True,
    check_files: bool = True,
    check_content: bool = True,
) -> tuple[Manifest, list[str]]:
    """Returns what can be read of a manifest, and its problems instead of raising them.

    Arguments are those of `read_manifest`.

    Raises:
        InputError: If the file is no table with rows.
    """
    dialect = dialect or Dialect()
    table = read_table(path, dialect=dialect)
    if not table.rows:
        raise InputError(f"{path}: a header without rows; one row an examination")
    problems = columns.column_problems(
        table.columns,
        recipe=recipe,
        label=task.target_column if task else None,
        require_mask=require_mask,
    )
    problems += columns.date_problems(table)
    rows, wrong = _read_rows(
        table, recipe=recipe, task=task, dialect=dialect, check_files=check_files
    )
    problems += wrong
    problems += checks.duplicate_problems(rows)
    problems += checks.set_problems(rows)
    problems += checks.item_problems(rows)
    problems += checks.shared_path_problems(rows)
    if check_files and check_content:
        problems += checks.same_content_problems(rows)
    before, wrong = _read_flow(
        path.parent / "exclusions.csv", rows=rows, dialect=dialect
    )
    problems += wrong
    excluded = {
        row.line: Exclusion(row, *why)
        for row in rows
        if (why := _lack(row, recipe=recipe, task=task, require_mask=require_mask))
    }
    usable = [row for row in rows if row.line not in excluded]
    others, wrong = checks.other_visits(usable, rule=recipe.visit_rule)
    problems += wrong
    excluded |= {one.examination.line: one for one in others}
    manifest = Manifest(
        path=path,
        columns=table.columns,
        examinations=tuple(row for row in rows if row.line not in excluded),
        excluded=tuple(excluded[line] for line in sorted(excluded)),
        before=before,
        warnings=tuple(checks.warnings(rows)),
    )
    return manifest, problems


def _read_rows(
    table: Table,
    *,
    recipe: Recipe,
    task: Label | None,
    dialect: Dialect,
    check_files: bool,
) -> tuple[list[Examination], list[str]]:
    numbers = [c for c in table.columns if is_numeric_column(c)]
    if task is not None and task.target_column in table.columns:
        numbers.append(task.target_column)
    hidden = columns.path_columns(table, recipe=recipe)
    rows, problems = [], []
    for row in table.rows:
        found = _number_problems(row, numeric=numbers, task=task, dialect=dialect)
        plain = TableRow(row.line, _plain_numbers(row.cells, numbers, dialect))
        examination, wrong = _read_row(
            plain, folder=table.path.parent, recipe=recipe, hidden=hidden
        )
        found += wrong
        if task is not None and task.target_column in row.cells:
            cell = row.cells[task.target_column]
            if not any(
                one.startswith(f"{task.target_column}={cell!r}") for one in found
            ):
                found += _label_problems(examination, task=task)
        if check_files:
            found += checks.file_problems(examination)
        where = f"line {row.line}, subject {examination.subject!r}"
        problems += [f"{where}: {one}" for one in found]
        rows.append(examination)
    return rows, problems


def _number_problems(
    row: TableRow, *, numeric: Sequence[str], task: Label | None, dialect: Dialect
) -> list[str]:
    problems = []
    for column in numeric:
        is_label = task is not None and column == task.target_column
        cell = row.cells[column]
        # A label may be a word; what it may be, the task says.
        if is_label and not re.match(r"[-+<>≤≥.,\d]", cell):
            continue
        try:
            number(cell, decimal=dialect.decimal)
        except InputError as error:
            problems.append(f"{column}={cell!r}: {error}")
    return problems


def _plain_numbers(
    cells: Mapping[str, str], numeric: Sequence[str], dialect: Dialect
) -> dict[str, str]:
    if dialect.decimal == ".":
        return dict(cells)
    return {
        name: cell.replace(dialect.decimal, ".") if name in numeric else cell
        for name, cell in cells.items()
    }


def _read_row(
    row: TableRow, *, folder: pathlib.Path, recipe: Recipe, hidden: set[str]
) -> tuple[Examination, list[str]]:
    cells = row.cells
    subject = cells.get("subject", "")
    problems = checks.subject_problems(subject) if "subject" in cells else []
    visit_text = cells.get("visit", "1")
    visit = int(visit_text) if re.fullmatch(r"[1-9]\d{0,8}", visit_text) else 0
    if visit == 0:
        problems.append(
            f"visit={visit_text!r}: expected an integer from 1; leave the whole column "
            "out if every subject has one visit"
        )
    set_name = cells.get("set", TRAIN)
    if not set_name:
        problems.append(
            f"set is empty: expected {TRAIN!r} (cross-validated) or another name (only "
            "predicted); leave the whole column out if all rows are for training"
        )
    images = {
        channel: folder / cells[channel]
        for channel in recipe.channels
        if cells.get(channel)
    }
    masks = {}
    for organ in ("mask", "spleen_mask"):
        masks[organ], wrong = _read_masks(
            cells, folder=folder, organ=organ, channels=recipe.channels
        )
        problems += wrong
    used = {*columns.KEYS, *recipe.channels} | hidden
    examination = Examination(
        subject=subject,
        visit=visit,
        set=set_name,
        site=cells.get("site", ""),
        images=images,
        masks=masks["mask"],
        spleen_masks=masks["spleen_mask"],
        cells={name: cell for name, cell in cells.items() if name not in used},
        line=row.line,
    )
    return examination, problems


def _read_masks(
    cells: Mapping[str, str],
    *,
    folder: pathlib.Path,
    organ: str,
    channels: Sequence[str],
) -> tuple[dict[str, MaskSource], list[str]]:
    masks, problems = {}, []
    for channel in channels:
        column = f"{organ}_{channel}"
        order = cells.get(f"{column}_order", "")
        segment = cells.get(f"{column}_segment", "")
        if order and order not in ORDERS:
            problems.append(f"{column}_order={order!r}: expected one of {list(ORDERS)}")
        if cells.get(column):
            masks[channel] = MaskSource(folder / cells[column], order, segment)
        elif order or segment:
            problems.append(f"{column} is empty though its order or segment is given")
    return masks, problems


def _label_problems(examination: Examination, *, task: Label) -> list[str]:
    try:
        task.parse(examination.cells[task.target_column])
    except InputError as error:
        return [f"{error}; correct it, or leave it empty to leave the row out"]
    return []


def _lack(
    examination: Examination,
    *,
    recipe: Recipe,
    task: Label | None,
    require_mask: bool,
) -> tuple[str, str] | None:
    """Code of the first thing a row lacks, and all it lacks in words."""
    absent = [
        channel
        for channel in recipe.channels
        if channel not in recipe.optional_channels and channel not in examination.images
    ]
    lacks = []
    if absent:
        lacks.append(("no-image", f"required image {', '.join(absent)} is empty"))
    if task is not None and not examination.cells.get(task.target_column):
        lacks.append(("no-label", f"{task.target_column} is empty"))
    if require_mask and recipe.reference not in examination.masks:
        lacks.append(("no-mask", f"mask_{recipe.reference} (liver) is empty"))
    return (lacks[0][0], "; ".join(text for _, text in lacks)) if lacks else None


def _read_flow(
    path: pathlib.Path, *, rows: Sequence[Examination], dialect: Dialect
) -> tuple[tuple[FlowStep, ...], list[str]]:
    """Reads ``exclusions.csv`` (step, reason, n or subject), if it is there."""
    if not path.exists():
        return (), []
    table = read_table(path, dialect=dialect)
    lacking = [c for c in ("step", "reason") if c not in table.columns]
    if lacking or not {"n", "subject"} & set(table.columns):
        return (), [f"{path.name}: expected the columns step, reason, and n or subject"]
    inside = {examination.subject for examination in rows}
    counts: dict[tuple[str, str], int] = {}
    problems = []
    for row in table.rows:
        where = f"{path.name}, line {row.line}"
        count, subject = row.cells.get("n", ""), row.cells.get("subject", "")
        if not subject and not re.fullmatch(r"\d+", count):
            problems.append(f"{where}: n={count!r}: expected a count, or a subject")
        elif subject and count not in ("", "1"):
            problems.append(f"{where}: a subject and n={count!r}; give one of the two")
        elif subject in inside:
            problems.append(
                f"{where}: subject {subject!r} is also in the manifest; an excluded "
                "patient is in one of the two"
            )
        else:
            key = (row.cells["step"], row.cells["reason"])
            counts[key] = counts.get(key, 0) + (1 if subject else int(count))
    return tuple(FlowStep(*key, n) for key, n in counts.items()), problems
