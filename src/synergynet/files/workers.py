"""Run a function over chunks of work in other processes."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
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


class NoProcessesError(WorkerDiedError):
    """None can be started at all."""


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
            one do no harm; 1 works here, and so does any number where the system starts none,
            which one line on stderr then says. They end when this process does, even if killed.
        here: whether this process may work itself, as it does for one worker or one chunk.

    Raises:
        WorkerDiedError: one of them did.
        NoProcessesError: none starts, and this one may not work.
    """
    workers = min(workers, len(chunks))
    alone = here and workers <= 1
    pool = None if alone else _start_pool(workers)
    if pool is None and not here:
        raise NoProcessesError("no process can be started here; give --workers 1")
    if pool is None:
        for index, chunk in enumerate(chunks):
            yield index, function(task, chunk)
        return
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


def _start_pool(workers: int) -> ProcessPoolExecutor | None:
    """Processes that have begun; None, and a line on stderr, where the system starts none.

    Their queues need semaphores, which need a writable /dev/shm; a limit on processes, threads
    or open files may stop them too.
    """
    before, pool = set(multiprocessing.active_children()), None
    try:
        _need_threads(3 + 6 * workers)  # the pool's own, and what each process may begin with
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
        with _inherited_block_of_ctrl_c(), environment(_ONE_THREAD_EACH):
            begun = [pool.submit(_nothing) for _ in range(workers)]  # one more process for each
        for each in begun:
            each.result()
    except (OSError, ImportError, NotImplementedError, RuntimeError) as error:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        with suppress(RuntimeError):  # of a thread that never began
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        why = " ".join(str(error).split()) or type(error).__name__
        print(
            f"note: no processes can be started here ({why}); going on with one",
            file=sys.stderr,
            flush=True,
        )
        return None
    return pool


def _need_threads(count: int) -> None:
    """Try it: where a pool cannot start a thread of its own, it waits for ever.

    Raises:
        RuntimeError: so many do not start. Limits count processes and threads alike.
    """
    enough, begun = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=enough.wait, daemon=True)
            thread.start()
            begun.append(thread)
    finally:
        enough.set()
        for thread in begun:
            thread.join()


def _nothing() -> None:
    """A worker that answers has begun."""


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
