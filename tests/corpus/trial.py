"""Run files through their readers in a process of its own, within memory and time.

``python -m corpus.trial`` reads lines ``reader<TAB>path`` and answers each with a line of JSON;
:func:`trial` starts it, and starts it again after a file that kills it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

MEMORY_MB = 400
"""That one small file may take while it is read."""
SECONDS = 5.0
"""Of a processor that one small file may take."""
_ADDRESS_SPACE = 3 << 30  # beyond what the process has at first: asking for more fails
_PATIENCE = 60.0  # seconds by the wall clock, while other processes work too
_OUT_OF_MEMORY = ("enough memory", "out of memory", "bad_alloc", "allocate")


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes:
        end: ``ok``, ``refused`` (SynergyNetError), ``raised`` (anything else), ``died`` or
            ``hung``.
        text: the sentence, or the traceback.
        seconds, megabytes: what it took, of a processor and of memory.
    """

    reader: str
    path: Path
    end: str
    text: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def fault(self) -> str | None:
        """Why this is not good, if so."""
        if self.end not in ("ok", "refused"):
            return f"{self.end}: {self.text}"
        if self.megabytes > MEMORY_MB:
            return f"{self.megabytes:.0f} MB"
        if self.seconds > SECONDS:
            return f"{self.seconds:.1f} s"
        return None


def trial(files: Iterable[tuple[str, Path]]) -> list[Result]:
    """The results of all files, in order."""
    waiting = list(files)
    results: list[Result] = []
    while waiting:
        results += _until_one_dies(waiting)
        waiting = list(files)[len(results) :] if isinstance(files, list) else []
    return results


def _until_one_dies(files: list[tuple[str, Path]]) -> list[Result]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "corpus.trial"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    lines: queue.Queue[str] = queue.Queue()
    errors: list[str] = []

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put("")

    threads = [threading.Thread(target=read, daemon=True)]
    threads.append(threading.Thread(target=lambda: errors.extend(child.stderr or ()), daemon=True))
    for thread in threads:
        thread.start()
    results: list[Result] = []
    try:
        for name, path in files:
            try:
                child.stdin.write(f"{name}\t{path}\n")
                child.stdin.flush()
                line = lines.get(timeout=_PATIENCE)
            except queue.Empty:
                return [*results, Result(name, path, "hung", f"after {_PATIENCE:.0f} s")]
            except BrokenPipeError:
                line = ""
            if not line:
                child.wait()
                text = f"exit code {child.returncode}: {''.join(errors)[-1500:]}"
                return [*results, Result(name, path, "died", text)]
            results.append(Result(name, path, **json.loads(line)))
        return results
    finally:
        child.kill()
        child.wait()


def resident_mb(what: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0.0


def _forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def attempt(name: str, path: Path) -> dict[str, object]:
    """Read one file here."""
    from .readers import READERS

    _forget_the_peak()
    before, clock = resident_mb("VmRSS"), time.process_time()
    end, text = _ended(READERS[name], path)
    return {
        "end": end,
        "text": text[:2000],
        "seconds": time.process_time() - clock,
        "megabytes": resident_mb("VmHWM") - before,
    }


def attempt_plainly(reader: Callable[[Path], object], path: Path) -> str | None:
    """What is wrong with how a reader ended, if anything; without its memory and time."""
    end, text = _ended(reader, path)
    return text if end == "raised" else None


def _ended(reader: Callable[[Path], object], path: Path) -> tuple[str, str]:
    from synergynet.errors import SynergyNetError

    try:
        reader(path)
    except SynergyNetError as error:
        cause: BaseException | None = error
        while cause is not None:  # it asked for more than there is
            said = "" if isinstance(cause, SynergyNetError) else str(cause)
            if isinstance(cause, MemoryError) or any(word in said for word in _OUT_OF_MEMORY):
                return "raised", f"out of memory, then {error}"
            cause = cause.__cause__ or cause.__context__
        return "refused", str(error)
    except BaseException:
        return "raised", traceback.format_exc()[-1500:]
    return "ok", ""


def main() -> None:
    os.environ.setdefault("SYNERGYNET_MAX_MEGAPIXELS", "20")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    known: set[str] = set()
    for line in sys.stdin:
        name, _, path = line.rstrip("\n").partition("\t")
        if name not in known:  # libraries are loaded before the limit is set
            known.add(name)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            attempt(name, Path(path))
            gc.freeze()
            size = int(resident_mb("VmSize") * (1 << 20)) + _ADDRESS_SPACE
            resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        print(json.dumps(attempt(name, Path(path))), flush=True)


if __name__ == "__main__":
    main()
