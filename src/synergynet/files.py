"""Write files so that they appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SynergyNetError


@contextmanager
def whole_file(target: Path, name: str | None = None) -> Iterator[Path]:
    """A path to write to; it replaces ``target`` only if the block succeeds.

    Args:
        name: file name of the path to write to; some formats store it. ``target``'s by default.

    Raises:
        SynergyNetError: the folder does not exist, or the system refuses.
    """
    if not target.parent.is_dir():
        raise SynergyNetError(f"{target}: the folder {target.parent} does not exist; create it")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as folder:
            partial = Path(folder) / (name or target.name)
            yield partial
            with partial.open("rb+") as stream:
                os.fsync(stream.fileno())  # a power cut must not leave an empty file
            partial.replace(target)
    except OSError as error:
        raise _refused(target, error) from error


def write_whole(target: Path, data: bytes) -> Path:
    """Write ``data`` through :func:`whole_file`, making the folder; returns ``target``."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(target, error) from error
    with whole_file(target) as partial:
        partial.write_bytes(data)
    return target


def _refused(target: Path, error: OSError) -> SynergyNetError:
    return SynergyNetError(f"{target}: cannot be written ({error.strerror or error})")
