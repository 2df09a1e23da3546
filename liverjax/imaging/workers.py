"""Long-lived worker processes for jobs that may kill them."""

from __future__ import annotations

import collections
import concurrent.futures as futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Job = TypeVar("Job")
DIED = "the process that prepared it died (out of memory, or a fault of elastix)"


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job], None],
    *,
    workers: int,
    executor: futures.Executor | None = None,
) -> Iterator[tuple[Job, str]]:
    """Yields each job when it is finished, with the traceback of what it raised.

    A worker that dies takes its pool with it. Whoever was in work then is done again,
    one at a time, so that the job that kills workers is known; all others go on as
    before.

    Args:
        jobs: What can be pickled.
        work: A function that can be pickled; its result is ignored.
        workers: Processes, and jobs in work at a time.
        executor: Used instead of processes of our own; what breaks it is raised.
    """
    waiting = collections.deque(jobs)
    if executor is not None:
        yield from _flow(waiting, work, pool=executor, at_once=workers, running={})
        return
    suspects: collections.deque[Job] = collections.deque()
    while waiting or suspects:
        queue, size = (suspects, 1) if suspects else (waiting, workers)
        running: dict[futures.Future, Job] = {}
        try:
            with _pool(min(size, len(queue))) as pool:
                yield from _flow(queue, work, pool=pool, at_once=size, running=running)
        except futures.BrokenExecutor:
            lost = list(running.values())
            if not lost:
                raise
            if size > 1:
                suspects.extend(lost)
            else:
                yield lost[0], DIED


def _flow(
    queue: collections.deque[Job],
    work: Callable[[Job], None],
    *,
    pool: futures.Executor,
    at_once: int,
    running: dict[futures.Future, Job],
) -> Iterator[tuple[Job, str]]:
    """Keeps some jobs in work; what a broken pool loses is left in ``running``."""
    while queue or running:
        while queue and len(running) < at_once:
            future = pool.submit(work, queue[0])
            running[future] = queue.popleft()
        done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
        for future in done:
            error = future.exception()
            if isinstance(error, futures.BrokenExecutor):
                raise error
            yield running.pop(future), _told(error)


def _told(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error)).strip()


@contextlib.contextmanager
def _pool(size: int) -> Iterator[futures.Executor]:
    # Spawned: a forked copy of threads and locks (SimpleITK, BLAS) hangs.
    pool = futures.ProcessPoolExecutor(
        size,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread for each library; an end when the parent is gone."""
    import SimpleITK as sitk
    from threadpoolctl import threadpool_limits

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    threadpool_limits(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        watch = threading.Thread(
            target=_end_with, args=(parent.sentinel,), daemon=True, name="watch-parent"
        )
        watch.start()


def _end_with(sentinel: int) -> None:
    """Ends this process when the parent has ended, however that came about.

    A worker of a killed parent would wait for its next job for ever.
    """
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
