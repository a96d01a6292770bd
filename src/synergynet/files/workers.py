"""Run a function over chunks of work in other processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TypeVar

import cv2

from ..errors import SynergyNetError

_ONE_THREAD_EACH = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""For NumPy's BLAS in processes started here: they are the parallelism."""


class WorkerDiedError(SynergyNetError):
    """A process that this one had started is gone, and with it the other ones of its pool."""


Task = TypeVar("Task")
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def run_chunks(
    function: Callable[[Task, Chunk], Result],
    task: Task,
    chunks: Sequence[Chunk],
    workers: int,
    *,
    here: bool = True,
) -> Iterator[tuple[int, Result]]:
    """Yield (index, ``function(task, chunk)``) of every chunk, as they are finished.

    Args:
        function: importable by name; an exception in it ends the run.
        workers: processes, started afresh ("spawn") so that threads and GPU contexts of this
            one do no harm; 1 works here. They end when this process does, even if killed.
        here: whether this process may work itself, as it does for one worker or one chunk.

    Raises:
        WorkerDiedError: one of them did.
    """
    if here and (workers <= 1 or len(chunks) <= 1):
        for index, chunk in enumerate(chunks):
            yield index, function(task, chunk)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(chunks)), multiprocessing.get_context("spawn"), _start_worker
    )
    try:
        with _inherited_block_of_ctrl_c(), environment(_ONE_THREAD_EACH):
            futures = {pool.submit(function, task, chunk): i for i, chunk in enumerate(chunks)}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool as error:
        raise WorkerDiedError(
            "a worker process died (killed, or out of memory?); run the same command to go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _inherited_block_of_ctrl_c() -> Iterator[None]:
    """Processes started here are deaf to Ctrl-C from their first moment, imports included."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Inside, this process and those that it starts have these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
