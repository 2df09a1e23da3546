"""Converts published weights: ``python -m liverjax.weights --help``."""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
from collections.abc import Sequence

from liverjax.weights.convert import FAMILIES, convert, sizes_of
from liverjax.weights.naming import WeightsError, flatten
from liverjax.weights.read import read
from liverjax.weights.sources import SOURCES, Source, download
from liverjax.weights.store import Meta, save


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the converted file was written, 1 on a foreseen error."""
    flags = _parser().parse_args(arguments)
    path = pathlib.Path(flags.out) / f"{flags.model}.safetensors"
    try:
        file = download(flags.model) if flags.download else pathlib.Path(flags.source)
        variables = convert(flags.model, read(file))
        meta = _meta(flags, file)
        save(variables, path, meta=meta)
    except (WeightsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    flat = flatten(variables)
    count = sum(a.size for key, a in flat.items() if key.startswith("params/"))
    print(f"{path}: {flags.model}, {count:,} parameters, from {file}")
    if not sizes_of(flags.model, flat).num_outputs:
        print("no last layer in it: a study starts one anew")
    print(f"input, of [0, 1]: mean {meta.input_mean}, deviation {meta.input_std}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m liverjax.weights",
        description="Published weights to Flax variables (OUT/MODEL.safetensors).",
    )
    parser.add_argument("--model", required=True, choices=sorted(FAMILIES))
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--source", help="a .safetensors or .pth file on this machine")
    origin.add_argument(
        "--download",
        action="store_true",
        help="fetch from the publisher's repository: "
        + ", ".join(f"{name} {s.repository}" for name, s in SOURCES.items()),
    )
    for what, meant in (("mean", "subtracted from"), ("std", "then dividing")):
        parser.add_argument(
            f"--input-{what}",
            type=float,
            nargs="+",
            metavar="NUMBER",
            help=f"a number a channel, {meant} images in [0, 1]; if absent, those of "
            "the published weights, or ImageNet's",
        )
    parser.add_argument("--out", required=True, help="folder of converted weights")
    return parser


def _meta(flags: argparse.Namespace, file: pathlib.Path) -> Meta:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    published = SOURCES.get(flags.model, Source(repository="", licence=""))
    mean = tuple(flags.input_mean or published.input_mean)
    std = tuple(flags.input_std or published.input_std)
    if len(mean) != len(std) or min(std) <= 0:
        raise WeightsError(
            "--input-mean and --input-std must be as many, deviations above 0; got "
            f"{mean} and {std}"
        )
    origin = f"{published.repository}/{published.file}" if flags.download else file.name
    return Meta(
        model=flags.model,
        input_mean=mean,
        input_std=std,
        origin=f"{origin} sha256:{digest}",
        licence=published.licence if flags.download else "",
    )


if __name__ == "__main__":
    sys.exit(main())
