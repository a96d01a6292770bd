"""The source archive of a release, the same bytes from the same commit.

    python tools/build/source_archive.py -o dist

setuptools writes times and owners of files into it; here they are those of nobody, from 1980.
"""

import gzip
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from setuptools import build_meta
from shared.command import Parser, run

REPO = Path(__file__).resolve().parents[2]
_TIME = 315_532_800  # 1980-01-01, the first that every archive can hold


def same_bytes(archive: Path) -> bytes:
    """A ``.tar.gz`` with its files in order, of nobody, from 1980."""
    packed = io.BytesIO()
    with (
        tarfile.open(archive, "r:gz") as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid = _TIME, 0, 0
            member.uname, member.gname, member.pax_headers = "", "", {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return gzip.compress(packed.getvalue(), mtime=0)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"))
    target = parser.parse_args().output.resolve()
    target.mkdir(parents=True, exist_ok=True)
    os.chdir(REPO)
    with tempfile.TemporaryDirectory() as folder:
        name = build_meta.build_sdist(folder)
        (target / name).write_bytes(same_bytes(Path(folder) / name))
    print(target / name)


if __name__ == "__main__":
    run(main)
