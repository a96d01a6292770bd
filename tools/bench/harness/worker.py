"""The harness's side of a measurement: a process that is asked, and answers with its times."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from synergynet import SynergyNetError

ENDS = Path(__file__).parent / "ends"
PATIENCE = 240.0
"""Seconds that an answer may take."""

_COUNTED = ("OMP", "OPENBLAS", "MKL", "NUMBA")


class WorkerError(SynergyNetError):
    """A worker ended, hung or could not do what it was asked."""


def environment_of(threads: int, *, foreign: bool = False) -> dict[str, str]:
    """Variables for a process of so many threads; ``foreign`` ones do not see this package."""
    out = dict(os.environ)
    out |= {f"{library}_NUM_THREADS": str(threads) for library in _COUNTED}
    out["OMP_WAIT_POLICY"] = "PASSIVE"
    if foreign:
        out.pop("PYTHONPATH", None)
    return out


@contextmanager
def processors_held(threads: int) -> Iterator[None]:
    """Processes started inside get as many processors, where the system can do that.

    Libraries whose threads cannot be counted otherwise (MediaPipe) obey the processors.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


class Worker:
    """A script of ``ends`` in a process of its own; a context manager.

    Args:
        script: its name.
        threads: processors that it may use.
        python: that runs it, by default this one.
        log: file for what it says besides.

    Raises:
        WorkerError: it cannot be started.
    """

    def __init__(
        self, script: str, threads: int, log: Path, python: Path = Path(sys.executable)
    ) -> None:
        self.script, self.log = script, log
        foreign = python != Path(sys.executable)
        with log.open("a", encoding="utf-8") as errors, processors_held(threads):
            try:
                self._process = subprocess.Popen(
                    [str(python), str(ENDS / script)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment_of(threads, foreign=foreign),
                    encoding="utf-8",
                )
            except OSError as error:
                raise WorkerError(f"{script}: {python} cannot be started ({error})") from error

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer.

        Raises:
            WorkerError: as said there.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if not line:
            raise WorkerError(f"{self.script} ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.script}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def run_python(arguments: Sequence[str], threads: int) -> "subprocess.CompletedProcess[str]":
    """This Python, to its end, with so many threads; what it prints is kept."""
    with processors_held(threads):
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment_of(threads) | {"COLUMNS": "200"},
        )
