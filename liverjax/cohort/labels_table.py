"""The hospital's table of labels, joined to studies by the raw id.

Messages give lines and counts, never an id or a date: those go to the local crosswalk.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import pathlib
import re
from collections.abc import Mapping, Sequence

from liverjax.cohort.identity import parse_day
from liverjax.cohort.table_text import (
    Dialect,
    Table,
    TableRow,
    holds_date,
    is_numeric_column,
    near_names,
    read_table,
)
from liverjax.errors import InputError, raise_all

# Columns without a unit that may travel with a cohort; others are left behind unless
# they are named.
SHARED_COLUMNS = (
    "set",
    "site",
    "sex",
    "recruitment",
    "specimen",
    "aetiology",
    "child_pugh",
    "fibrosis_stage",
    "cirrhosis",
    "severity",
)


@dataclasses.dataclass(frozen=True)
class LabelRow:
    """A line of the hospital's table.

    Attributes:
        line: Its number, for messages.
        patient: The raw id.
        day: The date of the label, None without a date column.
        cells: Columns that may travel.
    """

    line: int
    patient: str
    day: datetime.date | None
    cells: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Labels:
    """The hospital's table.

    Attributes:
        rows: In its order.
        columns: Those that travel.
        left_behind: Those that do not.
    """

    rows: tuple[LabelRow, ...]
    columns: tuple[str, ...]
    left_behind: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StudyDay:
    """A study as the join sees it: whose, when, and a name for it."""

    patient: str
    day: datetime.date | None
    uid: str


@dataclasses.dataclass(frozen=True)
class Join:
    """Which row belongs to which study.

    Attributes:
        row_of: Row of a study, by the study's UID.
        studies_without_row: UIDs.
        rows_without_study: Rows whose patient has no study, or no study left.
    """

    row_of: Mapping[str, LabelRow]
    studies_without_row: tuple[str, ...]
    rows_without_study: tuple[LabelRow, ...]


def read_labels(
    path: pathlib.Path,
    *,
    id_column: str,
    date_column: str | None = None,
    date_format: str = "%Y-%m-%d",
    id_width: int = 0,
    keep: Sequence[str] = (),
    dialect: Dialect | None = None,
) -> Labels:
    """Returns the rows of a CSV table or of a workbook's first sheet.

    Args:
        path: ``.csv`` (or other text) or ``.xlsx``.
        id_column: Column of hospital numbers, read as text.
        date_column: Column of the label's date.
        date_format: How dates are written in it.
        id_width: Restores leading zeros up to this many digits; 0 changes nothing.
        keep: Further columns that may travel.
        dialect: How a text table is written.

    Raises:
        InputError: If a column is missing, an id is empty or repeated without a date,
            or a date cannot be read; all at once, by line.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        table = _read_workbook(path)
    elif path.suffix.lower() == ".xls":
        raise InputError(f"{path}: an old workbook; save it as .xlsx or CSV in UTF-8")
    else:
        table = read_table(path, dialect=dialect)
    needed = [name for name in (id_column, date_column, *keep) if name]
    raise_all(
        [
            f"column {name!r} is missing{near_names(name, table.columns)}; the table "
            f"has {list(table.columns)}"
            for name in needed
            if name not in table.columns
        ],
        title=f"{path}",
    )
    others = [c for c in table.columns if c not in (id_column, date_column)]
    travelling = [
        c for c in others if c in keep or c in SHARED_COLUMNS or is_numeric_column(c)
    ]
    rows, problems = [], []
    for row in table.rows:
        patient = row.cells[id_column]
        if id_width and patient.isdigit():
            patient = patient.zfill(id_width)
        if not patient:
            problems.append(f"line {row.line}: {id_column} is empty")
        day = None
        if date_column:
            try:
                day = parse_day(row.cells[date_column], pattern=date_format)
            except InputError as error:
                problems.append(f"line {row.line}: {date_column}: {error}")
        cells = {name: row.cells[name] for name in travelling}
        if dialect and dialect.decimal == ",":
            # The manifest is written with points, as the design's files are.
            cells |= {
                name: cell.replace(",", ".")
                for name, cell in cells.items()
                if is_numeric_column(name)
            }
        problems += [
            f"line {row.line}: {name} holds a date, which must not travel; do not keep "
            "this column, or write days"
            for name, cell in cells.items()
            if holds_date(cell)
        ]
        rows.append(LabelRow(row.line, patient, day, cells))
    problems += _repeated(rows, dated=bool(date_column), id_column=id_column)
    raise_all(problems, title=f"{path}")
    behind = tuple(name for name in others if name not in travelling)
    return Labels(tuple(rows), tuple(travelling), behind)


