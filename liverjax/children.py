"""Commands of this project as child processes: they load ITK, the parent jax."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from liverjax.errors import InputError

_log = logging.getLogger(__name__)


def run_child(command: Sequence[str]) -> None:
    """Runs ``python -m`` with these words, its output on standard error.

    SIGTERM ends the child first and then this process, as it would without a child.

    Raises:
        InputError: If it ends with another status than 0.
    """
    _log.info("running python -m %s", " ".join(command))
    words = [sys.executable, "-m", *command]
    with subprocess.Popen(words, stdout=sys.stderr) as child, _terminated_with(child):
        status = child.wait()
    if status:
        raise InputError(
            f"python -m {command[0]} ended with status {status} (see above)"
        )


@contextlib.contextmanager
def _terminated_with(child: subprocess.Popen) -> Iterator[None]:
    """Gives a child the SIGTERM that this process receives, and dies after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = []

    def hand_on(number: int, frame: Any) -> None:
        del frame
        asked.append(number)
        child.send_signal(number)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked:
            os.kill(os.getpid(), signal.SIGTERM)
