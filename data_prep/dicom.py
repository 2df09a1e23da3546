r"""A DICOM tree becomes volumes, tables and a manifest to complete.

    python -m data_prep.dicom --input TREE --out DIR \
        [--labels TABLE.csv --id-column NAME --date-column NAME]

Finds series, checks their geometry, joins the hospital's table by the raw id, keys
patients by salted hash, suggests which series is which phase, and writes NIfTI volumes.
Everything but DIR/local may be shared; DIR/local (crosswalk, salt) never.
"""

from __future__ import annotations

import argparse
import os
import pathlib
from collections.abc import Sequence

from liverjax.cohort.labels_table import Labels, read_labels
from liverjax.cohort.table_text import Dialect
from liverjax.errors import InputError, run_command
from liverjax.imaging.dicom_import import ImportOptions, Summary, import_tree
from liverjax.imaging.dicom_patients import (
    FOLDER,
    ONE,
    TABLE,
    TAG,
    read_subject_table,
)
from liverjax.imaging.role_rules import RoleRules, read_rules


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the command line's values.

    Args:
        argv: Words of the command line; the process's own if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.dicom",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder = pathlib.Path
    parser.add_argument("--input", required=True, type=folder, metavar="TREE")
    parser.add_argument("--out", required=True, type=folder, metavar="DIR")
    table = parser.add_argument_group("the hospital's table of labels")
    table.add_argument("--labels", type=folder, metavar="TABLE.csv|.xlsx")
    table.add_argument("--id-column", metavar="NAME", help="column of raw ids")
    table.add_argument("--date-column", metavar="NAME", help="date of the label")
    table.add_argument("--date-format", default="%Y-%m-%d", metavar="FORMAT")
    table.add_argument(
        "--id-width", type=int, default=0, metavar="N", help="restore leading zeros"
    )
    table.add_argument(
        "--keep-column", action="append", default=[], metavar="NAME", help="carry it"
    )
    table.add_argument("--max-days", type=int, metavar="N", help="from label to scan")
    table.add_argument("--keep-unmatched", action="store_true")
    table.add_argument("--delimiter", default=",")
    table.add_argument("--decimal", default=".", choices=(".", ","))
    table.add_argument("--encoding", default="utf-8")
    patients = parser.add_argument_group("patients")
    patients.add_argument("--subject-from", choices=(TAG, FOLDER, TABLE, ONE))
    patients.add_argument(
        "--subject-table", type=folder, metavar="FILE", help="columns folder, id"
    )
    patients.add_argument("--salt-file", type=folder, metavar="FILE")
    patients.add_argument("--site", default="", metavar="NAME")
    parser.add_argument("--roles", type=folder, metavar="roles.toml")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CODE", help="take a finding"
    )
    parser.add_argument("--all-volumes", action="store_true")
    parser.add_argument(
        "--target", default="child_pugh", help="column of the label; '' for none"
    )
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Imports and prints what was done; returns the exit status.

    Args:
        argv: Words of the command line; the process's own if left out.
    """
    given = parse_arguments(argv)
    if (given.subject_from == TABLE) != (given.subject_table is not None):
        raise InputError("--subject-from csv and --subject-table go together")
    if given.labels and not given.id_column:
        raise InputError("--labels needs --id-column, the column of raw patient ids")
    dialect = Dialect(given.delimiter, given.decimal, given.encoding)
    subjects = given.subject_table and read_subject_table(given.subject_table)
    options = ImportOptions(
        subject_from=given.subject_from,
        subject_table=subjects,
        labels=_labels(given, dialect=dialect),
        max_days=given.max_days,
        keep_unmatched=given.keep_unmatched,
        rules=read_rules(given.roles) if given.roles else RoleRules(),
        allow=tuple(given.allow),
        all_volumes=given.all_volumes,
        site=given.site,
        target=given.target,
        salt_file=given.salt_file,
        workers=given.workers,
    )
    summary = import_tree(given.input, out=given.out, options=options)
    print("\n".join(_lines(summary, out=given.out)))
    if options.labels and options.labels.left_behind:
        print(
            f"not carried: columns {', '.join(options.labels.left_behind)}; "
            "--keep-column NAME carries one"
        )
    return 0 if summary.examinations else 1


def _labels(given: argparse.Namespace, *, dialect: Dialect) -> Labels | None:
    if given.labels is None:
        return None
    return read_labels(
        given.labels,
        id_column=given.id_column,
        date_column=given.date_column,
        date_format=given.date_format,
        id_width=given.id_width,
        keep=[*given.keep_column, *filter(None, [given.target])],
        dialect=dialect,
    )


def _lines(summary: Summary, *, out: pathlib.Path) -> list[str]:
    roles = ", ".join(f"{role} {n}" for role, n in sorted(summary.roles.items()))
    lines = [
        f"{summary.patients} patients, {summary.examinations} examinations, "
        f"{summary.volumes} volumes, {summary.masks} masks in {out}",
        f"roles: {roles or 'none'} of {summary.examinations}",
    ]
    if summary.unmatched_studies is not None:
        lines.append(
            f"unmatched: {summary.unmatched_studies} studies without a label, "
            f"{summary.unmatched_rows} labels without a study (named in "
            f"{out / 'local' / 'crosswalk.csv'} only)"
        )
    lines += [f"left out: {n}: {why}" for why, n in sorted(summary.left_out.items())]
    lines += [
        f"finding: {code} ({level}): {n}"
        for (code, level), n in sorted(summary.findings.items())
    ]
    if summary.other_files:
        lines.append(f"{summary.other_files} files are no DICOM and were not read")
    if summary.open_roles:
        lines.append(
            "to decide, in a roles.toml (see liverjax/imaging/role_rules.py) or in the "
            "manifest:"
        )
        lines += [f"  {text}" for text in summary.open_roles]
    lines += [
        f"next: complete {out / 'manifest.csv'} (masks, labels), look at "
        f"{out / 'series.csv'} and {out / 'findings.csv'}, then python -m "
        "data_prep.check",
        f"never share {out / 'local'}",
    ]
    return lines


if __name__ == "__main__":
    run_command(main)
