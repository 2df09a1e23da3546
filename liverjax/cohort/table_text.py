"""Tables as people write them: every cell as text, nothing guessed.

Spreadsheets leave byte-order marks, semicolons, decimal commas, ``<0.3`` and other
encodings behind. Each is either read by an option that names it (`Dialect`) or refused
with the option in the message.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import difflib
import io
import math
import pathlib
import re
from collections.abc import Mapping, Sequence

from liverjax.errors import InputError, raise_all

# A unit at the end of a name makes a column a column of numbers.
UNITS = (
    "10e9_per_l",
    "u_per_l",
    "ukat_per_l",
    "g_per_l",
    "g_per_dl",
    "mg_per_l",
    "mg_per_dl",
    "umol_per_l",
    "mmol_per_l",
    "ng_per_ml",
    "ug_per_l",
    "iu_per_ml",
    "kpa",
    "years",
    "days",
    "day",
    "kg",
    "cm",
    "mm",
    "ml",
    "hu",
    "percent",
    "fraction",
    "points",
)
NUMBERS_WITHOUT_UNIT = ("inr", "calendar_year", "event")
# Names that need a unit: a bare "bilirubin" may be one of two scales 17 fold apart.
UNITS_OF = {
    "age": ("years",),
    "height": ("cm",),
    "weight": ("kg",),
    "platelets": ("10e9_per_l",),
    "bilirubin": ("umol_per_l", "mg_per_dl"),
    "albumin": ("g_per_l", "g_per_dl"),
    "creatinine": ("umol_per_l", "mg_per_dl"),
    "sodium": ("mmol_per_l",),
    "ast": ("u_per_l", "ukat_per_l"),
    "alt": ("u_per_l", "ukat_per_l"),
    "ggt": ("u_per_l", "ukat_per_l"),
    "afp": ("ng_per_ml", "iu_per_ml"),
}
_MISSING_WORDS = ("na", "n/a", "nan", "none", "null", "-", "--", "?", ".", "missing")
_FEW_LINES = 3  # that have one mistake and are told one by one
_VALUES = re.compile(r"'[^']*'|\d+(\.\d+)?")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b")
# Signs that part cells: what they are called, and how an option names them.
_SIGNS = {
    ";": ("semicolons", ";"),
    "\t": ("tabs", "tab"),
    "|": ("vertical bars", "|"),
    ",": ("commas", ","),
}
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a table is written, where it is not comma, point and UTF-8.

    Attributes:
        delimiter: The character between cells (``--delimiter``), ``tab`` for a tab.
        decimal: ``.`` or ``,`` inside numbers (``--decimal``).
        encoding: Name of the text encoding (``--encoding``), such as ``cp1252``.
    """

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.delimiter in ("tab", r"\t"):
            object.__setattr__(self, "delimiter", "\t")
        wrong = []
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            wrong.append(f"--delimiter={self.delimiter!r}: expected one character")
        if self.decimal not in (".", ","):
            wrong.append(f"--decimal={self.decimal!r}: expected '.' or ','")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            wrong.append(f"--encoding={self.encoding!r}: Python knows no such encoding")
        if wrong:
            raise InputError("; ".join(wrong))


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One line of a table: its number in the file and its cells by column."""

    line: int
    cells: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: Where it was read.
        columns: Names in order.
        rows: Lines that hold anything at all.
    """

    path: pathlib.Path
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def read_table(path: pathlib.Path, *, dialect: Dialect | None = None) -> Table:
    """Returns a table's cells as text, stripped of outer blanks.

    A UTF-8 byte-order mark says what it is and is taken off; rows without any content
    and nameless columns without any content are left out.

    Args:
        path: The file.
        dialect: How it is written; comma, point and UTF-8 if not given.

    Raises:
        InputError: If it is missing, another kind of file, in another encoding or with
            another delimiter, has no header, or has lines of another length.
    """
    dialect = dialect or Dialect()
    text = _decode(path, dialect=dialect)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect.delimiter, strict=True
    )
    lines: list[tuple[int, list[str]]] = []
    last = 0
    try:
        for cells in reader:
            lines.append((last + 1, [cell.strip() for cell in cells]))
            last = reader.line_num
    except csv.Error as error:
        raise InputError(
            f"{path}, line {last + 1}: not readable as a table ({error}); look for a "
            'quotation mark that is not closed or not doubled ("")'
        ) from None
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise InputError(f"{path}: the file is empty; a header line was expected")
    columns = lines[0][1]
    refuse_other_delimiter(path, columns=columns, delimiter=dialect.delimiter)
    body = lines[1:]
    width = max((i + 1 for i, name in enumerate(columns) if name), default=0)
    _check_shape(path, columns=columns, width=width, body=body)
    named = [(i, name) for i, name in enumerate(columns[:width]) if name]
    rows = tuple(
        TableRow(number, {name: cells[i] for i, name in named})
        for number, cells in body
    )
    return Table(path, tuple(name for _, name in named), rows)


