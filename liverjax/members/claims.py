"""One attempt at a time: a claim file that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import threading
from collections.abc import Iterator

from liverjax.errors import InputError

# Where locks belong to a process and not to an open file (NFS), they do not keep two
# threads of one process apart.
_held: set[pathlib.Path] = set()
_guard = threading.Lock()


class Claimed(InputError):
    """Somebody else works on it right now."""


@contextlib.contextmanager
def claim(path: pathlib.Path) -> Iterator[None]:
    """Holds a claim file while the block runs.

    The claim is a lock on the open file, which the system gives up when its process
    ends in whatever way: a claim file left behind by a dead process holds nobody up.

    Args:
        path: The file; it stays, and says who holds or held it.

    Raises:
        Claimed: If another process or thread holds it; the text names it.
        InputError: If the storage knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.resolve()
    with _guard:
        if place in _held:
            raise Claimed(f"{path}: being worked on by another thread of this process")
        _held.add(place)
    try:
        with place.open("a+", encoding="utf-8") as file:
            _lock(file.fileno(), path=path)
            holder = {"host": socket.gethostname(), "process": os.getpid()}
            file.truncate(0)
            file.write(json.dumps(holder) + "\n")
            file.flush()
            yield
    finally:
        with _guard:
            _held.discard(place)


def _lock(handle: int, *, path: pathlib.Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text(encoding="utf-8").strip()
        raise Claimed(
            f"{path}: being worked on by {holder or 'another process'}; wait for it, "
            "stop it, or train other members"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked ({error}); put the run folder on storage that "
            "supports file locks"
        ) from None
