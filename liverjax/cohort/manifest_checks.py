"""What can be wrong with a manifest as a whole: leaks, duplicates, lost zeros, files.

Each function returns sentences; `liverjax.cohort.manifest` raises them together.
"""

from __future__ import annotations

import collections
import difflib
import hashlib
import math
import pathlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from liverjax.cohort.examination import Examination, Exclusion, MaskSource
from liverjax.cohort.files import sha256_file
from liverjax.cohort.schema import TRAIN

# The five items of the Child-Pugh score, 1 to 3 points each.
CHILD_PUGH_ITEMS = (
    "bilirubin_points",
    "albumin_points",
    "inr_points",
    "ascites_points",
    "encephalopathy_points",
)
_MAX_SUBJECT_LETTERS = 64
_SAMPLE_BYTES = 65536


def subject_problems(subject: str) -> list[str]:
    """Returns what keeps a text from being a subject's name and part of file names."""
    if not subject:
        return ["subject is empty: expected a name for the patient"]
    if "/" in subject or "\\" in subject:
        return ["subject is a path; expected a name for the patient"]
    if re.fullmatch(r"\d+([.,]\d+)?[eE][+]?\d+", subject):
        return [
            "subject was rewritten as a number by a spreadsheet; restore it as text"
        ]
    legal = all(letter.isalnum() or letter in "._-+ " for letter in subject)
    if not legal or subject[0] in ".-+" or subject[-1] == ".":
        return [
            "subject has signs that cannot stand in a file's name; use letters, "
            "digits, '_', '-', '.' inside, or blanks"
        ]
    if len(subject) > _MAX_SUBJECT_LETTERS:
        return [f"subject has more than {_MAX_SUBJECT_LETTERS} letters; shorten it"]
    return []


def file_problems(examination: Examination) -> list[str]:
    """Returns paths of a row that are not there, are empty, or need an order."""
    problems = [
        problem
        for channel, path in examination.images.items()
        for problem in _path_problems(channel, path)
    ]
    for column, mask in _masks(examination):
        found = _path_problems(column, mask.path)
        if not found and mask.path.is_dir() and not mask.order:
            names = [entry.name.lower() for entry in mask.path.iterdir()]
            if any(name.endswith(".png") for name in names):
                found.append(
                    f"{column}={mask.path.name!r} is a folder of PNGs: expected "
                    f"{column}_order to say file_order, z_up or z_down"
                )
        problems += found
    return problems


def duplicate_problems(rows: Sequence[Examination]) -> list[str]:
    """Returns pairs of rows of one (subject, visit), and ids that differ in zeros."""
    lines = collections.defaultdict(list)
    for row in rows:
        if row.subject and row.visit:
            lines[row.subject, row.visit].append(row.line)
    problems = [
        f"lines {_list(where)}: subject {subject!r}, visit {visit} stands "
        f"{len(where)} times; one row an examination, number the visits"
        for (subject, visit), where in lines.items()
        if len(where) > 1
    ]
    numbers = collections.defaultdict(set)
    for row in rows:
        if row.subject.isascii() and row.subject.isdigit():
            numbers[int(row.subject)].add(row.subject)
    problems += [
        f"subjects {_list(map(repr, sorted(names)))} are one number with and without "
        "leading zeros: one patient under several names would leak between folds; "
        "write them alike"
        for names in numbers.values()
        if len(names) > 1
    ]
    return problems


def set_problems(rows: Sequence[Examination]) -> list[str]:
    """Returns subjects that are in two sets, and names that miss ``train`` closely."""
    sets = collections.defaultdict(set)
    for row in rows:
        sets[row.subject].add(row.set)
    problems = [
        f"subject {subject!r} is in the sets {_list(sorted(names))}: expected one, or "
        "the sets leak into each other"
        for subject, names in sets.items()
        if subject and len(names) > 1
    ]
    for name in sorted({row.set for row in rows} - {TRAIN}):
        if name.casefold() in (TRAIN, "training"):
            problems.append(
                f"set {name!r}: only {TRAIN!r}, written so, is cross-validated; rename"
            )
    return problems