def refuse_other_delimiter(
    path: pathlib.Path, *, columns: Sequence[str], delimiter: str = ","
) -> None:
    """Refuses a table whose header was split at one sign and written with another.

    Spreadsheets of countries with decimal commas save "CSV" with semicolons.

    Args:
        path: The table, for the message.
        columns: Its header, split at ``delimiter``.
        delimiter: The sign it was split at.

    Raises:
        InputError: Names the sign that was found and how to mend it.
    """
    if re.match(r"sep=", columns[0], re.IGNORECASE):
        raise InputError(
            f"{path}: the first line, 'sep=', is a word to a spreadsheet and no "
            "header; remove the line"
        )
    for sign, (name, option) in _SIGNS.items():
        # One cell, or a first cell of several names: commas inside a name beside it.
        found = sum(column.count(sign) for column in columns)
        if sign == delimiter or sign not in columns[0] or found < len(columns):
            continue
        read = _SIGNS.get(delimiter, (repr(delimiter),))[0]
        raise InputError(
            f"{path}: saved with {name}, read with {read}; save it with commas and "
            f"decimal points, or read it with --delimiter '{option}' (and --decimal "
            "',' if its numbers have a decimal comma), which data_prep and "
            "liverjax.report have. For liverjax.main such a manifest may be prepared "
            "first: data_prep.build with these options, then --config.cohort.path"
        )


def number(cell: str, *, decimal: str = ".") -> float:
    """Returns the number in a cell, NaN for an empty one.

    Args:
        cell: Its text.
        decimal: ``.`` or ``,``.

    Raises:
        InputError: If it is anything but one finite number; the text says how to mend
            it and does not repeat the cell.
    """
    cell = cell.strip()
    if not cell:
        return math.nan
    if cell.lower() in _MISSING_WORDS:
        raise InputError("not a number; leave the cell of a missing value empty")
    if cell[0] in "<>≤≥":
        raise InputError(
            "a bound, not a number; write the number that your protocol puts in its "
            "place, or leave the cell empty"
        )
    if cell.endswith("%"):
        raise InputError(
            "a number with a percent sign; write the number alone, and a probability "
            "as a fraction of 1"
        )
    other = "," if decimal == "." else "."
    if other in cell:
        if re.fullmatch(rf"[-+]?\d+{re.escape(other)}\d+", cell):
            raise InputError(
                f"a number with {other!r}; if that is the decimal sign, read the table "
                f"with --decimal '{other}', or save it with {decimal!r}"
            )
        raise InputError(f"not a number with the decimal sign {decimal!r}")
    # float() alone would also take "1_000" and "infinity".
    if not re.fullmatch(
        r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", cell.replace(decimal, ".")
    ):
        raise InputError("not a number; units belong into the column's name")
    value = float(cell.replace(decimal, "."))
    if not math.isfinite(value):
        raise InputError("not a finite number")
    return value


def is_missing_word(cell: str) -> bool:
    """Returns whether a cell holds a word for a missing value, such as ``NA``."""
    return cell.strip().lower() in _MISSING_WORDS


