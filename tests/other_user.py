"""Commands run by someone whom permissions bind, whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import COMMAND_ENVIRONMENT

_BOUND = "--bounding-set=-dac_override,-dac_read_search"
"""Of root's powers, those to read and write whatever the permissions say."""

skip_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


def run_bound(
    *args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """``synergynet args`` in a process of its own; for root, without root's powers over files.

    Args:
        env: all its variables; None for those of the tests.
    """
    drop = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may read and write everything, and there is no setpriv")
        drop = [setpriv, _BOUND, "--"]
    return subprocess.run(
        [*drop, sys.executable, "-m", "synergynet", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | COMMAND_ENVIRONMENT if env is None else env,
        cwd=cwd,
        check=False,
    )


@contextmanager
def permissions(path: Path, mode: int) -> Iterator[Path]:
    """Inside, ``path`` has this mode; afterwards its own again, so that it can be removed."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield path
    finally:
        path.chmod(before)
