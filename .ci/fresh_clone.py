"""What a newcomer meets: a fresh clone and one fresh environment with ``pip install .`` alone.

The commands of the documentation run in it (docs_commands.py), then those of the base install
and those that must answer, in one line, which extra they need (base_install.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import base_install
import docs_commands

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SYNERGYNET_DATA", REPO.parent / "shared" / "data"))
DATA_FOLDERS = ("aflw2000_data", "3dmm_data", "aflw_train")
"""Linked into the clone where the development data is at hand."""


def make_clone(folder: Path) -> Path:
    """The committed project, an environment in ``.venv``, and the data where it is."""
    clone = folder / "synergynet"
    subprocess.run(["git", "clone", "-q", str(REPO), str(clone)], check=True)
    subprocess.run(["make", "-s", f"PYTHON={sys.executable}", "demo"], cwd=clone, check=True)
    for name in DATA_FOLDERS:
        if (DATA / name).is_dir():
            (clone / name).symlink_to(DATA / name)
    return clone


def main() -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        clone = make_clone(Path(folder))
        print(f"a clone and its environment: {time.monotonic() - start:.0f} s", flush=True)
        done = docs_commands.check(clone, full=REPO / ".venv")
        base_install.check(clone, done)
    print(f"all in the fresh clone: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
