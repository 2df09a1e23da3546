"""The rows of a synthetic cohort: which patients, what is asked, what is true."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from liverjax.phantom.options import ITEMS, PHASES, SIGNS
from liverjax.phantom.subject import EXTERNAL_FROM, Subject, SubjectTruth

Row = dict[str, object]

MANIFEST_COLUMNS = (
    "subject",
    "visit",
    "set",
    "site",
    *PHASES,
    "mask_venous",
    "spleen_mask_venous",
    "child_pugh",
    *(f"{item}_points" for item in ITEMS),
    "sex",
    "age_years",
    "weight_kg",
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of a cohort: which patient, which scan, under which name.

    `same_as` names the row of which this one is a copy (`kind` is `duplicate`) or
    another scan (`renamed`) of the same patient.
    """

    name: str
    index: int
    scan: int = 0
    kind: str = ""
    same_as: str = ""


def list_entries(
    *, subjects: int, external: int = 0, duplicates: int = 0, renamed: int = 0
) -> list[Entry]:
    """The rows of a cohort.

    Args:
        subjects: Number of patients of the set `train`.
        external: Number of patients of the set `external`.
        duplicates: The first so many patients appear once more, under another name,
            with byte-identical images.
        renamed: The first so many patients appear once more, under another name, with
            another scan of the same body.

    Raises:
        ValueError: For an impossible number.
    """
    if subjects < 1 or external < 0:
        raise ValueError(
            f"{subjects} subjects and {external} external ones were asked for, "
            "expected at least 1 and at least 0"
        )
    for word, number in (("duplicates", duplicates), ("renamed", renamed)):
        if not 0 <= number <= subjects:
            raise ValueError(
                f"{number} {word} were asked for, expected 0 to {subjects}, the number "
                "of subjects"
            )
    entries = [Entry(f"p{i + 1:04d}", i) for i in range(subjects)]
    entries += [
        Entry(f"d{i + 1:04d}", i, kind="duplicate", same_as=f"p{i + 1:04d}")
        for i in range(duplicates)
    ]
    entries += [
        Entry(f"r{i + 1:04d}", i, scan=1, kind="renamed", same_as=f"p{i + 1:04d}")
        for i in range(renamed)
    ]
    far = range(EXTERNAL_FROM, EXTERNAL_FROM + external)
    return entries + [Entry(f"e{i - EXTERNAL_FROM + 1:04d}", i) for i in far]


def manifest_row(entry: Entry, truth: SubjectTruth, *, files: Mapping[str, str]) -> Row:
    """One examination's row of `manifest.csv`.

    Args:
        entry: Its name.
        truth: What is true of it.
        files: Paths by column, relative to the manifest; a missing phase is left out.
    """
    return {
        "subject": entry.name,
        "visit": 1,
        "set": "external" if truth.external else "train",
        "site": truth.scan.site,
        **{phase: files.get(phase, "") for phase in PHASES},
        "mask_venous": files["mask_venous"],
        "spleen_mask_venous": files["spleen_mask_venous"],
        "child_pugh": truth.child_pugh,
        **{
            f"{item}_points": int(points)
            for item, points in zip(ITEMS, truth.items, strict=True)
        },
        "sex": truth.patient.sex,
        "age_years": truth.patient.age_years,
        "weight_kg": truth.patient.weight_kg,
    }


def truth_row(entry: Entry, subject: Subject) -> Row:
    """One examination's row of `truth.csv`; matrices are JSON, fixed to moving LPS.

    Args:
        entry: Its name.
        subject: What is true of it, and its images, of which volumes are measured.
    """
    truth = subject.truth
    severity, venous = truth.severity, subject.phases["venous"]
    voxel_ml = float(np.prod(venous.grid.spacing_mm)) / 1000.0
    row: Row = {
        "subject": entry.name,
        "visit": 1,
        "index": entry.index,
        "patient_id": "",
        "same_as": entry.same_as,
        "kind": entry.kind,
        "latent": float(severity.latent[0]),
        "true_child_pugh": int(severity.score[0]),
        **{
            f"true_{item}_points": int(points)
            for item, points in zip(ITEMS, severity.items[0], strict=True)
        },
        **{
            f"strength_{sign}": float(value)
            for sign, value in zip(SIGNS, severity.strengths[0], strict=True)
        },
        **{f"sign_{k}": v for k, v in dataclasses.asdict(truth.signs).items()},
        "liver_ml": float(venous.liver.sum() * voxel_ml),
        "spleen_ml": float(venous.spleen.sum() * voxel_ml),
        "lesions": 0,
    }
    for phase in PHASES[:2]:
        motion = truth.motions[phase]
        row[f"matrix_{phase}"] = json.dumps(motion.matrix.tolist())
        row[f"liver_shift_{phase}_mm"] = json.dumps(list(motion.liver_shift_mm))
        row[f"liver_displacement_{phase}_mm"] = float(
            np.linalg.norm(motion.liver_shift_mm)
        )
        row[f"bend_{phase}_mm"] = motion.bend_mm
        row[f"bend_phase_{phase}"] = json.dumps(list(motion.bend_phase))
    for field in ("offset_hu", "noise_hu", "kernel", "ring_hu", "is_cut", "missing"):
        row[f"scan_{field}"] = getattr(truth.scan, field)
    for name, value in dataclasses.asdict(truth.patient).items():
        row[f"patient_{name}"] = (
            json.dumps(value) if isinstance(value, tuple) else value
        )
    return row