def join_labels(
    rows: Sequence[LabelRow],
    *,
    studies: Sequence[StudyDay],
    max_days: int | None = None,
) -> Join:
    """Returns which row belongs to which study: one to one, the nearest in time.

    A dated row takes its patient's nearest study (ties: the earlier one); of two rows
    that would take one study the nearer has it and the other looks on. A row without a
    date takes its patient's only study, or none if there are several.

    Args:
        rows: The hospital's table.
        studies: Those found in the tree.
        max_days: Largest distance allowed; None allows any.

    Raises:
        InputError: If ids fail to meet because leading zeros were lost, or a patient
            with a dated label has a study without a date.
    """
    _refuse_lost_zeros(rows, studies=studies)
    pairs, problems = _pairs(rows, studies=studies, max_days=max_days)
    raise_all(problems, title="labels and studies")
    row_of: dict[str, LabelRow] = {}
    for _, _, uid, row in sorted(pairs, key=lambda pair: (*pair[:3], pair[3].line)):
        row_of.setdefault(uid, row)
    taken = {row.line for row in row_of.values()}
    return Join(
        row_of=row_of,
        studies_without_row=tuple(s.uid for s in studies if s.uid not in row_of),
        rows_without_study=tuple(row for row in rows if row.line not in taken),
    )


def _pairs(
    rows: Sequence[LabelRow], *, studies: Sequence[StudyDay], max_days: int | None
) -> tuple[list[tuple[int, str, str, LabelRow]], list[str]]:
    """Each row with its nearest study and their distance in days; problems."""
    by_patient = collections.defaultdict(list)
    for study in studies:
        by_patient[study.patient].append(study)
    pairs, problems = [], []
    for row in rows:
        own = by_patient.get(row.patient, [])
        if row.day is None:
            if len(own) == 1:
                pairs.append((0, "", own[0].uid, row))
            continue
        undated = [study for study in own if study.day is None]
        if undated and len(own) > 1:
            problems.append(
                f"table line {row.line}: {len(undated)} of this patient's {len(own)} "
                "studies have no StudyDate, so the nearest cannot be chosen; give the "
                "table without --date-column, or leave those studies out of the tree"
            )
            continue
        near = [
            (abs((study.day - row.day).days) if study.day else 0, str(study.day), study)
            for study in own
        ]
        for days, day, study in sorted(near, key=lambda one: one[:2])[:1]:
            if max_days is None or days <= max_days:
                pairs.append((days, day, study.uid, row))
    return pairs, problems


def _refuse_lost_zeros(
    rows: Sequence[LabelRow], *, studies: Sequence[StudyDay]
) -> None:
    known = {study.patient for study in studies}
    numbers = {int(p): p for p in known if re.fullmatch(r"[0-9]+", p)}
    lines, widths = [], set()
    for row in rows:
        if row.patient in known or not re.fullmatch(r"[0-9]+", row.patient):
            continue
        if int(row.patient) in numbers:
            lines.append(row.line)
            widths.add(len(numbers[int(row.patient)]))
    if not lines:
        return
    width = f" {widths.pop()}" if len(widths) == 1 else "=DIGITS"
    shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
    raise InputError(
        f"{len(lines)} ids of the table are those of studies but for leading zeros "
        f"(lines {shown}): a spreadsheet took them for numbers. Restore the zeros with "
        f"--id-width{width}, or format the column as text and enter the ids again"
    )


def _repeated(rows: Sequence[LabelRow], *, dated: bool, id_column: str) -> list[str]:
    lines = collections.defaultdict(list)
    for row in rows:
        if row.patient:
            lines[row.patient, row.day].append(row.line)
    kind = "one id and date" if dated else "one id"
    return [
        f"lines {', '.join(map(str, where))}: {kind} in several rows; keep one"
        + ("" if dated else f", or name the date's column beside {id_column!r}")
        for where in lines.values()
        if len(where) > 1
    ]


def _read_workbook(path: pathlib.Path) -> Table:
    import openpyxl

    if not path.exists():
        raise InputError(f"{path}: the file is missing")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises whatever zipfile and its parser do
        raise InputError(f"{path}: no workbook ({type(error).__name__})") from None
    try:
        if len(book.sheetnames) > 1:
            raise InputError(
                f"{path}: {len(book.sheetnames)} sheets; expected one, or save the one "
                "that is meant as CSV in UTF-8"
            )
        lines = [
            (number, [_cell_text(value) for value in values])
            for number, values in enumerate(
                book.worksheets[0].iter_rows(values_only=True), start=1
            )
        ]
    finally:
        book.close()
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise InputError(f"{path}: the sheet is empty; a header line was expected")
    named = [(i, name) for i, name in enumerate(lines[0][1]) if name]
    columns = tuple(name for _, name in named)
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: columns named twice: {repeated}")
    rows = tuple(
        TableRow(n, {name: c[i] if i < len(c) else "" for i, name in named})
        for n, c in lines[1:]
    )
    return Table(path, columns, rows)


def _cell_text(value: object) -> str:
    """A cell as a person would type it: 7.0 is 7, a day is 2019-03-04."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
