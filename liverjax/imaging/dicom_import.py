"""A DICOM tree becomes volumes, tables and a manifest to complete, without patients.

What leaves: NIfTI volumes named by key and role, ``series.csv``, ``findings.csv``,
``exclusions.csv``, ``manifest.csv``. What stays: the folder ``local`` with crosswalk
and salt. No table holds a name, an id, a date, a UID, a file's name, or free text of a
header.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import logging
import multiprocessing
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from liverjax.cohort import files, identity
from liverjax.cohort.labels_table import Join, LabelRow, Labels, StudyDay, join_labels
from liverjax.errors import InputError
from liverjax.imaging import dicom_tables
from liverjax.imaging.dicom_convert import Job, Outcome, convert, quiet_readers
from liverjax.imaging.dicom_masks import MaskObject, masks_by_series
from liverjax.imaging.dicom_patients import Study, group_studies
from liverjax.imaging.findings import Finding
from liverjax.imaging.role_rules import RoleRules
from liverjax.imaging.scrubbing import Scrubber, scrubbed
from liverjax.imaging.series import Tree, scan

_log = logging.getLogger(__name__)

NOT_IN_TABLE = "no row in the table of labels"
NOT_NEAREST = "another examination is nearer to the label's date"
NO_STUDY = "no examination in the tree"
NO_VOLUME = "no CT or MR volume that can be read"


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """How a tree is imported.

    Attributes:
        subject_from: ``tag``, ``folder``, ``csv``, ``one`` or None (`group_studies`).
        subject_table: Ids by folder, for ``csv``.
        labels: The hospital's table, None without one.
        max_days: Largest distance of an examination from its label.
        keep_unmatched: Import studies without a row in the table as well.
        rules: A site's ``roles.toml``.
        allow: Codes of failed findings that are taken.
        all_volumes: Write every volume that can be read.
        site: Name of the site, written into the manifest.
        target: An empty column of the manifest for a label the table does not have.
        salt_file: Kept elsewhere, so that several imports give the same keys.
        workers: Processes.
    """

    subject_from: str | None = None
    subject_table: Mapping[str, str] | None = None
    labels: Labels | None = None
    max_days: int | None = None
    keep_unmatched: bool = False
    rules: RoleRules = dataclasses.field(default_factory=RoleRules)
    allow: tuple[str, ...] = ()
    all_volumes: bool = False
    site: str = ""
    target: str = "child_pugh"
    salt_file: pathlib.Path | None = None
    workers: int = 1


@dataclasses.dataclass(frozen=True)
class Summary:
    """What an import did, in counts.

    Attributes:
        patients: With an examination in the manifest.
        examinations: Rows of the manifest.
        volumes: Files written.
        roles: Rows of the manifest with a file, by role.
        masks: Mask files written.
        open_roles: Sentences on roles that a person must decide, by key.
        left_out: Studies by reason.
        unmatched_studies: Without a row in the table; None without a table.
        unmatched_rows: Of the table without a study; None without a table.
        findings: Count by code and level.
        other_files: Files that are no DICOM.
    """

    patients: int
    examinations: int
    volumes: int
    roles: Mapping[str, int]
    masks: int
    open_roles: tuple[str, ...]
    left_out: Mapping[str, int]
    unmatched_studies: int | None
    unmatched_rows: int | None
    findings: Mapping[tuple[str, str], int]
    other_files: int


def import_tree(
    root: pathlib.Path, *, out: pathlib.Path, options: ImportOptions
) -> Summary:
    """Converts a tree and returns what was done.

    Args:
        root: A folder with DICOM files in any order.
        out: A folder without a ``manifest.csv``.
        options: How.

    Raises:
        InputError: If the output exists, nothing was found, patients cannot be told
            apart, or labels and studies do not meet; nothing is written then.
    """
    if (out / "manifest.csv").exists():
        raise InputError(
            f"{out / 'manifest.csv'} exists and may have been completed by hand; "
            "import into another folder, or move it away"
        )
    with quiet_readers():
        tree = scan(root)
        if not tree.series:
            raise InputError(
                f"{root}: no CT or MR image among {tree.other_files} other files and "
                f"{len(tree.objects)} other DICOM objects"
            )
        masks, without = masks_by_series(tree.objects)
        studies = group_studies(
            tree.series,
            root=root,
            subject_from=options.subject_from,
            table=options.subject_table,
        )
    days = [StudyDay(study.patient, study.day, study.uid) for study in studies]
    rows = options.labels.rows if options.labels else ()
    join = join_labels(rows, studies=days, max_days=options.max_days)
    kept, left_out = _keep(studies, join=join, options=options)
    salt = identity.load_salt(options.salt_file or out / "local" / "salt")
    raw = [*(study.patient for study in studies), *(row.patient for row in rows)]
    keys = identity.subject_keys(raw, salt=salt)
    jobs = _jobs(kept, keys=keys, out=out, masks=masks, options=options)
    _log.info("%d studies to convert, of %d found", len(jobs), len(studies))
    outcomes = list(_run(jobs, workers=options.workers))
    scrub = Scrubber(root)
    outcomes = [scrubbed(outcome, scrub=scrub) for outcome in outcomes]
    loose = [dataclasses.replace(f, text=scrub(f.text)) for f in tree.findings]
    if without:
        text = f"{without} SEG or RTSTRUCT objects refer to no series and are not used"
        loose.append(Finding("mask-without-series", text))
    usable = [outcome for outcome in outcomes if _is_usable(outcome)]
    for outcome in outcomes:
        if not _is_usable(outcome):
            left_out[outcome.job.study.uid] = NO_VOLUME
    index_days = _index_days(studies)
    writer = dicom_tables.Tables(
        outcomes=outcomes,
        usable=usable,
        join=join,
        index_days=index_days,
        labels=options.labels,
        site=options.site,
        target=options.target,
        roles=tuple(options.rules.rules),
        salt=salt,
    )
    lost_rows = _lost_rows(join, studies=studies)
    writer.write(
        out, loose=loose, left_out=[*left_out.values(), *[NO_STUDY] * lost_rows]
    )
    crosswalk = _crosswalk(studies, keys=keys, jobs=jobs, join=join, left_out=left_out)
    _write_local(out / "local", crosswalk=crosswalk, scrub=scrub)
    return _summary(usable, outcomes, loose, left_out, join, tree, options=options)


def _keep(
    studies: Sequence[Study], *, join: Join, options: ImportOptions
) -> tuple[list[Study], dict[str, str]]:
    """Studies to convert, and the reason of every other by its UID."""
    if options.labels is None or options.keep_unmatched:
        return list(studies), {}
    known = {row.patient for row in options.labels.rows}
    dated = {row.patient for row in options.labels.rows if row.day is not None}
    kept, left_out = [], {}
    for study in studies:
        if study.uid in join.row_of:
            kept.append(study)
        elif study.patient not in known:
            left_out[study.uid] = NOT_IN_TABLE
        elif study.patient in dated:
            left_out[study.uid] = NOT_NEAREST
        else:
            # Several studies and a label without a date: a person must choose.
            kept.append(study)
    return kept, left_out


def _jobs(
    studies: Sequence[Study],
    *,
    keys: Mapping[str, str],
    out: pathlib.Path,
    masks: Mapping[str, tuple[MaskObject, ...]],
    options: ImportOptions,
) -> list[Job]:
    visits: collections.Counter[str] = collections.Counter()
    jobs = []
    for study in studies:
        visits[study.patient] += 1
        own = {info.uid for info in study.volumes}
        jobs.append(
            Job(
                study=study,
                subject=keys[study.patient],
                visit=visits[study.patient],
                out=out,
                rules=options.rules,
                allow=options.allow,
                masks={uid: paths for uid, paths in masks.items() if uid in own},
                all_volumes=options.all_volumes,
            )
        )
    return sorted(jobs, key=lambda job: (job.subject, job.visit))


def _run(jobs: Sequence[Job], *, workers: int) -> Iterable[Outcome]:
    if workers < 2 or len(jobs) < 2:
        results: Iterable[Outcome] = map(convert, jobs)
        yield from _with_progress(results, total=len(jobs))
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from _with_progress(pool.map(convert, jobs), total=len(jobs))


def _with_progress(outcomes: Iterable[Outcome], *, total: int) -> Iterable[Outcome]:
    for number, outcome in enumerate(outcomes, start=1):
        job = outcome.job
        _log.info("%d of %d: %s visit %d", number, total, job.subject, job.visit)
        yield outcome


def _is_usable(outcome: Outcome) -> bool:
    return any(volume.file for volume in outcome.volumes)


def _index_days(studies: Sequence[Study]) -> dict[str, Any]:
    """The day that a patient's offsets count from: their first study's."""
    first: dict[str, Any] = {}
    for study in studies:
        if study.day is not None:
            known = first.get(study.patient, study.day)
            first[study.patient] = min(known, study.day)
    return first


def _lost_rows(join: Join, *, studies: Sequence[Study]) -> int:
    """Rows of patients who have no study at all."""
    patients = {study.patient for study in studies}
    return sum(row.patient not in patients for row in join.rows_without_study)


def _crosswalk(
    studies: Sequence[Study],
    *,
    keys: Mapping[str, str],
    jobs: Sequence[Job],
    join: Join,
    left_out: Mapping[str, str],
) -> list[dict[str, Any]]:
    visit_of = {job.study.uid: job.visit for job in jobs}
    rows = []
    for study in studies:
        row: LabelRow | None = join.row_of.get(study.uid)
        accessions = {info.accession for info in study.volumes} - {""}
        rows.append(
            {
                "subject": keys[study.patient],
                "visit": visit_of.get(study.uid),
                "patient": study.patient,
                "study_uid": study.uid,
                "accession": min(accessions, default=""),
                "study_date": study.day,
                "table_line": row.line if row else None,
                "status": left_out.get(study.uid, "imported"),
            }
        )
    for row in join.rows_without_study:
        rows.append(
            {
                "subject": keys[row.patient],
                "patient": row.patient,
                "table_line": row.line,
                "status": "no examination of its own",
            }
        )
    return rows


def _write_local(
    folder: pathlib.Path, *, crosswalk: list[dict[str, Any]], scrub: Scrubber
) -> None:
    columns = [
        "subject",
        "visit",
        "patient",
        "study_uid",
        "accession",
        "study_date",
        "table_line",
        "status",
    ]
    identity.write_private(folder / "README.txt", identity.LOCAL_README)
    identity.write_private(folder / ".gitignore", "*\n")
    identity.write_private(
        folder / "crosswalk.csv", files.to_csv(crosswalk, columns=columns)
    )
    rows = [{"file": key, "path": str(path)} for path, key in scrub.files.items()]
    identity.write_private(
        folder / "files.csv", files.to_csv(rows, columns=["file", "path"])
    )


def _summary(
    usable: Sequence[Outcome],
    outcomes: Sequence[Outcome],
    loose: Sequence[Finding],
    left_out: Mapping[str, str],
    join: Join,
    tree: Tree,
    *,
    options: ImportOptions,
) -> Summary:
    counts = collections.Counter((f.code, f.level) for f in loose)
    for outcome in outcomes:
        counts.update((f.code, f.level) for f in outcome.findings)
        for volume in outcome.volumes:
            counts.update((f.code, f.level) for f in volume.findings)
    has_table = options.labels is not None
    return Summary(
        patients=len({outcome.job.subject for outcome in usable}),
        examinations=len(usable),
        volumes=sum(bool(v.file) for outcome in usable for v in outcome.volumes),
        roles=collections.Counter(role for o in usable for role in o.roles.chosen),
        masks=sum(len(outcome.masks) for outcome in usable),
        open_roles=tuple(text for o in usable for text in dicom_tables.open_roles(o)),
        left_out=collections.Counter(left_out.values()),
        unmatched_studies=len(join.studies_without_row) if has_table else None,
        unmatched_rows=len(join.rows_without_study) if has_table else None,
        findings=counts,
        other_files=tree.other_files,
    )
