"""Work in several processes, and in one where the system starts no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ASTRONAUT, COMMAND_ENVIRONMENT

from synergynet.files import onnx_session
from synergynet.files.workers import run_chunks

NO_SEMAPHORES = {
    "a read-only /dev/shm": """
import _multiprocessing
class SemLock(_multiprocessing.SemLock):
    def __new__(cls, *_):
        raise OSError(30, "Read-only file system")
_multiprocessing.SemLock = SemLock
""",
    "no permission": """
import _multiprocessing
class SemLock(_multiprocessing.SemLock):
    def __new__(cls, *_):
        raise PermissionError(13, "Permission denied")
_multiprocessing.SemLock = SemLock
""",
    "no semaphores at all": "import _multiprocessing; del _multiprocessing.SemLock",
    "too few threads": """
import threading
def start(_, old=threading.Thread.start):
    if threading.active_count() > 2:
        raise RuntimeError("can't start new thread")
    old(_)
threading.Thread.start = start
""",
}
"""What keeps a pool of processes from starting -> code that makes it so."""

RUN = """
if __name__ == "__main__":
    from synergynet.files.workers import run_chunks
    print(sorted(run_chunks(sum, 0, [], 2)), sorted(run_chunks(max, 3, [1, 5, 2], 2)))
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def process_of(_: None, chunk: int) -> tuple[int, int]:
    return chunk, os.getpid()


@pytest.mark.slow
def test_chunks_are_done_in_other_processes() -> None:
    done = dict(run_chunks(process_of, None, [10, 11, 12], 2))
    assert {index: chunk for index, (chunk, _) in done.items()} == {0: 10, 1: 11, 2: 12}
    assert os.getpid() not in {process for _, process in done.values()}


@pytest.mark.parametrize("why", NO_SEMAPHORES)
def test_where_no_processes_start_one_does_the_work(why: str) -> None:
    done = python(NO_SEMAPHORES[why] + RUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] [(0, 3), (1, 5), (2, 3)]"
    (line,) = done.stderr.splitlines()
    assert line.startswith("note: no processes can be started here (")
    assert line.endswith("); going on with one")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_infer_goes_on_with_few_open_files(tmp_path: Path) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
{NO_SEMAPHORES["a read-only /dev/shm"]}
if __name__ == "__main__":
    from synergynet.cli.main import app
    app(["infer", {str(ASTRONAUT)!r}, {str(tmp_path / "b.jpg")!r}, "-o", {str(tmp_path / "out")!r},
        "--workers", "2", "--draw", "none", "--mesh", "none"])
"""
    (tmp_path / "b.jpg").write_bytes(ASTRONAUT.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | COMMAND_ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "going on with one" in done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["astronaut.json", "b.json"]


def test_a_network_runs_without_threads_that_do_not_start(monkeypatch) -> None:
    """ONNX Runtime cannot make a session then, but for one that needs none."""
    threads = []

    def session(again, path, options, providers):
        threads.append(options.intra_op_num_threads)
        if options.intra_op_num_threads > 1:
            raise RuntimeError("env.cc:327 pthread_create failed, error code: 11")
        return "session"

    monkeypatch.setattr(onnx_session, "Session", session)
    assert onnx_session.open_session("a.onnx", threads=4) == "session"
    assert threads == [4, 1]


def test_no_threads_at_all_is_one_sentence(tmp_path: Path) -> None:
    code = f"""
import threading
def start(_):
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
from synergynet.cli.main import app
app(["infer", {str(ASTRONAUT)!r}, "-o", {str(tmp_path / "out")!r}])
"""
    done = python(code)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert done.stderr == (
        "error: the system allows no more threads: raise its limit on processes, ulimit -u\n"
    )
