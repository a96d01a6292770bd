"""The files of the package itself: are they as they were shipped?"""

import hashlib
from functools import lru_cache
from pathlib import Path

from ..errors import SynergyNetError
from .whole_file import write_whole

_PACKAGE = Path(__file__).parents[1]
SUMS = "SHA256SUMS"
"""Beside the files, as ``sha256sum`` writes it."""


def write_sums(folder: Path, pattern: str) -> None:
    """Write the checksums of what ``pattern`` matches in ``folder``, for a new version of it."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.glob(pattern))
    ]
    write_whole(folder / SUMS, "".join(lines).encode())


@lru_cache(maxsize=16)
def check_shipped(path: Path) -> None:
    """Compare a file of the package with its checksum, once a process; others are not looked at.

    Raises:
        SynergyNetError: missing or damaged.
    """
    sums = path.parent / SUMS
    if not path.is_relative_to(_PACKAGE) or not sums.is_file():
        return
    known = {name: digest for digest, name in map(str.split, sums.read_text().splitlines())}
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SynergyNetError(
            f"{path}: cannot be read ({error.strerror}); reinstall synergynet"
        ) from error
    if found != known.get(path.name):
        raise SynergyNetError(f"{path}: not as it was shipped, so damaged; reinstall synergynet")
