"""One network over many processes: what they agree on, and whose files count.

All processes make the same calls in the same order. Only three things may differ from
host to host, and are settled here: what lies on its disks, its clock, and who was asked
to stop. The first process's files are the run's; the others write theirs, which are
the same, into a folder that goes when they end.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pathlib
import platform
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from liverjax.errors import InputError
from liverjax.members.member import Member, folder_of
from liverjax.members.stopping import Stop
from liverjax.train import checkpoint
from liverjax.train.standing import CHECKPOINT

LOOK_S = 1.0
SHARED_S = 20.0  # for a new file to be seen by all; CPU collectives wait for 30 s
TELL_S = 60.0

# How a lost process looks to the others, before the runtime itself ends them.
LOST = ("Gloo", "NCCL", "distributed service", "Connection closed", "heartbeat")

_log = logging.getLogger(__name__)


class SharedStop(Stop):
    """A wish to stop that all processes read together, whoever was asked."""

    agreed = False

    def is_set(self) -> bool:
        """Whether any process was asked; all call it at the same places."""
        if not self.agreed:
            asked = self.signal or int(super().is_set())
            most = int(multihost_utils.process_allgather(np.int32(asked)).max())
            if most:
                self.agreed, self.signal = True, most
        return self.agreed


def agree(value: int) -> int:
    """Returns the first process's value to all."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def least(value: int) -> int:
    """Returns the smallest of the processes' values to all."""
    return int(multihost_utils.process_allgather(np.int32(value)).min())


def processes_here() -> int:
    """Returns how many of the joined processes run on this process's host."""
    mine = _digest(platform.node())
    every = multihost_utils.process_allgather(mine)  # (processes, bytes)
    return int((every == mine).all(-1).sum())


def check_same(facts: Mapping[str, str]) -> None:
    """Stops all processes if one sees other files than the rest.

    Args:
        facts: What must be the same everywhere: a hash by name.

    Raises:
        InputError: In every process, naming the fact, both hashes and who has which.
    """
    mine = np.stack([_digest(value) for value in facts.values()])
    # (processes, facts, bytes)
    every = multihost_utils.process_allgather(mine)
    for number, name in enumerate(facts):
        hashes = [row[number].tobytes().hex()[:12] for row in every]
        other = next((i for i, found in enumerate(hashes) if found != hashes[0]), None)
        if other is not None:
            raise InputError(
                f"{name}: not the same on all hosts (hash {hashes[0]}... seen by "
                f"process 0, {hashes[other]}... by process {other}); give all of them "
                "the same files, best on storage that they share"
            )


def check_shared(folder: pathlib.Path) -> None:
    """Stops all processes if one does not see what the first writes into the folder.

    Raises:
        InputError: In every process, naming those that do not.
    """
    mine = np.frombuffer(secrets.token_bytes(8), np.uint8)
    # A name that no host has asked for before: nothing of it is cached.
    token = np.asarray(multihost_utils.broadcast_one_to_all(mine)).tobytes().hex()
    path = folder / f"seen-{token}"
    if jax.process_index() == 0:
        path.touch()
    until = time.monotonic() + SHARED_S
    while not path.exists() and time.monotonic() < until:
        time.sleep(LOOK_S)
    seen = multihost_utils.process_allgather(np.int32(path.exists())).ravel()
    if jax.process_index() == 0:
        path.unlink()
    if not seen.all():
        raise InputError(
            f"{folder}: not seen by the processes {np.flatnonzero(seen == 0).tolist()};"
            " put --workdir on storage that all of them share"
        )


def wait_for(path: pathlib.Path) -> None:
    """Returns when the first process has written a file that the others start from."""
    told = time.monotonic()
    while not path.exists():
        time.sleep(LOOK_S)
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            _log.info("waiting for process 0 to write %s", path)


@contextlib.contextmanager
def home_of(run_folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives the folder this process keeps its members' files in.

    The first process's is the run folder; another's is temporary.
    """
    if jax.process_index() == 0:
        yield run_folder
        return
    with tempfile.TemporaryDirectory(prefix="liverjax-") as folder:
        yield pathlib.Path(folder)


def follow(run_folder: pathlib.Path, *, home: pathlib.Path, member: Member) -> None:
    """Gives every process the checkpoint that a member goes on from.

    Copies it from the run folder to another process's home, and returns in none before
    all have it.

    Raises:
        InputError: If they do not see the same one.
    """
    if jax.process_count() == 1:
        return
    source = folder_of(run_folder, member) / CHECKPOINT
    own = folder_of(home, member) / CHECKPOINT
    if own != source and source.exists():
        shutil.copytree(source, own)
    check_same({f"{member.id}: the checkpoint": checkpoint.newest(own)})


@contextlib.contextmanager
def lost_process_is_told() -> Iterator[None]:
    """Turns what the runtime says of a dead process into one sentence.

    Raises:
        InputError: Where another process ended or cannot be reached.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else ""
        if isinstance(error, InputError) or not any(word in first for word in LOST):
            raise
        raise InputError(
            "another process of this run ended or cannot be reached; its own log says "
            f"why. The same command goes on from the last checkpoint ({first})"
        ) from error


def _digest(text: str) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
