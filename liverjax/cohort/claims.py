"""One attempt at a time: a claim file that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from liverjax.errors import InputError

LOOK_S = 1.0

_log = logging.getLogger(__name__)

# Where locks belong to a process and not to an open file (NFS), they do not keep two
# threads of one process apart.
_held: set[pathlib.Path] = set()
_guard = threading.Lock()


class Claimed(InputError):
    """Somebody else works on it right now."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim that is held.

    Attributes:
        path: The file.
        token: What only this holder wrote into it.
    """

    path: pathlib.Path
    token: str

    def check(self) -> None:
        """Raises if the claim was lost: to be called before files are written.

        Storage over a network gives up the lock of a host that it has not heard of for
        a while; when that host is back it does not learn of it by itself.

        Raises:
            Claimed: If another process holds the claim now.
        """
        text = self.path.read_text(encoding="utf-8")
        if self.token not in text:
            raise Claimed(
                f"{self.path}: was taken over by {text.strip()} while this process "
                "could not be heard of; nothing more is written here"
            )


@contextlib.contextmanager
def claim(path: pathlib.Path) -> Iterator[Claim]:
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
            token = secrets.token_hex(8)
            holder = {"host": socket.gethostname(), "process": os.getpid()}
            file.truncate(0)
            file.write(json.dumps(holder | {"token": token}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            yield Claim(path, token)
    finally:
        with _guard:
            _held.discard(place)


@contextlib.contextmanager
def claim_in_turn(path: pathlib.Path) -> Iterator[Claim]:
    """Holds a claim file while the block runs; waits while somebody else does.

    Args:
        path: The file; it stays.

    Raises:
        InputError: If the storage knows no locks.
    """
    with contextlib.ExitStack() as stack:
        told = False
        while True:
            try:
                held = stack.enter_context(claim(path))
                break
            except Claimed as error:
                if not told:
                    _log.info("waiting: %s", error)
                told = True
                time.sleep(LOOK_S)
        yield held


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
