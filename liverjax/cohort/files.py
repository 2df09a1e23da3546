"""Files as all stages write and read them: atomic, hashed, plain."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from liverjax.cohort.table_text import refuse_other_delimiter
from liverjax.errors import InputError

Row = dict[str, str]


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all: to a temporary neighbour, then renamed.

    Args:
        path: The file; its folder is made when missing.
        content: Every byte of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        pathlib.Path(temporary).chmod(0o644)
        pathlib.Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(temporary).unlink()
        raise


def sha256_bytes(content: bytes | memoryview) -> str:
    """Returns the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: pathlib.Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> str:
    """Returns indented JSON with sorted keys; NaN and infinities become null."""
    return json.dumps(_finite(value), indent=1, sort_keys=True, ensure_ascii=False)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes `to_json` of a value atomically, with a final newline."""
    write_bytes(path, (to_json(value) + "\n").encode())


def read_json(path: pathlib.Path) -> Any:
    """Returns the value a JSON file holds.

    Raises:
        InputError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: the file is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def to_csv(rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str]) -> str:
    """Returns rows as CSV text: these columns, missing values and NaN empty.

    Floats are written with `repr`, so that reading gives the same number again.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue()


def write_csv(
    path: pathlib.Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str]
) -> None:
    """Writes `to_csv` of rows atomically."""
    write_bytes(path, to_csv(rows, columns=columns).encode())


def read_csv(path: pathlib.Path) -> tuple[list[str], list[Row]]:
    """Returns a CSV's columns and its rows as text, one dictionary a row.

    Reads what this package writes (UTF-8, comma, one header line). Tables written by
    people go through `liverjax.cohort.manifest`, which explains more.

    Raises:
        InputError: If the file is missing, is not UTF-8, has no header, was saved again
            with another delimiter, names a column twice, or has a row of another
            length.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: the file is missing") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8 CSV"
        ) from None
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    if not lines:
        raise InputError(f"{path}: the file is empty; a header line was expected")
    columns = [column.strip() for column in lines[0]]
    refuse_other_delimiter(path, columns=columns or [""])
    repeated = {column for column in columns if columns.count(column) > 1}
    if repeated:
        raise InputError(f"{path}: columns named twice: {sorted(repeated)}")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(columns):
            raise InputError(
                f"{path}, line {number}: {len(line)} cells under {len(columns)} columns"
            )
        rows.append(dict(zip(columns, line, strict=True)))
    return columns, rows


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return repr(float(value))
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, pathlib.Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _finite(value.item())
    return value
