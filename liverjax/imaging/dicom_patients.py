"""Whose study is it: volumes of a DICOM tree grouped by patient and study.

Messages give counts, never an id, a name or a date.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
import pathlib
import re
from collections.abc import Mapping, Sequence

from liverjax.cohort.identity import parse_day
from liverjax.cohort.table_text import Dialect, read_table
from liverjax.errors import InputError, raise_all
from liverjax.imaging.series import SeriesInfo

TAG, FOLDER, TABLE, ONE = "tag", "folder", "csv", "one"
_DAY_S = 86400.0


@dataclasses.dataclass(frozen=True)
class Study:
    """The volumes of one StudyInstanceUID.

    Attributes:
        uid: StudyInstanceUID.
        patient: The raw id.
        day: StudyDate, None if absent.
        volumes: In the order of their series' numbers.
    """

    uid: str
    patient: str
    day: datetime.date | None
    volumes: tuple[SeriesInfo, ...]


def group_studies(
    series: Sequence[SeriesInfo],
    *,
    root: pathlib.Path,
    subject_from: str | None = None,
    table: Mapping[str, str] | None = None,
) -> list[Study]:
    """Returns the studies of a tree with their patients, by patient and time.

    Args:
        series: From `liverjax.imaging.series.scan`.
        root: The tree.
        subject_from: ``tag`` (PatientID, as it is), ``folder`` (the first folder below
            the root; the root's own name for files in it), ``csv`` (``table``), ``one``
            (the whole tree is one patient), or None for PatientID, refused when empty
            or the same in several studies.
        table: Id by folder, relative to the root; the longest match counts.

    Raises:
        InputError: If patients cannot be told apart; all at once.
    """
    groups = collections.defaultdict(list)
    for info in series:
        groups[info.study_uid].append(info)
    problems = []
    if "" in groups:
        problems.append(
            f"{len(groups.pop(''))} series have no StudyInstanceUID; anonymise "
            "the tree with a tool that keeps UIDs consistent"
        )
    studies, mixed, unknown = [], 0, 0
    for uid, volumes in groups.items():
        patients = {
            _patient(info, root=root, subject_from=subject_from, table=table)
            for info in volumes
        }
        mixed += len(patients) > 1
        unknown += patients == {None}
        days = {info.study_date for info in volumes} - {""}
        try:
            day = parse_day(min(days)) if days else None
        except InputError:
            day = None
        studies.append(Study(uid, min(map(_text, patients)), day, tuple(volumes)))
    if mixed:
        problems.append(
            f"{mixed} studies belong to several patients by their "
            f"{'PatientID' if subject_from in (None, TAG) else subject_from}; choose "
            "another --subject-from, or mend the tree"
        )
    if unknown:
        problems.append(f"{unknown} studies lie in no folder of the --subject-table")
    problems += _patient_problems(studies, subject_from=subject_from)
    raise_all(problems, title="patients of the tree")
    studies.sort(key=lambda study: (study.patient, *_moment(study)))
    return studies


def read_subject_table(
    path: pathlib.Path, *, dialect: Dialect | None = None
) -> dict[str, str]:
    """Returns patient ids by folder, from a table with the columns folder and id.

    Raises:
        InputError: If a column is missing, a cell empty, or a folder named twice.
    """
    table = read_table(path, dialect=dialect)
    if not {"folder", "id"} <= set(table.columns):
        raise InputError(f"{path}: expected the columns folder and id")
    problems, found = [], {}
    for row in table.rows:
        folder = row.cells["folder"].replace("\\", "/").strip("/")
        if not folder or not row.cells["id"]:
            problems.append(f"line {row.line}: folder or id is empty")
        elif folder in found:
            problems.append(f"line {row.line}: a folder that was named before")
        else:
            found[folder] = row.cells["id"]
    raise_all(problems, title=f"{path}")
    return found


def seconds_since_first(volumes: Sequence[SeriesInfo]) -> list[float]:
    """Returns each volume's start after the study's first, NaN where unknown.

    One clock serves all: the acquisition's, if every volume has it, else that of the
    content, else that of the series. A study over midnight is read as one.

    Args:
        volumes: Of one study.
    """
    for name in ("acquisition_time", "content_time", "series_time"):
        clock = [_clock_s(_time_of(info, name)) for info in volumes]
        if volumes and not any(math.isnan(value) for value in clock):
            break
    else:
        clock = [_clock_s(info.acquisition_time) for info in volumes]
    known = [value for value in clock if not math.isnan(value)]
    if known and max(known) - min(known) > _DAY_S / 2:
        clock = [v + _DAY_S if v < _DAY_S / 2 else v for v in clock]
        known = [value for value in clock if not math.isnan(value)]
    return [value - min(known) if known else math.nan for value in clock]


def _time_of(info: SeriesInfo, name: str) -> str:
    times = {
        "acquisition_time": info.acquisition_time,
        "content_time": info.content_time,
        "series_time": info.series_time,
    }
    return times[name]


def _clock_s(text: str) -> float:
    """Seconds of the day in HHMMSS.f, alone or behind a date."""
    match = re.fullmatch(r"(?:\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)(?:[+-]\d+)?", text)
    if not match:
        return math.nan
    hours, minutes, seconds = (float(part) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def _moment(study: Study) -> tuple[str, str, str]:
    times = [info.study_time for info in study.volumes if info.study_time]
    return str(study.day or ""), min(times, default=""), study.uid


def _text(patient: str | None) -> str:
    return patient or ""


def _patient(
    info: SeriesInfo,
    *,
    root: pathlib.Path,
    subject_from: str | None,
    table: Mapping[str, str] | None,
) -> str | None:
    if subject_from == ONE:
        return ONE
    if subject_from in (None, TAG):
        return info.patient_id.strip()
    if root.is_file() or not info.paths:
        return root.stem
    folder = info.paths[0].parent.relative_to(root)
    if subject_from == FOLDER:
        return folder.parts[0] if folder.parts else root.resolve().name
    parts = folder.parts
    for length in range(len(parts), 0, -1):
        found = (table or {}).get("/".join(parts[:length]))
        if found is not None:
            return found
    return None


def _patient_problems(
    studies: Sequence[Study], *, subject_from: str | None
) -> list[str]:
    ids = [study.patient for study in studies]
    mend = (
        "name another source with --subject-from folder (a folder a patient below the "
        "input) or --subject-from csv --subject-table FILE (columns folder, id)"
    )
    problems = []
    empty = ids.count("")
    if empty and subject_from in (None, TAG):
        problems.append(
            f"{empty} of {len(ids)} studies have no PatientID, so their patients "
            f"cannot be told apart; {mend}"
        )
    elif len(ids) > 1 and len(set(ids)) == 1 and subject_from is None:
        problems.append(
            f"all {len(ids)} studies have the same PatientID; if they are one "
            f"patient's say so with --subject-from one, otherwise {mend}"
        )
    numbers = collections.defaultdict(set)
    for one in ids:
        if one.isascii() and one.isdigit():
            numbers[int(one)].add(one)
    alike = sum(len(names) > 1 for names in numbers.values())
    if alike:
        problems.append(
            f"{alike} patients have ids with and without leading zeros and would "
            "become two subjects each; use --subject-from csv to name them alike"
        )
    return problems
