"""From prepared examinations to a cohort's files: parts, then shards and tables."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort import files, records
from liverjax.cohort.examination import Examination, Exclusion
from liverjax.cohort.schema import (
    INDEX_COLUMNS,
    STATUS_COLUMNS,
    ArraySpec,
    Recipe,
    Shard,
    write_header,
)

# A shard ends with the record that reaches this: bytes depend on the records alone.
SHARD_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Part:
    """One examination after preparation, as its part file holds it.

    Attributes:
        status: ``ok``, ``warning`` or ``failed``.
        findings: Code and sentence of each.
        arrays: ``(n, *spec.shape)`` by name; empty for a failed one.
        index: A mapping a record: `INDEX_COLUMNS` without record, subject and visit.
        values: Further columns of ``examinations.csv``.
        measures: Further columns of ``status.csv``.
        picture: A PNG to judge the preparation by; empty for none.
    """

    status: str
    findings: tuple[tuple[str, str], ...]
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    index: tuple[Mapping[str, Any], ...] = ()
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    picture: bytes = b""


def write_part(path: pathlib.Path, part: Part) -> None:
    """Writes a part atomically, as an uncompressed ``.npz`` without pickles."""
    facts = dataclasses.asdict(dataclasses.replace(part, arrays={}, picture=b""))
    del facts["arrays"], facts["picture"]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        _facts=np.frombuffer(json.dumps(facts, default=_plain).encode(), np.uint8),
        _picture=np.frombuffer(part.picture, np.uint8),
        **part.arrays,
    )
    files.write_bytes(path, buffer.getvalue())


def read_part(path: pathlib.Path) -> Part:
    """Returns what `write_part` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(stored["_facts"].tobytes())
        facts["findings"] = tuple((code, text) for code, text in facts["findings"])
        facts["index"] = tuple(facts["index"])
        arrays = {name: stored[name] for name in stored.files if name[0] != "_"}
        return Part(**facts, arrays=arrays, picture=stored["_picture"].tobytes())


def assemble(
    out: pathlib.Path,
    *,
    recipe: Recipe,
    examinations: Sequence[Examination],
    parts: Sequence[pathlib.Path],
    excluded: Sequence[Exclusion],
    columns: Sequence[str],
    inputs: Mapping[str, str],
    versions: Mapping[str, str],
) -> dict[str, int]:
    """Writes shards, tables, pictures and, last, ``cohort.json``; returns the counts.

    Args:
        out: The cohort's folder.
        recipe: Of the preparation.
        examinations: In the order of the manifest.
        parts: The part file of each.
        excluded: Rows of the manifest that were left out.
        columns: The manifest's columns that travel into ``examinations.csv``.
        inputs: SHA-256 of what was read.
        versions: Tools that the bytes depend on.
    """
    rows: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    status: list[dict[str, Any]] = []
    for examination, path in zip(examinations, parts, strict=True):
        part = read_part(path)
        status.append(_status_row(examination, part))
        if part.picture:
            picture = out / "qc" / picture_name(examination)
            files.write_bytes(picture, part.picture)
        if part.status == "failed":
            continue
        key = {"subject": examination.subject, "visit": examination.visit}
        first = len(index)
        for number, row in enumerate(part.index, start=first):
            index.append({"record": number} | key | dict(row))
        rows.append(
            {**key, "set": examination.set, "site": examination.site}
            | {name: examination.cells.get(name, "") for name in columns}
            | dict(part.values)
            | {"first_record": first, "last_record": len(index) - 1}
        )
    status += [_excluded_row(one) for one in excluded]
    counts = {name: sum(row["status"] == name for row in status) for name in _STATUSES}
    counts |= {"examinations": len(rows), "records": len(index)}
    counts["subjects"] = len({row["subject"] for row in rows})
    _write_table(out / "qc" / "status.csv", status, first=STATUS_COLUMNS)
    _write_table(out / "examinations.csv", rows, first=("subject", "visit"))
    files.write_csv(out / "index.csv", index, columns=INDEX_COLUMNS)
    if not rows:
        return counts
    specs = recipe.arrays()
    shards = _write_shards(
        out, _records(parts, specs=specs), sizes=_shard_sizes(len(index), specs=specs)
    )
    write_header(
        out,
        recipe=recipe,
        shards=shards,
        inputs=dict(inputs),
        counts=counts,
        versions=dict(versions),
    )
    return counts


def picture_name(examination: Examination) -> str:
    """Returns the file name of an examination's picture in ``qc/``."""
    return f"{examination.subject}-{examination.visit}.png"


_STATUSES = ("ok", "warning", "failed", "excluded")


def _records(
    parts: Iterable[pathlib.Path], *, specs: Sequence[ArraySpec]
) -> Iterator[bytes]:
    for path in parts:
        arrays = read_part(path).arrays
        for number in range(len(next(iter(arrays.values()), ()))):
            one = {name: array[number] for name, array in arrays.items()}
            yield records.encode(one, specs=specs)


def _shard_sizes(count: int, *, specs: Sequence[ArraySpec]) -> list[int]:
    size = max(1, SHARD_BYTES // sum(spec.nbytes for spec in specs))
    return [min(size, count - start) for start in range(0, count, size)]


def _write_shards(
    out: pathlib.Path, encoded: Iterator[bytes], *, sizes: Sequence[int]
) -> tuple[Shard, ...]:
    return tuple(
        records.write_shard(
            out / f"shards-{number:05d}-of-{len(sizes):05d}.array_record",
            (next(encoded) for _ in range(size)),
        )
        for number, size in enumerate(sizes)
    )


def _status_row(examination: Examination, part: Part) -> dict[str, Any]:
    return _who(examination) | {
        "status": part.status,
        "codes": ";".join(code for code, _ in part.findings),
        "reasons": " | ".join(text for _, text in part.findings),
        **part.measures,
    }


def _excluded_row(one: Exclusion) -> dict[str, Any]:
    reason = {"status": "excluded", "codes": one.code, "reasons": one.reason}
    return _who(one.examination) | reason


def _who(examination: Examination) -> dict[str, Any]:
    return {
        "subject": examination.subject,
        "visit": examination.visit,
        "set": examination.set,
        "site": examination.site,
    }


def _write_table(
    path: pathlib.Path, rows: Sequence[Mapping[str, Any]], *, first: Sequence[str]
) -> None:
    further = dict.fromkeys(name for row in rows for name in row)
    files.write_csv(path, rows, columns=list(dict.fromkeys([*first, *further])))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()
