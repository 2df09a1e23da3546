"""From prepared examinations to a cohort's files: parts, then shards and tables."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort import files, records
from liverjax.cohort.examination import Examination, Exclusion, Manifest
from liverjax.cohort.schema import (
    INDEX_COLUMNS,
    STATUS_COLUMNS,
    STATUSES,
    ArraySpec,
    Recipe,
    Shard,
    write_header,
)
from liverjax.errors import InputError

PARTS = ".parts"
# A shard ends with the record that reaches this: bytes depend on the records alone.
SHARD_BYTES = 64 * 2**20
_KEYS = ("subject", "visit", "set", "site")
_SPAN = ("first_record", "last_record")


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


def read_part(path: pathlib.Path, *, with_arrays: bool = False) -> Part:
    """Returns what `write_part` wrote; its arrays only when they are asked for."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(stored["_facts"].tobytes())
        facts["findings"] = tuple((code, text) for code, text in facts["findings"])
        facts["index"] = tuple(facts["index"])
        names = [name for name in stored.files if with_arrays and name[0] != "_"]
        arrays = {name: stored[name] for name in names}
        return Part(**facts, arrays=arrays, picture=stored["_picture"].tobytes())


def check_folder(out: pathlib.Path) -> None:
    """Stops when a folder holds something that is no unfinished cohort.

    Raises:
        InputError: If it does, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder for the cohort")
    if out.is_dir() and any(out.iterdir()) and not (out / PARTS).is_dir():
        raise InputError(
            f"{out}: holds something else than a cohort; choose another --out"
        )


def our_columns(recipe: Recipe) -> tuple[str, ...]:
    """Returns the columns of ``examinations.csv`` that a preparation writes.

    Volumes are empty where the scan may cut the organ; ``*_matrix`` is the rigid map
    from the reference to a phase, 12 numbers of a row-major 3x4 in LPS millimetres.
    """
    others = [name for name in recipe.channels if name != recipe.reference]
    return (
        *(f"has_{channel}" for channel in recipe.channels),
        *(f"spacing_{axis}_mm" for axis in "dhw"),
        *(f"size_{axis}" for axis in "dhw"),
        "scan_ijk_to_lps",
        "liver_volume_ml",
        "liver_touches_border",
        "spleen_volume_ml",
        "spleen_touches_border",
        "liver_coverage",
        "padded_share",
        *(f"{channel}_matrix" for channel in others),
    )


def check_columns(manifest: Manifest, *, recipe: Recipe) -> None:
    """Stops when a column of the manifest has the name of one of ours.

    Raises:
        InputError: Naming them.
    """
    ours = {*_KEYS, *_SPAN, *our_columns(recipe)}
    taken = sorted(ours.intersection(_cells(manifest)))
    if taken:
        raise InputError(
            f"{manifest.path}: the columns {', '.join(taken)} have names that the "
            "preparation writes itself; rename them"
        )


def assemble(
    out: pathlib.Path,
    *,
    recipe: Recipe,
    manifest: Manifest,
    parts: Sequence[pathlib.Path],
    inputs: Mapping[str, str],
    versions: Mapping[str, str],
    allow: Sequence[str] = (),
) -> dict[str, int]:
    """Writes shards, tables, pictures and, last, ``cohort.json``; returns the counts.

    Args:
        out: The cohort's folder; what an earlier attempt left there is removed.
        recipe: Of the preparation.
        manifest: What was asked for.
        parts: The part file of each of its examinations; at least one is not failed.
        inputs: SHA-256 of what was read.
        versions: Tools that the bytes depend on.
        allow: Codes of findings that were allowed.
    """
    rows, index, status = _tables(manifest, parts)
    _clear(out)
    for one, path in zip(manifest.examinations, parts, strict=True):
        picture = read_part(path).picture
        if picture:
            files.write_bytes(out / "qc" / picture_name(one), picture)
    counts = _write_tables(
        out, manifest, rows=rows, status=status, ours=our_columns(recipe)
    )
    files.write_csv(out / "index.csv", index, columns=INDEX_COLUMNS)
    counts["records"] = len(index)
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
        allow=tuple(allow),
    )
    return counts


def relabel(
    out: pathlib.Path, *, manifest: Manifest, inputs: Mapping[str, str]
) -> dict[str, int]:
    """Writes a complete cohort's tables anew for a manifest whose images are the same.

    A corrected label or a new clinical column does not need the images again. In the
    same order the bytes are those that a preparation from the start would give.

    Args:
        out: The cohort's folder.
        manifest: With the same examinations, images and masks; the cohort keeps its
            own order of them.
        inputs: As `assemble` wants them.

    Returns:
        The counts.
    """
    by_key = {(one.subject, str(one.visit)): one for one in manifest.examinations}
    columns, held = files.read_csv(out / "examinations.csv")
    ours = columns[columns.index(_SPAN[0]) :]
    rows = [
        _row(by_key[row["subject"], row["visit"]], {name: row[name] for name in ours})
        for row in held
    ]
    _, told = files.read_csv(out / "qc" / "status.csv")
    status = [
        {**row, **_who(by_key[row["subject"], row["visit"]])}
        for row in told
        if row["status"] != "excluded"
    ]
    counts = _write_tables(
        out, manifest, rows=rows, status=status, ours=ours[len(_SPAN) :]
    )
    header = files.read_json(out / "cohort.json")
    counts["records"] = header["counts"]["records"]
    tables = {name: files.sha256_file(out / name) for name in header["tables"]}
    header |= {"tables": tables, "inputs": dict(inputs), "counts": counts}
    files.write_json(out / "cohort.json", header)
    return counts


def picture_name(examination: Examination) -> str:
    """Returns the file name of an examination's picture in ``qc/``.

    Signs that some file system refuses are replaced, and the name's hash is added so
    that no two subjects share a file.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", examination.subject)
    if plain != examination.subject or plain.startswith(".") or len(plain) > 100:
        digest = hashlib.sha256(examination.subject.encode()).hexdigest()[:8]
        plain = f"{plain.lstrip('.')[:100]}-{digest}"
    return f"{plain}-{examination.visit}.png"


