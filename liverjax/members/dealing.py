"""Members dealt to the workers of a cluster: the same unit, `train_member`, elsewhere.

A dead worker's member goes to another, which goes on from the last checkpoint. The
claim file keeps the two apart should the first come back.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import logging
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import jax

from liverjax import cluster, members, runtime
from liverjax.cohort import files
from liverjax.cohort.claims import Claimed
from liverjax.errors import InputError
from liverjax.members.member import Member, folder_of
from liverjax.members.run_folder import Run, open_run
from liverjax.members.seats import Seat, Seats
from liverjax.members.stopping import stop_on_signals
from liverjax.train.loop import METRICS

STOP = "STOP"  # in the run folder, while its members are asked to save and return
LOOK_S = 1.0
PROGRESS_S = 30.0

_log = logging.getLogger(__name__)


class FileStop(threading.Event):
    """A wish to stop that reaches every host: set while a file is there."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path

    def is_set(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()


def train_members(
    run_folder: pathlib.Path,
    chosen: Sequence[Member],
    *,
    client: cluster.Client,
    num_members: int,
    group: int = 1,
) -> members.Ended:
    """Trains members on a cluster's workers until all are done or a stop.

    SIGTERM and SIGINT to this process make every member save and return, wherever it
    is. The first exception does the same and is raised when all have.

    Args:
        run_folder: On storage that all workers see.
        chosen: Finished ones are passed over by the worker they come to.
        client: Of `liverjax.cluster.connect`.
        num_members: Members of the study; decides a CPU's devices, and so the bits.
        group: Devices to a member.

    Raises:
        InputError: If the folder is not shared, a member kills its workers, or the
            scheduler is lost.
    """
    run_folder = run_folder.resolve()
    workers = client.scheduler_info(n_workers=-1)["workers"]
    cluster.check_storage(client, run_folder / "config.json")
    (run_folder / STOP).unlink(missing_ok=True)
    work = functools.partial(
        train_here,
        str(run_folder),
        identity=_identity(run_folder),
        num_members=num_members,
        group=group,
        neighbours=count_by_host(workers),
    )
    tasks = {
        client.submit(work, member, pure=False, key=f"{run_folder}/{member.id}"): member
        for member in chosen
    }
    with _stopping_on_errors(run_folder / STOP), stop_on_signals() as stop:
        statuses = _gather(tasks, client=client, folder=run_folder, stop=stop)
    return members.Ended(statuses, signal=stop.signal)


def worker_facts(
    client: cluster.Client, *, num_members: int, group: int = 1
) -> dict[str, Any]:
    """Returns `liverjax.runtime.facts` of one worker, and how many there are.

    This process trains nothing, and may be without the workers' devices.

    Args:
        client: Of `liverjax.cluster.connect`.
        num_members: Members of the study.
        group: Devices to a member.

    Raises:
        InputError: If a worker has fewer devices than a group.
    """
    workers = sorted(client.nthreads())
    look = functools.partial(_facts_here, num_members, group=group)
    (found,) = client.run(look, workers=workers[:1]).values()
    return {**found, "workers": len(workers)}


def _facts_here(num_members: int, *, group: int) -> dict[str, Any]:
    return runtime.facts(runtime.start(num_members, group=group)[:1])


def _gather(
    tasks: Mapping[Any, Member],
    *,
    client: cluster.Client,
    folder: pathlib.Path,
    stop: threading.Event,
) -> dict[Member, str]:
    """Returns the members' statuses when all have ended; raises the first's error."""
    statuses, told, error = {}, time.monotonic(), None
    waiting = set(tasks)
    while waiting:
        if stop.is_set() or error:
            (folder / STOP).touch()
            if not cluster.has_workers(client):
                break  # nobody is left who could answer
        with cluster.loss_is_told(client):
            ended = _ended(waiting)
            for task in ended:
                waiting.discard(task)
                problem = task.exception() if task.status != "finished" else None
                if problem is None:
                    statuses[tasks[task]] = task.result()
                    _log.info("%s: %s", tasks[task].id, task.result())
                error = error or _told(problem, tasks[task])
        if ended or time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            left = [member for task, member in tasks.items() if task in waiting]
            _tell(folder, left, every=len(tasks))
            if waiting:
                cluster.has_workers(client)
    if error:
        raise error
    return statuses


def _ended(waiting: Set[Any]) -> Set[Any]:
    """Returns the tasks that have ended, after at most `LOOK_S`."""
    import distributed

    try:
        return distributed.wait(waiting, LOOK_S, "FIRST_COMPLETED").done
    except TimeoutError:
        return set()


@contextlib.contextmanager
def _stopping_on_errors(path: pathlib.Path) -> Iterator[None]:
    """Leaves the file that asks all workers to stop if the block raises.

    The next start takes it away; so does a block that ends.
    """
    try:
        yield
    except BaseException:
        path.touch()
        raise
    path.unlink(missing_ok=True)


def count_by_host(workers: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Returns how many workers of a cluster share each host, and so its memory.

    Args:
        workers: As the scheduler tells of them, by address.
    """
    return dict(collections.Counter(about["host"] for about in workers.values()))


def train_here(
    folder: str,
    member: Member,
    *,
    identity: str,
    num_members: int,
    group: int,
    neighbours: Mapping[str, int],
) -> str:
    """Trains one member in this worker process; returns its status.

    Waits while somebody else works on the member: a worker that was believed dead.

    Args:
        folder: Of the run.
        member: Which.
        identity: Changes with the run's files: a worker outlives a run, and another
            may stand in the same folder.
        num_members: Members of the study.
        group: Devices to a member.
        neighbours: Workers on each host, this one among them.
    """
    key = (folder, identity, num_members, group)
    if key not in _seats:
        # One run at a time; the last one's arrays go before the next one's come.
        _seats.clear()
        _seats[key] = _seat(pathlib.Path(folder), num_members, group, neighbours)
    run, seat = _seats[key]
    stop = FileStop(run.folder / STOP)
    with jax.default_device(seat.devices[0]):
        while not stop.is_set():
            try:
                return members.train_member(run, member, seat=seat, stop=stop)
            except Claimed as error:
                _log.info("%s", error)
                time.sleep(LOOK_S)
    return "stopped"


_seats: dict[tuple[str, str, int, int], tuple[Run, Seat]] = {}  # of this worker


def _identity(run_folder: pathlib.Path) -> str:
    """What a worker has read of a run: its config, folds and cohort."""
    paths = [run_folder / n for n in ("config.json", "splits.json", "cohort.json")]
    return "/".join(files.sha256_file(path) for path in paths if path.exists())


def _seat(
    folder: pathlib.Path, num_members: int, group: int, neighbours: Mapping[str, int]
) -> tuple[Run, Seat]:
    """Opens and compiles what all members of a run share."""
    import distributed

    # A host that came after the members were dealt has this worker alone.
    processes = neighbours.get(distributed.get_worker().ip, 1)
    groups = runtime.start(num_members, group=group)[:1]
    run = open_run(folder)
    seats = Seats(run, groups=groups, available=None, processes=processes)
    return run, seats.take(groups[0])


def _told(problem: BaseException | None, member: Member) -> BaseException | None:
    import distributed

    if isinstance(problem, distributed.KilledWorker):
        return InputError(
            f"{member.id}: every worker that began it died (out of memory?); the "
            "workers' own logs say why. The same command goes on with the others' "
            "work kept"
        )
    return problem


def _tell(folder: pathlib.Path, waiting: Sequence[Member], *, every: int) -> None:
    """Logs where all members are: the last epoch of each that is in work."""
    lines = [f"{every - len(waiting)} of {every} members are done"]
    for member in waiting:
        path = folder_of(folder, member) / METRICS
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # What follows the last end of a line is being written.
        epochs = text.rpartition("\n")[0].splitlines()
        if epochs:
            last = json.loads(epochs[-1])
            lines.append(
                f"  {member.id}: epoch {last['epoch'] + 1}, loss {last['loss']:.4g}, "
                f"selection {last['select_score']:.4g}"
            )
    _log.info("%s", "\n".join(lines))
