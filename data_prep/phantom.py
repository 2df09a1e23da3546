"""Command line: write a synthetic cohort with known truth.

python -m data_prep.phantom --out DIR --subjects N --seed S
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

from liverjax.phantom.cohort import write_cohort
from liverjax.phantom.options import SIZES, PhantomOptions, size_options
from liverjax.phantom.tables import list_entries

_LISTS = ("signs", "sites", "shortcut_sites")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's values; every knob of `PhantomOptions` is a flag.

    Args:
        arguments: Words of the command line; the process' own if left out.
    """
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.phantom", description="Write a synthetic cohort."
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, metavar="DIR")
    parser.add_argument("--subjects", required=True, type=int, metavar="N")
    parser.add_argument("--seed", required=True, type=int, metavar="S")
    parser.add_argument(
        "--size",
        default="demo",
        help=f"{', '.join(SIZES)}, or PIXELS,SLICES,PIXEL_MM,SLICE_MM",
    )
    parser.add_argument(
        "--external",
        type=int,
        default=0,
        metavar="N",
        help="subjects of a second set, from another site",
    )
    parser.add_argument(
        "--duplicates",
        type=int,
        default=0,
        metavar="N",
        help="subjects that come again under another name, with the same images",
    )
    parser.add_argument(
        "--renamed",
        type=int,
        default=0,
        metavar="N",
        help="subjects that come again under another name, with another scan",
    )
    parser.add_argument(
        "--as-dicom",
        action="store_true",
        help="write a DICOM tree and its table of labels besides",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes; the bytes are the same for any number",
    )
    knobs = parser.add_argument_group("knobs (see liverjax/phantom/options.py)")
    size_fields = size_options("demo")
    for field in dataclasses.fields(PhantomOptions):
        if field.name in size_fields:
            continue
        flag = "--" + field.name.replace("_", "-")
        default: Any = field.default
        if field.name == "different_grids":
            knobs.add_argument("--same-grids", action="store_true")
        elif field.name in _LISTS:
            knobs.add_argument(flag, default=",".join(default), metavar="A,B,...")
        elif field.name == "class_shares":
            knobs.add_argument(flag, default="76,120,63", metavar="A,B,C")
        else:
            knobs.add_argument(flag, type=type(default), default=default)
    return parser.parse_args(arguments)


def options_from(arguments: argparse.Namespace) -> PhantomOptions:
    """The knobs that a command line sets.

    Args:
        arguments: From `parse_arguments`.

    Raises:
        ValueError: For an impossible value.
    """
    values: dict[str, Any] = dict(size_options(arguments.size))
    for field in dataclasses.fields(PhantomOptions):
        name = field.name
        if name in values:
            continue
        if name == "different_grids":
            values[name] = not arguments.same_grids
            continue
        value = vars(arguments)[name]
        if name in _LISTS:
            value = tuple(word for word in value.split(",") if word)
        elif name == "class_shares":
            value = _numbers(value)
        values[name] = value
    return PhantomOptions(**values)


def main(arguments: list[str] | None = None) -> int:
    """Write the cohort that the command line asks for; returns the exit status.

    Args:
        arguments: Words of the command line; the process' own if left out.
    """
    given = parse_arguments(arguments)
    started = time.monotonic()
    try:
        entries = list_entries(
            subjects=given.subjects,
            external=given.external,
            duplicates=given.duplicates,
            renamed=given.renamed,
        )
        write_cohort(
            given.out,
            options=options_from(given),
            entries=entries,
            seed=given.seed,
            as_dicom=given.as_dicom,
            workers=given.workers,
            progress=_show,
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    facts = json.loads((given.out / "phantom.json").read_text())
    ceiling = facts["ceiling"]
    print(
        f"wrote {given.out / 'manifest.csv'} in {time.monotonic() - started:.0f} s; no "
        f"reader of these images can expect more than tau {ceiling['kendall_tau']:.2f} "
        f"and accuracy {ceiling['accuracy']:.2f}"
    )
    return 0


def _show(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rphantom: {done} of {total} examinations", end=end, flush=True)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ValueError(
            f"class-shares is {text!r}, expected three numbers such as 76,120,63"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