Rows = list[dict[str, Any]]


def _tables(
    manifest: Manifest, parts: Sequence[pathlib.Path]
) -> tuple[Rows, Rows, Rows]:
    """Rows of ``examinations.csv``, ``index.csv`` and ``status.csv``."""
    rows: Rows = []
    index: Rows = []
    status: Rows = []
    for one, path in zip(manifest.examinations, parts, strict=True):
        part = read_part(path)
        status.append(_status_row(one, part))
        if part.status == "failed":
            continue
        key = {"subject": one.subject, "visit": one.visit}
        first = len(index)
        for number, row in enumerate(part.index, start=first):
            index.append({"record": number} | key | dict(row))
        span = dict(zip(_SPAN, (first, len(index) - 1), strict=True))
        rows.append(_row(one, span | dict(part.values)))
    return rows, index, status


def _write_tables(
    out: pathlib.Path,
    manifest: Manifest,
    *,
    rows: Rows,
    status: Rows,
    ours: Sequence[str],
) -> dict[str, int]:
    """Writes what cells of the manifest enter; returns the counts."""
    status = [*status, *(_excluded_row(one) for one in manifest.excluded)]
    measured = list(dict.fromkeys(name for row in status for name in row))
    files.write_csv(
        out / "qc" / "status.csv",
        status,
        columns=list(dict.fromkeys([*STATUS_COLUMNS, *measured])),
    )
    files.write_csv(
        out / "examinations.csv",
        rows,
        # The manifest's cells before ours: a relabelling finds ours by the span.
        columns=[*_KEYS, *_cells(manifest), *_SPAN, *ours],
    )
    if manifest.before:
        flow = [
            {"step": s.step, "reason": s.reason, "n": s.count} for s in manifest.before
        ]
        files.write_csv(out / "exclusions.csv", flow, columns=("step", "reason", "n"))
    counts = {name: sum(row["status"] == name for row in status) for name in STATUSES}
    counts["examinations"] = len(rows)
    counts["subjects"] = len({row["subject"] for row in rows})
    return counts


def _cells(manifest: Manifest) -> list[str]:
    """Columns of the manifest that travel: labels and clinical values, no paths."""
    given = {name for one in manifest.examinations for name in one.cells}
    return [name for name in manifest.columns if name in given]


def _clear(out: pathlib.Path) -> None:
    """Removes everything but the parts: an earlier attempt's files, whole or not."""
    for path in out.iterdir():
        if path.name == PARTS:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _records(
    parts: Iterable[pathlib.Path], *, specs: Sequence[ArraySpec]
) -> Iterator[bytes]:
    for path in parts:
        arrays = read_part(path, with_arrays=True).arrays
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


def _row(one: Examination, ours: Mapping[str, Any]) -> dict[str, Any]:
    return {**_who(one), **one.cells, **ours}


def _status_row(one: Examination, part: Part) -> dict[str, Any]:
    codes = dict.fromkeys(code for code, _ in part.findings)
    return _who(one) | {
        "status": part.status,
        "codes": ";".join(codes),
        "reasons": " | ".join(text for _, text in part.findings),
        "picture": picture_name(one) if part.picture else "",
        **part.measures,
    }


def _excluded_row(one: Exclusion) -> dict[str, Any]:
    reason = {"status": "excluded", "codes": one.code, "reasons": one.reason}
    return _who(one.examination) | reason


def _who(one: Examination) -> dict[str, Any]:
    return dict(zip(_KEYS, (one.subject, one.visit, one.set, one.site), strict=True))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()