def group_lines(said: Sequence[tuple[int, str, str]]) -> list[str]:
    """Returns a sentence a line of a table, and one for many lines with one mistake.

    Args:
        said: Number of the line, whose it is (such as `` (subject 'a')``) and what is
            wrong. Texts that differ in numbers or quoted cells alone are one mistake.
    """
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for line, whose, text in said:
        groups.setdefault(_VALUES.sub("", text), []).append((line, whose, text))
    found = []
    for those in groups.values():
        first = [f"line {line}{whose}: {text}" for line, whose, text in those]
        if len(those) <= _FEW_LINES:
            found += first
            continue
        more = ", ".join(str(line) for line, _, _ in those[1:_FEW_LINES])
        rest = len(those) - _FEW_LINES
        found.append(f"{first[0]}; likewise lines {more} and {rest} more")
    return found


def is_numeric_column(name: str) -> bool:
    """Returns whether a column's name says that it holds numbers."""
    if name in NUMBERS_WITHOUT_UNIT:
        return True
    return any(name.endswith(f"_{unit}") for unit in UNITS)


def missing_units(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Returns columns whose scale cannot be known, each with the names to choose from.

    ``bilirubin`` gives ``("bilirubin_umol_per_l", "bilirubin_mg_per_dl")``.
    """
    return {
        column: tuple(f"{column.lower()}_{unit}" for unit in UNITS_OF[column.lower()])
        for column in columns
        if column.lower() in UNITS_OF
    }


def holds_date(cell: str) -> bool:
    """Returns whether a cell looks like a calendar date."""
    return bool(_DATE.match(cell))


def near_names(name: str, known: Sequence[str], *, also: Sequence[str] = ()) -> str:
    """Returns `` (is it 'x'?)`` for the known names that resemble a name, or nothing.

    Args:
        name: What was expected.
        known: What is there.
        also: Other words for the name, compared without case.
    """
    words = {word.lower() for word in (name, *also)}
    near = [one for one in known if one.lower() in words]
    near = near or difflib.get_close_matches(name, known, n=2, cutoff=0.7)
    return f" (is it {' or '.join(map(repr, near))}?)" if near else ""


def _decode(path: pathlib.Path, *, dialect: Dialect) -> str:
    if path.is_dir():
        raise InputError(f"{path}: a folder; the path of a CSV table was expected")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: the file is missing") from None
    if content.startswith(b"PK\x03\x04"):
        raise InputError(f"{path}: a workbook; save the sheet as CSV in UTF-8")
    encoding = dialect.encoding
    content = content.removeprefix(codecs.BOM_UTF8) if encoding == "utf-8" else content
    if encoding == "utf-8":
        for mark, name in _MARKS:
            if content.startswith(mark):
                raise InputError(
                    f"{path}: written as {name.upper()}; read it with --encoding "
                    f"{name}, or save it as UTF-8"
                )
        if b"\0" in content:
            raise InputError(
                f"{path}: zero bytes inside, so it is no UTF-8 text; if it is UTF-16 "
                "without a mark, read it with --encoding utf-16-le"
            )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: byte {content[error.start]:#04x} is not "
            f"{encoding.upper()}; read the table with the option --encoding (usual in "
            "western Europe: cp1252 or latin-1), or save it as UTF-8"
        ) from None


def _check_shape(
    path: pathlib.Path,
    *,
    columns: Sequence[str],
    width: int,
    body: Sequence[tuple[int, Sequence[str]]],
) -> None:
    problems = []
    names = [name for name in columns if name]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        problems.append(f"columns named twice: {repeated}; rename or remove one")
    for place, name in enumerate(columns[:width]):
        if not name and any(len(c) > place and c[place] for _, c in body):
            problems.append(
                f"column {place + 1} has cells but no name; name it, or leave it out "
                "(row numbers; of pandas by index=False)"
            )
    unlike = []
    for line, cells in body:
        # One cell too many is a comma too many, even where the last is empty.
        surplus = len(cells) > len(columns) or any(cells[width:])
        if len(cells) < width or surplus:
            text = (
                f"{len(cells)} cells under {len(columns)} columns; a decimal comma or "
                "a comma in a text must stand in quotation marks"
            )
            unlike.append((line, "", text))
    raise_all([*problems, *group_lines(unlike)], title=f"{path}")
