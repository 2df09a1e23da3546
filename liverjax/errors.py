"""The one kind of error that a user can mend, and how command lines show it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence


class InputError(ValueError):
    """Input that cannot be used; the text says what, where, and how to mend it.

    Command lines show the text alone (exit status 1); everything else that is raised is
    a defect of this software and keeps its traceback.
    """


def raise_all(problems: Sequence[str], *, title: str) -> None:
    """Raises one `InputError` that lists every problem; does nothing for none.

    Args:
        problems: A sentence each.
        title: What was being read, for the first line.

    Raises:
        InputError: If ``problems`` is not empty.
    """
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  - {problem}" for problem in problems)
    raise InputError(f"{title}: {count}\n{lines}")


def run_command(main: Callable[[], int | None]) -> None:
    """Runs a command line and exits: foreseen errors as plain text with status 1."""
    # Libraries install handlers of their own while they load, and say much.
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True
    )
    for library in ("jax", "absl", "orbax"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        status = main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        status = 130
    sys.exit(status or 0)
