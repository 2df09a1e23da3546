"""Commands of this project as child processes: they load ITK, the parent jax."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence

from liverjax.errors import InputError

_log = logging.getLogger(__name__)


def run_child(command: Sequence[str]) -> None:
    """Runs ``python -m`` with these words, its output on standard error.

    Raises:
        InputError: If it ends with another status than 0.
    """
    _log.info("running python -m %s", " ".join(command))
    words = [sys.executable, "-m", *command]
    status = subprocess.run(words, stdout=sys.stderr, check=False).returncode
    if status:
        raise InputError(
            f"python -m {command[0]} ended with status {status} (see above)"
        )
