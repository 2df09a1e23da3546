"""A wish to stop, by signal: work saves and returns instead of dying."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

_log = logging.getLogger(__name__)


class Stop(threading.Event):
    """Set when work should save and return.

    Attributes:
        signal: Number of the signal that asked for it, or None.
    """

    signal: int | None = None


@contextlib.contextmanager
def stop_on_signals(kind: type[Stop] = Stop) -> Iterator[Stop]:
    """Gives an event that SIGTERM and SIGINT set; a second one acts as usual.

    Only the main thread may handle signals; in any other the event is never set here.

    Args:
        kind: Of the event.
    """
    stop = kind()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: Any) -> None:
        del frame
        name = signal.Signals(number)
        stop.signal = number
        stop.set()
        signal.signal(number, before[name])
        _log.warning("%s: saving and stopping", name.name)

    before = {n: signal.signal(n, note) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
