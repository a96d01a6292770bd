"""Folders for files that are being written, and the removal of those whose writer is gone."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

PREFIX = ".partial-"
_NAME = re.compile(re.escape(PREFIX) + r"(?P<place>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-.*")
_FOREIGN_SECONDS = 7 * 86400
"""Age at which what another machine left, on a shared disk, counts as abandoned."""

_seen: set[Path] = set()
_lock = threading.Lock()


@contextmanager
def partial_folder(where: Path | None) -> Iterator[Path]:
    """A new folder in ``where`` (None: of temporary files), removed at the end of the block.

    Its name says who writes in it. A process that is killed leaves it behind; the next one that
    writes to the same folder removes it.
    """
    if where is not None:
        _sweep_once(where)
    prefix = f"{PREFIX}{_place()}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix) as folder:
        yield Path(folder)


def sweep(folder: Path) -> None:
    """Remove from ``folder`` what writers left there that are gone."""
    try:
        with os.scandir(folder) as entries:
            left = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return
    for name in left:
        if _is_abandoned(folder / name):
            shutil.rmtree(folder / name, ignore_errors=True)


def sweep_below(folder: Path) -> None:
    """:func:`sweep` for a folder and all below it."""
    for where, folders, _ in os.walk(folder):
        sweep(Path(where))
        folders[:] = [name for name in folders if not name.startswith(PREFIX)]


def _sweep_once(folder: Path) -> None:
    """A folder of a million files takes half a second to list: once a process."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100  (no links are followed)
    with _lock:
        known = place in _seen
        _seen.add(place)
    if not known:
        sweep(folder)


def _is_abandoned(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is not None and match["place"] == _place():
        return not _is_alive(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_SECONDS
    except OSError:  # its writer has just removed it
        return False


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # where asking would be killing
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    try:  # one that ended, and whose parent never asks, keeps its number
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


@lru_cache(maxsize=1)
def _place() -> str:
    """Where process numbers mean the same: this machine, and the container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  (no file)
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]
