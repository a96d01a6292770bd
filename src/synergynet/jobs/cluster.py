"""Shards of photos on the machines of a Ray cluster, or in processes of this one.

Ray Data hands the shards to a pool of actors. An actor loads the models once. If it dies, Ray Data
starts another and gives it the shard that was at work, as often as it takes: that is its default.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pickle
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from ..errors import SynergyNetError
from ..files.workers import environment
from .batch import Job, Place, load, on_interrupt
from .results import settings_of
from .shards import ShardResult, Table, do_shard, pack, unpack
from .tally import Tally

if TYPE_CHECKING:
    import pyarrow

_NOWHERE = "http://127.0.0.1:9"  # the port that discards what it is sent

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": _NOWHERE,  # where Ray would report that it is not to report
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_COLOR_PREFIX": "0",
}
"""Environment of Ray, which reads it when it is imported or started."""

_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: ports of 127.0.0.1 only
    "RAY_AUTH_MODE": "token",
    "http_proxy": _NOWHERE,  # its dashboard, even if off, asks clouds which of them it is in
    "no_proxy": "127.0.0.1,localhost",
}
"""Environment of a cluster in this machine, which is to reach nobody and be reached by nobody."""


def check_ray() -> None:
    """Raise SynergyNetError if Ray Data is not installed."""
    needed = ("ray", "pyarrow", "pandas")
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise SynergyNetError(
            '--engine ray needs Ray: pip install "synergynet[ray]"; '
            "--engine local uses this machine without it"
        )


@contextmanager
def connected(workers: int | None) -> Iterator[int]:
    """The cluster that the variable ``RAY_ADDRESS`` names, else one of this machine's own.

    What Ray says meanwhile goes to stderr.

    Args:
        workers: how many there shall be; None is one per processor of the cluster.

    Yields:
        How many workers there can be.

    Raises:
        SynergyNetError: no cluster answers there, or this one cannot start.
    """
    check_ray()
    address = os.environ.get("RAY_ADDRESS", "")
    alone = address in ("", "local")
    variables, cluster = dict(_QUIET), dict[str, Any](address=address)
    if alone:
        variables |= _ALONE | {"RAY_AUTH_TOKEN": secrets.token_hex(16)}
        workers = workers or os.cpu_count() or 1
        cluster = {"address": "local", "num_cpus": workers, "include_dashboard": False}
    with environment(variables), contextlib.redirect_stdout(sys.stderr):
        import ray

        try:
            _knock(address)
            with _hushed():
                ray.init(**cluster, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            where = "here" if alone else f"at RAY_ADDRESS={address}"
            raise SynergyNetError(f"no Ray cluster {where} ({_first_line(error)})") from error
        try:
            yield workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        finally:
            ray.shutdown()


def run(job: Job, table: Table, places: Sequence[Place], workers: int) -> Iterator[ShardResult]:
    """Yield the result of every shard, as they are finished; call it inside :func:`connected`.

    Ctrl-C lets the photos at work be finished, then raises KeyboardInterrupt; a second one does
    so at once.

    Raises:
        SynergyNetError: nothing more can be written, or the cluster is gone.
    """
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a shard may take its time
    shards = [
        {"shard": number, "places": pack(table.shard(number, places))}
        for number in range(table.run.parts)
    ]
    results = ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        Worker,
        fn_constructor_args=(job, table, Path.cwd()),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(shards)), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=1,
    )
    interrupted = threading.Event()

    def interrupt() -> None:
        table.stop.touch()
        interrupted.set()

    with on_interrupt(interrupt):
        try:
            for row in results.iter_rows():
                result: ShardResult = pickle.loads(row["result"])
                if result.hopeless is not None:
                    raise SynergyNetError(result.hopeless)
                if not result.stopped:
                    yield result
                if interrupted.is_set() and not table.at_work():
                    break
        except ray.exceptions.RayTaskError:
            raise  # an error of ours
        except ray.exceptions.RayError as error:
            raise SynergyNetError(
                f"the Ray cluster gave up ({_first_line(error)}); "
                "the same command with --resume goes on"
            ) from error
    if interrupted.is_set():
        table.stop.unlink(missing_ok=True)
        raise KeyboardInterrupt


class Worker:
    """An actor: the models of a process, and the shards that it is given one after the other."""

    def __init__(self, job: Job, table: Table, folder: Path) -> None:
        """``folder`` is the driver's, from which relative paths count."""
        self.job, self.table = replace(job, resume=job.resume and job.wanted.files), table
        self.problem: str | None = None
        cv2.setNumThreads(1)
        try:
            os.chdir(folder)
            settings = settings_of(job.wanted, load(job.models))
            if settings != job.settings:
                raise SynergyNetError("another version of synergynet, or of its models")
        except (OSError, SynergyNetError) as error:
            self.problem = f"a worker on {socket.gethostname()} is of no use: {error}"

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """``shard`` (its number) and ``places`` (packed) in, a pickled ShardResult out."""
        import pyarrow

        done = [pickle.dumps(self._do(row["shard"], row["places"])) for row in batch.to_pylist()]
        return pyarrow.table({"result": pyarrow.array(done, pyarrow.binary())})

    def _do(self, number: int, places: bytes) -> ShardResult:
        if self.problem is not None:
            return ShardResult(number, Tally(), hopeless=self.problem)
        try:
            return do_shard(self.job, self.table, number, unpack(places))
        except (OSError, SynergyNetError) as error:
            return ShardResult(number, Tally(), hopeless=str(error))


def _knock(address: str) -> None:
    """OSError if nobody listens at host:port, which takes Ray ten minutes to say."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


@contextmanager
def _hushed() -> Iterator[None]:
    """Inside, nothing reaches stderr, not even from native code, which says how it is set."""
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