def item_problems(rows: Sequence[Examination]) -> list[str]:
    """Returns rows whose five Child-Pugh items do not sum to the score.

    Reference:
        Pugh et al., British Journal of Surgery 60 (1973) 646.
    """
    problems = []
    for row in rows:
        cells = [row.cells.get(item, "") for item in CHILD_PUGH_ITEMS]
        for item, cell in zip(CHILD_PUGH_ITEMS, cells, strict=True):
            if cell and cell not in ("1", "2", "3"):
                problems.append(
                    f"line {row.line}, subject {row.subject!r}: {item}={cell!r}: "
                    "expected 1, 2 or 3 points"
                )
        score = row.cells.get("child_pugh", "")
        if not score.isdigit() or not all(cell in ("1", "2", "3") for cell in cells):
            continue
        total = sum(map(int, cells))
        if total != int(score):
            problems.append(
                f"line {row.line}, subject {row.subject!r}: child_pugh={score!r}, but "
                f"its five items sum to {total}; correct the score or the items"
            )
    return problems


def shared_path_problems(rows: Sequence[Examination]) -> list[str]:
    """Returns files that stand in two places of the table."""
    users: dict[pathlib.Path, list[tuple[int, str]]] = collections.defaultdict(list)
    for row in rows:
        for channel, path in row.images.items():
            users[path.resolve()].append((row.line, channel))
        for column, mask in _masks(row):
            place = (row.line, column)
            # One file may hold masks of several channels of one examination.
            if not any(line == row.line for line, _ in users[mask.path.resolve()]):
                users[mask.path.resolve()].append(place)
    return [
        f"{path} is named {len(places)} times ("
        + _list(f"line {line}, {column}" for line, column in places)
        + "): expected a file of its own for each"
        for path, places in users.items()
        if len(places) > 1
    ]


def same_content_problems(rows: Sequence[Examination]) -> list[str]:
    """Returns images of different names and equal content."""
    places = {
        path: f"line {row.line}, subject {row.subject!r}, {channel}={path.name!r}"
        for row in rows
        for channel, path in row.images.items()
        if path.exists()
    }
    return [
        f"equal content: {_list(places[path] for path in group)}; expected an image of "
        "its own for each"
        for group in same_content(list(places))
    ]


def same_content(paths: Sequence[pathlib.Path]) -> list[tuple[pathlib.Path, ...]]:
    """Returns groups of files, or of folders, that hold the same bytes.

    Files of another size, or with other bytes in their middle, are told apart without
    reading the rest. Names inside folders play no part.

    Args:
        paths: Files and folders that exist; the same path twice counts once.
    """
    unique = list(dict.fromkeys(path.resolve() for path in paths))
    given = {path.resolve(): path for path in reversed(paths)}
    groups = [unique]
    for key in (_sizes, _samples, _digests):
        groups = [part for group in groups for part in _split(group, key=key)]
    return [tuple(given[path] for path in group) for group in groups]


def other_visits(
    rows: Sequence[Examination], *, rule: str
) -> tuple[list[Exclusion], list[str]]:
    """Returns the examinations that a visit rule leaves out, and problems.

    Args:
        rows: Usable rows.
        rule: ``all``, ``first`` (the lowest number) or ``closest_to_reference`` (least
            distance of ``exam_day`` from ``reference_day``; ties: the lower number).
    """
    if rule == "all":
        return [], []
    visits = collections.defaultdict(list)
    for row in rows:
        visits[row.subject].append(row)
    left, problems = [], []
    for subject, group in visits.items():
        distance = {row.line: 0.0 for row in group}
        if rule == "closest_to_reference" and len(group) > 1:
            distance = {row.line: _days_apart(row) for row in group}
        lacking = [line for line, days in distance.items() if math.isnan(days)]
        if lacking:
            problems.append(
                f"lines {_list(lacking)}: subject {subject!r} has {len(group)} visits "
                "and visit_rule is closest_to_reference: expected exam_day and "
                "reference_day; fill them, or choose visit_rule first or all"
            )
            continue
        kept = min(group, key=lambda row: (distance[row.line], row.visit))
        reason = f"visit_rule {rule} takes visit {kept.visit} of this subject"
        left += [Exclusion(r, "other-visit", reason) for r in group if r is not kept]
    return left, problems


