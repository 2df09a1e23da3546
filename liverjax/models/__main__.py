"""Prints the table of networks: ``python -m liverjax.models --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from liverjax.models import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the table was printed, 1 for an unknown name."""
    parser = argparse.ArgumentParser(
        prog="python -m liverjax.models",
        description="Networks: parameters, work, memory and published weights.",
    )
    parser.add_argument("names", nargs="*", help="some of them; all if none is given")
    parser.add_argument("--markdown", action="store_true", help="as docs/models.md")
    flags = parser.parse_args(arguments)
    if not flags.names and sys.stderr.isatty():
        print("all networks take a minute; docs/models.md has them", file=sys.stderr)
    try:
        rows = table.rows(flags.names)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = table.as_markdown(rows) if flags.markdown else table.as_text(rows)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
