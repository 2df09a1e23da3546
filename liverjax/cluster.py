"""A Dask cluster that exists already: how to reach it, and what it must see.

Start one with ``launch/local.sh``, ``launch/slurm/cluster.sbatch`` or your own means: a
worker process a GPU, one thread each, on storage that all of them see.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

from liverjax.cohort import files
from liverjax.errors import InputError

PATIENCE_S = 120.0  # for the scheduler, and for the first worker

Client = Any  # distributed.Client, imported only where a cluster is asked for

_log = logging.getLogger(__name__)


def connect(scheduler: str) -> Client:
    """Returns a client of a running cluster.

    Args:
        scheduler: Its address (``tcp://host:8786``), or the file that it wrote.

    Raises:
        InputError: If ``distributed`` is not installed, the cluster does not answer, or
            a worker has several threads.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            "--scheduler needs the package distributed: pip install 'liverjax[cluster]'"
        ) from None
    where = (
        {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    )
    try:
        client = distributed.Client(**where, timeout=PATIENCE_S)
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--scheduler={scheduler}: no cluster answers there ({error}); start one "
            "(launch/local.sh, launch/slurm/cluster.sbatch) or mend the address"
        ) from None
    workers = client.scheduler_info(n_workers=-1)["workers"]
    threads = {worker: about["nthreads"] for worker, about in workers.items()}
    if set(threads.values()) != {1}:
        raise InputError(
            f"--scheduler={scheduler}: workers have threads {sorted(threads.values())};"
            " start each with --nthreads 1, so that a process has one device and one "
            "network at a time"
        )
    _log.info("cluster: %d workers at %s", len(threads), client.scheduler.address)
    return client


def check_storage(client: Client, path: pathlib.Path) -> None:
    """Checks that every worker sees a file as it is here.

    Args:
        client: Of `connect`.
        path: A file of the run or study folder, absolute.

    Raises:
        InputError: If one does not, naming the workers.
    """
    here = files.sha256_file(path)
    seen = client.run(_hash, str(path))
    other = sorted(worker for worker, there in seen.items() if there != here)
    if other:
        raise InputError(
            f"{path}: not seen, or seen otherwise, by the workers {other}; put the "
            "folder on storage that this process and every worker share"
        )


@contextlib.contextmanager
def loss_is_told(client: Client) -> Iterator[None]:
    """Turns what `distributed` says of a lost scheduler into one sentence.

    Raises:
        InputError: If the work in hand is no longer known to the cluster.
    """
    address = client.scheduler.address
    try:
        yield
    except (concurrent.futures.CancelledError, ConnectionError) as error:
        # The client tries to reach it until this process ends, and tells of that end.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"the cluster's scheduler at {address} is lost, or it dropped the work "
            f"({first}); its own log says why. Start a cluster and give the same "
            "command: it goes on with what is done"
        ) from None


def has_workers(client: Client) -> bool:
    """Returns whether any worker is left; logs a warning if not."""
    try:
        left = client.nthreads()
    except OSError:
        return True  # not known; the loss of the scheduler is told elsewhere
    if not left:
        _log.warning(
            "warning: no worker is left at %s; the work waits until one is started "
            "(the others' own logs say why they ended)",
            client.scheduler.address,
        )
    return bool(left)


def _hash(path: str) -> str:
    file = pathlib.Path(path)
    return files.sha256_file(file) if file.is_file() else ""