def warnings(rows: Sequence[Examination]) -> list[str]:
    """Returns what is allowed but looks wrong: lost zeros, names alike, odd sets."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    found = _lost_zeros(subjects)
    folded = collections.defaultdict(list)
    for subject in subjects:
        folded[re.sub(r"[\W_]", "", subject.casefold())].append(subject)
    found += [
        f"subjects {_list(map(repr, names))} differ only in case or punctuation; if "
        "they are one patient, give them one name (else they leak between folds)"
        for names in folded.values()
        if len(names) > 1
    ]
    names = {row.set for row in rows}
    if TRAIN not in names:
        near = difflib.get_close_matches(TRAIN, names, n=1, cutoff=0.6)
        found.append(
            f"no row is in the set {TRAIN!r}, so nothing can be trained"
            + (f" (is it {near[0]!r}?)" if near else "")
        )
    return found


def _lost_zeros(subjects: Sequence[str]) -> list[str]:
    digits = [name for name in subjects if name.isascii() and name.isdigit()]
    widths = collections.Counter(map(len, digits))
    if len(widths) < 2:
        return []
    usual, count = widths.most_common(1)[0]
    short = sorted(name for name in digits if len(name) < usual)
    padded = any(name.startswith("0") for name in digits)
    # 1 to 259 are fine; 12 among 003 and 045, or 5 digits among 7, are not.
    if not short or not (padded or (usual >= 6 and count > len(digits) / 2)):
        return []
    return [
        f"{len(short)} subjects (such as {short[0]!r}) have fewer digits than the "
        f"usual {usual}: a spreadsheet may have taken leading zeros away"
    ]


def _days_apart(row: Examination) -> float:
    try:
        return abs(
            float(row.cells.get("exam_day", "") or "nan")
            - float(row.cells.get("reference_day", "") or "nan")
        )
    except ValueError:
        return math.nan


def _masks(row: Examination) -> Iterator[tuple[str, MaskSource]]:
    for channel, mask in row.masks.items():
        yield f"mask_{channel}", mask
    for channel, mask in row.spleen_masks.items():
        yield f"spleen_mask_{channel}", mask


def _path_problems(column: str, path: pathlib.Path) -> list[str]:
    if path.is_dir():
        if not any(entry.is_file() for entry in path.iterdir()):
            return [f"{column}={path.name!r}: {path} is a folder without files"]
        return []
    if path.exists():
        empty = path.stat().st_size == 0
        return [f"{column}={path.name!r}: {path} has no bytes"] if empty else []
    hint = "paths are relative to the manifest's folder"
    if path.name.startswith("~") or "~" in path.parts:
        hint = "'~' is not expanded; write the whole path"
    elif "\\" in str(path):
        hint = "write '/' instead of '\\'"
    elif path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir()]
        near = difflib.get_close_matches(path.name, names, n=1)
        hint = f"{near[0]!r} is there" if near else hint
    return [f"{column}={path.name!r}: {path} is not there; {hint}"]


def _split(
    group: Sequence[pathlib.Path], *, key: Callable[[pathlib.Path], Hashable]
) -> list[list[pathlib.Path]]:
    parts = collections.defaultdict(list)
    for path in group:
        parts[key(path)].append(path)
    return [part for part in parts.values() if len(part) > 1]


def _content(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    return [path]


def _sizes(path: pathlib.Path) -> tuple[int, ...]:
    return tuple(sorted(file.stat().st_size for file in _content(path)))


def _samples(path: pathlib.Path) -> tuple[str, ...]:
    return tuple(sorted(_sample(file) for file in _content(path)))


def _digests(path: pathlib.Path) -> tuple[str, ...]:
    return tuple(sorted(sha256_file(file) for file in _content(path)))


def _sample(file: pathlib.Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, (file.stat().st_size - _SAMPLE_BYTES) // 2))
        return hashlib.sha256(stream.read(_SAMPLE_BYTES)).hexdigest()


def _list(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
