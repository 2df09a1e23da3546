"""The tables of a DICOM import: what may be shared, and nothing else."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from liverjax.cohort import files
from liverjax.cohort.identity import subject_key
from liverjax.cohort.labels_table import Join, Labels
from liverjax.imaging import header_words
from liverjax.imaging.dicom_convert import Outcome, Volume
from liverjax.imaging.findings import FAILED, Finding
from liverjax.imaging.roles import PHASES

SERIES_COLUMNS = (
    "subject",
    "visit",
    "series",  # key of the SeriesInstanceUID
    "number",
    "part",  # which volume, where a series holds several
    "modality",
    "role",
    "confidence",
    "evidence",
    "file",
    "vendor",
    "model",
    "field_strength_t",
    "kernel",
    "kvp",
    "agent",
    "seconds_since_first",
    "slices",
    "rows",
    "columns",
    "slice_spacing_mm",
    "row_spacing_mm",
    "column_spacing_mm",
    "thickness_mm",
    "findings",
)
FINDING_COLUMNS = ("subject", "visit", "series", "code", "level", "decision", "text")
_KEYS = ("subject", "visit", "set", "site")


@dataclasses.dataclass(frozen=True)
class Tables:
    """What the tables are made of.

    Attributes:
        outcomes: Of all converted studies.
        usable: Those with a volume: a row of the manifest each.
        join: Which label belongs to which study.
        index_days: Day from which a patient's days count, by raw id.
        labels: The hospital's table, None without one.
        site: Name of the site.
        target: Column for a label that is still to be filled in.
        roles: Roles that ``roles.toml`` adds.
        salt: For the keys of series.
    """

    outcomes: Sequence[Outcome]
    usable: Sequence[Outcome]
    join: Join
    index_days: Mapping[str, datetime.date]
    labels: Labels | None
    site: str
    target: str
    roles: tuple[str, ...]
    salt: bytes

    def write(
        self,
        out: pathlib.Path,
        *,
        loose: Sequence[Finding],
        left_out: Sequence[str],
    ) -> None:
        """Writes all tables, the manifest last.

        Args:
            out: The import's folder.
            loose: Findings of files that belong to no volume.
            left_out: Reason of each study and patient that has no row.
        """
        files.write_csv(out / "series.csv", self.series_rows(), columns=SERIES_COLUMNS)
        files.write_csv(
            out / "findings.csv", self.finding_rows(loose), columns=FINDING_COLUMNS
        )
        counts = collections.Counter(left_out)
        rows = [
            {"step": "import", "reason": reason, "n": counts[reason]}
            for reason in sorted(counts)
        ]
        if rows:
            files.write_csv(
                out / "exclusions.csv", rows, columns=("step", "reason", "n")
            )
        columns, manifest = self.manifest_rows()
        files.write_csv(out / "manifest.csv", manifest, columns=columns)

    def series_rows(self) -> list[dict[str, Any]]:
        """Returns the rows of ``series.csv``."""
        rows = []
        for outcome in self.outcomes:
            for volume, suggestion in zip(
                outcome.volumes, outcome.roles.suggestions, strict=True
            ):
                row = self._volume_row(outcome, volume)
                row["role"] = suggestion.role
                row["confidence"] = suggestion.confidence
                row["evidence"] = "; ".join(suggestion.evidence)
                rows.append(row)
        return rows

    def finding_rows(self, loose: Sequence[Finding]) -> list[dict[str, Any]]:
        """Returns the rows of ``findings.csv``: what, and what was decided."""
        rows = [_finding_row({}, finding) for finding in loose]
        for outcome in self.outcomes:
            key = {"subject": outcome.job.subject, "visit": outcome.job.visit}
            rows += [_finding_row(key, finding) for finding in outcome.findings]
            for volume in outcome.volumes:
                own = key | {"series": self._series_key(volume)}
                rows += [_finding_row(own, finding) for finding in volume.findings]
        return rows

    def manifest_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Returns columns and rows of ``manifest.csv``."""
        roles = list(dict.fromkeys((*PHASES, *self.roles)))
        masks = [f"mask_{role}" for role in roles]
        found = sorted({name for outcome in self.usable for name in outcome.masks})
        masks += [name for name in found if name not in masks]
        carried = (
            [c for c in self.labels.columns if c not in _KEYS] if self.labels else []
        )
        if self.target and self.target not in carried:
            carried.append(self.target)
        days = ["exam_day", "reference_day"]
        columns = [*_KEYS, *roles, *masks, *carried, *days]
        return columns, [self._manifest_row(outcome) for outcome in self.usable]

    def _manifest_row(self, outcome: Outcome) -> dict[str, Any]:
        job = outcome.job
        row: dict[str, Any] = {"set": "train", "site": self.site}
        label = self.join.row_of.get(job.study.uid)
        if label is not None:
            row |= {name: cell for name, cell in label.cells.items() if cell}
        row |= {"subject": job.subject, "visit": job.visit}
        for role, index in outcome.roles.chosen.items():
            row[role] = outcome.volumes[index].file
        row |= outcome.masks
        index_day = self.index_days.get(job.study.patient)
        if index_day is not None and job.study.day is not None:
            row["exam_day"] = (job.study.day - index_day).days
            if label is not None and label.day is not None:
                row["reference_day"] = (label.day - index_day).days
        return row

    def _volume_row(self, outcome: Outcome, volume: Volume) -> dict[str, Any]:
        info = volume.info
        slices, rows, columns = info.shape
        between, row_mm, column_mm = (_rounded(value, 4) for value in info.spacing_mm)
        return {
            "subject": outcome.job.subject,
            "visit": outcome.job.visit,
            "series": self._series_key(volume),
            "number": info.number if info.number.isdigit() else "",
            "part": volume.part,
            "modality": info.modality if info.modality in ("CT", "MR") else "other",
            "file": volume.file,
            "vendor": header_words.vendor(info.manufacturer),
            "model": header_words.model(info.model),
            "field_strength_t": info.field_strength_t,
            "kernel": header_words.kernel(info.kernel),
            "kvp": info.kvp,
            "agent": header_words.contrast_agent(info.contrast_agent),
            "seconds_since_first": _rounded(volume.seconds, 1),
            "slices": slices,
            "rows": rows,
            "columns": columns,
            "slice_spacing_mm": between,
            "row_spacing_mm": row_mm,
            "column_spacing_mm": column_mm,
            "thickness_mm": info.thickness_mm,
            "findings": " ".join(sorted({f.code for f in volume.findings})),
        }

    def _series_key(self, volume: Volume) -> str:
        return subject_key(volume.info.uid, salt=self.salt)


