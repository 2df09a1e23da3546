"""Who is in a manifest: counts by class, set and site; whether folds can be made."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from liverjax.cohort.examination import Examination, Manifest
from liverjax.cohort.schema import TRAIN
from liverjax.cohort.splits import make_folds
from liverjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class FoldFindings:
    """What the folds of a study will meet.

    Attributes:
        stops: What training will stop at, and how to mend it.
        warnings: What it will not stop at.
    """

    stops: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def count_by(
    examinations: Sequence[Examination],
    *,
    column: str,
    classes: Sequence[str],
    class_of: Mapping[int, int],
) -> list[list[str]]:
    """Returns a table of subjects, examinations and classes by ``set`` or ``site``.

    Args:
        examinations: To count.
        column: ``set`` or ``site``.
        classes: Names of the task.
        class_of: Class index by line of the manifest.

    Returns:
        A header row, then a row a value (an empty site as ``(none)``), as text.
    """
    groups = collections.defaultdict(list)
    for row in examinations:
        value = row.set if column == "set" else row.site
        groups[value or "(none)"].append(row)
    table = [[column, "subjects", "examinations", *classes]]
    for name in sorted(groups, key=lambda value: (value != TRAIN, value)):
        rows = groups[name]
        counts = collections.Counter(class_of[row.line] for row in rows)
        table.append(
            [
                name,
                str(len({row.subject for row in rows})),
                str(len(rows)),
                *(str(counts[index]) for index in range(len(classes))),
            ]
        )
    return table


def flow(manifest: Manifest) -> list[str]:
    """Returns the flow of patients and examinations as sentences that add up."""
    lines = [
        f"before the manifest: {step.step}: {step.reason}: {step.count}"
        for step in manifest.before
    ]
    left = collections.Counter(one.code for one in manifest.excluded)
    total = len(manifest.examinations) + len(manifest.excluded)
    lines.append(f"in the manifest: {total} examinations")
    for code, count in sorted(left.items()):
        some = [e.examination.name for e in manifest.excluded if e.code == code]
        named = ", ".join(some[:8]) + (", ..." if count > 8 else "")
        reasons = {e.reason for e in manifest.excluded if e.code == code}
        reason = f" ({reasons.pop()})" if len(reasons) == 1 else ""
        lines.append(f"excluded, {code}{reason}: {count}: {named}")
    lines.append(f"to prepare: {len(manifest.examinations)} examinations")
    return lines


def foretell_folds(
    class_of: Mapping[str, int],
    *,
    records_of: Mapping[str, int],
    classes: Sequence[str],
    folds: int,
    select_fraction: float,
    seed: int,
    stratify: bool,
    batch_size: int,
) -> FoldFindings:
    """Returns what the folds of the set ``train`` will lack, found by making them.

    Args:
        class_of: Class index of each subject of ``train``.
        records_of: Expected records of each of them.
        classes: Names of the task.
        folds: Number of folds.
        select_fraction: As in `make_folds`.
        seed: Of the division.
        stratify: Whether classes are spread evenly.
        batch_size: Examples a step.
    """
    strata = {s: index if stratify else 0 for s, index in class_of.items()}
    try:
        made = make_folds(
            strata, folds=folds, select_fraction=select_fraction, seed=seed
        )
    except InputError as error:
        return FoldFindings((f"training will stop: {error}",))
    warnings = []
    for group in ("train", "select", "held_out"):
        lacking = collections.Counter(
            name
            for fold in made
            for index, name in enumerate(classes)
            if index not in {class_of[subject] for subject in getattr(fold, group)}
        )
        warnings += [
            f"class {name} is absent from {group} in {count} of {folds} folds"
            for name, count in lacking.items()
        ]
    fewest = min(sum(records_of.get(s, 0) for s in fold.train) for fold in made)
    stops = []
    if fewest < batch_size:
        stops.append(
            f"training will stop: a fold has about {fewest} records to train on, "
            f"fewer than train.batch_size={batch_size}; lower it or add subjects"
        )
    return FoldFindings(tuple(stops), tuple(warnings))
