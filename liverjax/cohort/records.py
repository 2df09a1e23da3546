"""Records and shards: the bytes of a slice, written and read by number."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from liverjax.cohort.files import sha256_file
from liverjax.cohort.schema import ArraySpec, Cohort, Shard
from liverjax.errors import InputError

# Random access by record; written bytes depend on the content alone.
_WRITER_OPTIONS = "group_size:1"
_READ_RECORDS = 256


def encode(arrays: Mapping[str, np.ndarray], *, specs: Sequence[ArraySpec]) -> bytes:
    """Returns a record's bytes: its arrays one after the other, C order.

    Raises:
        ValueError: If an array is missing, surplus, or of another shape or type.
    """
    if set(arrays) != {spec.name for spec in specs}:
        raise ValueError(
            f"arrays {sorted(arrays)} given, {[s.name for s in specs]} declared"
        )
    parts = []
    for spec in specs:
        array = arrays[spec.name]
        if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
            raise ValueError(
                f"array {spec.name}: {array.dtype}{array.shape} given, "
                f"{spec.dtype}{spec.shape} declared"
            )
        parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def decode(content: bytes, *, specs: Sequence[ArraySpec]) -> dict[str, np.ndarray]:
    """Returns a record's named arrays, read-only views of its bytes.

    Raises:
        InputError: If the number of bytes is not that of the declared arrays.
    """
    expected = sum(spec.nbytes for spec in specs)
    if len(content) != expected:
        raise InputError(f"a record of {len(content)} bytes, {expected} declared")
    arrays, start = {}, 0
    for spec in specs:
        stop = start + spec.nbytes
        flat = np.frombuffer(content[start:stop], dtype=spec.dtype)
        arrays[spec.name] = flat.reshape(spec.shape)
        start = stop
    return arrays


def write_shard(path: pathlib.Path, records: Iterable[bytes]) -> Shard:
    """Writes one ArrayRecord file and returns its entry for ``cohort.json``.

    Args:
        path: The file; an older one of that name is replaced at the end.
        records: Encoded records, in order.
    """
    from array_record.python.array_record_module import ArrayRecordWriter

    temporary = path.with_name(f".{path.name}.part")
    writer = ArrayRecordWriter(str(temporary), _WRITER_OPTIONS)
    count = 0
    for record in records:
        writer.write(record)
        count += 1
    writer.close()
    temporary.replace(path)
    return Shard(file=path.name, records=count, sha256=sha256_file(path))


def read_records(
    cohort: Cohort, *, numbers: Sequence[int] | np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns records stacked into one array a name, read in batches.

    Args:
        cohort: The opened cohort.
        numbers: Record numbers in the wanted order; None reads all, in order.

    Returns:
        Arrays of shape ``(n, *spec.shape)`` by name.

    Raises:
        InputError: If a number is out of range or a shard holds another count.
    """
    wanted = np.arange(cohort.num_records) if numbers is None else np.asarray(numbers)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= cohort.num_records):
        raise InputError(
            f"{cohort.path}: record numbers reach {wanted.max()}, the "
            f"cohort has {cohort.num_records}"
        )
    stacked = {
        spec.name: np.empty((len(wanted), *spec.shape), spec.dtype)
        for spec in cohort.arrays
    }
    first = 0
    for shard in cohort.shards:
        inside = np.flatnonzero((wanted >= first) & (wanted < first + shard.records))
        path = cohort.path / shard.file
        for places in np.split(
            inside, range(_READ_RECORDS, len(inside), _READ_RECORDS)
        ):
            contents = _read(path, wanted[places] - first, count=shard.records)
            for place, content in zip(places, contents, strict=True):
                for name, array in decode(content, specs=cohort.arrays).items():
                    stacked[name][place] = array
        first += shard.records
    return stacked


def _read(path: pathlib.Path, numbers: np.ndarray, *, count: int) -> list[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    if not len(numbers):
        return []
    reader = ArrayRecordReader(str(path))
    try:
        if reader.num_records() != count:
            raise InputError(
                f"{path}: {reader.num_records()} records, cohort.json says {count}"
            )
        return reader.read([int(number) for number in numbers])
    finally:
        reader.close()