def open_roles(outcome: Outcome) -> list[str]:
    """Returns what a person must still decide about a study, by its key.

    Volumes are named as in ``series.csv``: by series number and part.
    """
    name = f"{outcome.job.subject} visit {outcome.job.visit}"
    lines = [
        f"{name}: {role} is {' or '.join(_volume_name(outcome, i) for i in indices)}"
        for role, indices in outcome.roles.candidates.items()
    ]
    decided = {*outcome.roles.chosen, *outcome.roles.candidates}
    unclear = [
        _volume_name(outcome, index)
        for index, (volume, suggestion) in enumerate(
            zip(outcome.volumes, outcome.roles.suggestions, strict=True)
        )
        if volume.file and not suggestion.role
    ]
    if unclear and not set(PHASES) <= decided:
        lines.append(f"{name}: no role is clear for {', '.join(unclear)}")
    return lines


def _volume_name(outcome: Outcome, index: int) -> str:
    volume = outcome.volumes[index]
    number = volume.info.number if volume.info.number.isdigit() else "without number"
    several = [v for v in outcome.volumes if v.info.uid == volume.info.uid]
    part = f" part {volume.part}" if len(several) > 1 else ""
    return f"series {number}{part} ({volume.file})"


def _finding_row(key: Mapping[str, Any], finding: Finding) -> dict[str, Any]:
    allowed = finding.text.endswith("(allowed by name)")
    decision = "left out" if finding.level == FAILED else "kept"
    return {
        **key,
        "code": finding.code,
        "level": finding.level,
        "decision": "kept, allowed by name" if allowed else decision,
        "text": finding.text,
    }


def _rounded(value: float, digits: int) -> float:
    return value if math.isnan(value) else round(value, digits)
