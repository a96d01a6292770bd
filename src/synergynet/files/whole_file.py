"""Files: read arrays that a stranger made, write so that a file appears whole or not at all."""

import errno
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .npz import read_header
from .partial import partial_folder

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Of the web; ``pathlib`` makes one slash of two. Drives have one letter."""


class CannotWriteError(SynergyNetError):
    """The system refuses to write: a full disk, no permission. Trying other files is no use."""


def check_file(
    path: Path, *, max_bytes: int | None = None, kind: str = "file", cure: str = ""
) -> None:
    """Raise if there is no such file or it is too large, before it is opened.

    Args:
        kind: what to call it in errors.
        cure: what the reader of an error should do.

    Raises:
        SynergyNetError: a folder, missing, larger than ``max_bytes``, or not accessible.
    """
    advice = f"; {cure}" if cure else ""
    try:
        if path.is_dir():
            if not os.access(path, os.R_OK | os.X_OK):
                raise SynergyNetError(f"{path}: this folder cannot be read (Permission denied)")
            raise SynergyNetError(f"{path}: a folder; give a {kind} in it")
        if not path.is_file():
            if not path.exists() and _ADDRESS.match(str(path)):
                raise SynergyNetError(f"{path}: a web address; download it, and give the file")
            what = f"not a regular file; give a {kind}" if path.exists() else f"no such {kind}"
            raise SynergyNetError(f"{path}: {what}{advice}")
        if max_bytes is not None and path.stat().st_size > max_bytes:
            raise SynergyNetError(f"{path}: larger than {max_bytes >> 20} MiB{advice}")
    except OSError as error:
        raise _not_readable(path, error) from error


def read_bytes(path: Path, *, max_bytes: int, kind: str = "file", cure: str = "") -> bytes:
    """The content of a file that :func:`check_file` accepts, or of one of this process's open
    files, which may be pipes: ``/dev/stdin``, ``/dev/fd/63``.

    Raises:
        SynergyNetError: as there, or the system refuses.
    """
    try:
        opened = is_open_file(path)
        if not opened:
            check_file(path, max_bytes=max_bytes, kind=kind, cure=cure)
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise _not_readable(path, error) from error
    if len(data) > max_bytes:
        raise SynergyNetError(f"{path}: larger than {max_bytes >> 20} MiB; {cure}".rstrip("; "))
    return data


def is_open_file(path: Path) -> bool:
    """Whether it stands for a file that is open already, as ``/dev/stdin`` does.

    Raises:
        OSError: links in a circle.
    """
    return _is_descriptor(_final(path))


def read_npy(path: Path, *, max_bytes: int, cure: str) -> NDArray[Any]:
    """An ``.npy`` file of numbers, mapped read-only.

    Mapping checks the declared shape against the file's size before any memory is taken.

    Raises:
        SynergyNetError: as :func:`check_file`; or broken, or not numbers.
    """
    check_file(path, max_bytes=max_bytes, cure=cure)
    try:
        with path.open("rb") as stream:
            dtype, shape, fortran, start = read_header(path.name, stream)
        if math.prod(shape) * dtype.itemsize > path.stat().st_size - start:
            raise ValueError("it is cut off")
        order: Literal["C", "F"] = "F" if fortran else "C"
        if not math.prod(shape):  # which cannot be mapped
            data: NDArray[Any] = np.empty(shape, dtype)
        else:
            data = np.memmap(path, dtype, "r", start, shape, order)
    except (OSError, ValueError, OverflowError) as error:
        raise SynergyNetError(f"{path}: not a readable .npy array ({error})") from error
    if data.dtype.kind not in "fiu":
        raise SynergyNetError(f"{path}: not an .npy array of numbers; {cure}")
    return data


def check_access(path: Path) -> None:
    """Raise SynergyNetError for a file or folder that this user may not read."""
    if not os.access(path, os.R_OK) and os.path.lexists(path):
        raise SynergyNetError(f"{path}: cannot be read (Permission denied)")


@contextmanager
def whole_file(target: Path, name: str | None = None) -> Iterator[Path]:
    """A path to write to; its content becomes that of ``target`` only if the block succeeds.

    A regular file is replaced at once and keeps its permissions; of a link, the file that it
    points to. Where a file cannot be replaced (it is mounted by itself, or its folder is
    read-only), and into devices, pipes and this process's open files (``/dev/stdout``), the
    content is copied at the end.

    Args:
        name: file name of the path to write to; some formats store it. ``target``'s by default.

    Raises:
        SynergyNetError: the folder does not exist, or the target is one.
        CannotWriteError: the system refuses.
    """
    try:
        final = _final(target)
        before = _stat(final)
        replace = before is None or stat.S_ISREG(before.st_mode)
        if before is not None and stat.S_ISDIR(before.st_mode):
            raise SynergyNetError(f"{target}: a folder; give the name of a file")
        if before is None and not final.parent.is_dir():
            raise SynergyNetError(f"{target}: the folder {final.parent} does not exist; create it")
        beside = before is None or os.access(final.parent, os.W_OK)
        beside = beside and replace and not _is_descriptor(final)
        where = final.parent if beside else None
        with partial_folder(where) as folder:
            partial = folder / (name or target.name)
            yield partial
            if not (beside and _replaced(final, partial, before)):
                _copy(partial, final)
    except OSError as error:
        raise _refused(target, error) from error


def _final(target: Path) -> Path:
    """``target``, or where its links lead: the last one before ``/proc``, whose are no files."""
    for _ in range(40):  # as many links as Linux follows
        # pathlib's test raises where access is denied
        if _is_descriptor(target) or not os.path.islink(target):  # noqa: PTH114
            return target
        target = target.parent / target.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_descriptor(path: Path) -> bool:
    """Whether it lies in the folder of the open files of a process."""
    if path.parent.name != "fd":
        return False  # in microseconds, for there are many photos
    where = os.path.realpath(path.parent)
    return where == "/dev/fd" or re.fullmatch(r"/proc/[^/]+/(task/[0-9]+/)?fd", where) is not None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _replaced(target: Path, partial: Path, before: os.stat_result | None) -> bool:
    """Move ``partial`` to ``target``; False if only its content could be."""
    with partial.open("rb+") as stream:
        os.fsync(stream.fileno())  # a power cut must not leave an empty file
    if before is not None:
        partial.chmod(stat.S_IMODE(before.st_mode))
    try:
        partial.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:  # of a file that is mounted by itself
            raise
        return False
    return True


def _copy(partial: Path, target: Path) -> None:
    """Write the content of ``partial`` into what is there; an open file goes on where it was."""
    own = _is_descriptor(target) and os.path.realpath(target.parent) == f"/proc/{os.getpid()}/fd"
    opened = os.dup(int(target.name)) if own and target.name.isdigit() else str(target)
    with partial.open("rb") as content, open(opened, "wb") as stream:  # noqa: PTH123  (a number)
        shutil.copyfileobj(content, stream)


def write_whole(target: Path, data: bytes) -> Path:
    """Write ``data`` through :func:`whole_file`, making the folder; returns ``target``."""
    make_folder_of(target)
    with whole_file(target) as partial:
        partial.write_bytes(data)
    return target


def make_folder_of(target: Path) -> None:
    """Make the folder that is to hold ``target``; CannotWriteError if the system refuses."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(target, error) from error


def check_folder(folder: Path) -> None:
    """Raise CannotWriteError if no file could be made in ``folder``, or the folder itself."""
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place):  # noqa: PTH112  (pathlib's raises where access is denied)
        raise CannotWriteError(f"{folder}: cannot be written ({place} is no folder)")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CannotWriteError(f"{folder}: cannot be written (permission denied, or read-only)")


def _refused(target: Path, error: OSError) -> CannotWriteError:
    return CannotWriteError(f"{target}: cannot be written ({error.strerror or error})")


def _not_readable(path: Path, error: OSError) -> SynergyNetError:
    return SynergyNetError(f"{path}: cannot be read ({error.strerror or error})")
