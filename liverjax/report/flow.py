"""The way of examinations from the manifest to the verdict, in numbers that add up."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from liverjax.cohort.files import Row
from liverjax.report.run import RunFolder
from liverjax.report.words import counted


@dataclasses.dataclass(frozen=True)
class FlowStep:
    """A box of the flow, and what is lost below it.

    Attributes:
        label: What is counted here.
        count: How many.
        lost: Reasons with their counts, on the way to the next box.
        source: The file that says so.
    """

    label: str
    count: int
    lost: tuple[tuple[str, int], ...]
    source: str


@dataclasses.dataclass(frozen=True)
class Flow:
    """The boxes from top to bottom.

    Attributes:
        steps: Boxes.
        gaps: A sentence for each place where the numbers do not add up.
        missing: Prepared examinations without a prediction.
    """

    steps: tuple[FlowStep, ...]
    gaps: tuple[str, ...]
    missing: tuple[str, ...]


def count_flow(run: RunFolder) -> Flow:
    """Returns the flow of a run's examinations, as far as its files tell it."""
    steps: list[FlowStep] = []
    if run.exclusions:
        steps.append(_patients(run))
    if run.status:
        steps.append(_manifest(run.status))
    rows, judged = run.predictions, np.isfinite(run.predictions.target)
    missing = tuple(run.metrics["input"]["prepared_without_prediction"])
    if run.examinations:
        count = len(run.examinations)
        lost = (("without a prediction", len(missing)),) if missing else ()
        steps.append(FlowStep("Prepared examinations", count, lost, "examinations.csv"))
    reasons = {
        f"another visit of the subject ({run.metrics.get('visits')})": len(
            rows.left_out
        ),
        "without a truth: not judged": int((~judged).sum()),
    }
    counts = collections.Counter(rows.set[judged].tolist())
    by_set = ", ".join(f"{count} in {name}" for name, count in counts.items())
    steps += [
        FlowStep(
            "Examinations with a prediction",
            len(rows) + len(rows.left_out),
            tuple((reason, count) for reason, count in reasons.items() if count),
            "predictions.csv",
        ),
        FlowStep(
            f"Judged examinations ({by_set})", int(judged.sum()), (), "predictions.csv"
        ),
    ]
    return Flow(tuple(steps), _gaps(steps, run), missing)


def _patients(run: RunFolder) -> FlowStep:
    reasons: collections.Counter[str] = collections.Counter()
    for row in run.exclusions:
        step = ": ".join(part for part in (row.get("step"), row.get("reason")) if part)
        reasons[step] += int(row.get("n") or 1)
    inside = {row["subject"] for row in run.status or run.examinations}
    inside = inside or set(run.predictions.subject.tolist())
    return FlowStep(
        "Patients considered",
        len(inside) + reasons.total(),
        tuple(reasons.items()),
        "exclusions.csv",
    )


def _manifest(status: Sequence[Row]) -> FlowStep:
    lost: collections.Counter[str] = collections.Counter()
    for row in status:
        if row["status"] in ("failed", "excluded"):
            codes = row.get("codes", "") or "no code"
            lost[f"{row['status']}: {codes.replace(';', ', ')}"] += 1
    subjects = len({row["subject"] for row in status})
    return FlowStep(
        f"Examinations in the manifest ({counted(subjects, 'patient')})",
        len(status),
        tuple(sorted(lost.items())),
        "status.csv",
    )


def _gaps(steps: Sequence[FlowStep], run: RunFolder) -> tuple[str, ...]:
    gaps = []
    for above, below in itertools.pairwise(steps):
        left = above.count - sum(count for _, count in above.lost)
        expected = below.count
        if above.source == "exclusions.csv":
            expected = len({r["subject"] for r in run.status or run.examinations})
            expected = expected or len(set(run.predictions.subject.tolist()))
        if left != expected:
            gaps.append(
                f"{above.label} less what was lost are {left}, but "
                f"{below.label.lower()} are {expected} ({above.source}, "
                f"{below.source})."
            )
    return tuple(gaps)
