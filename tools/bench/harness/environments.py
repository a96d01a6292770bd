"""Rivals: what a user would take instead, each in an environment of its own from PyPI."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synergynet import SynergyNetError

INSTALL_SECONDS = 900


@dataclass(frozen=True)
class Rival:
    """A tool that installs without a compiler and carries its weights.

    Attributes:
        name: in the tables.
        script: of ``ends``, which measures it.
        requirements: for pip.
        pythons: first and last version of Python with wheels of it.
    """

    name: str
    script: str
    requirements: tuple[str, ...]
    pythons: tuple[tuple[int, int], tuple[int, int]]


MEDIAPIPE = Rival(
    "MediaPipe FaceMesh", "mediapipe_mesh.py", ("mediapipe==0.10.21",), ((3, 9), (3, 12))
)
DLIB = Rival(
    "dlib 68 landmarks",
    "dlib_68.py",
    (
        "dlib-bin==20.0.1.post1",
        "face-recognition-models==0.3.0",
        "numpy",
        "opencv-python-headless",
    ),
    ((3, 10), (3, 13)),
)
RIVALS = (MEDIAPIPE, DLIB)


def install(rival: Rival, folder: Path) -> Path:
    """The Python of the rival's environment below ``folder``; made once, kept for the next run.

    Raises:
        SynergyNetError: there is no fitting Python, or pip cannot install it.
    """
    place = folder / rival.script.removesuffix(".py")
    binaries = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    python, done = place / binaries, place / "installed.json"
    wanted = json.dumps(rival.requirements)
    if done.is_file() and done.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    base = next(_fitting(rival), None)
    if base is None:
        (a, b), (c, d) = rival.pythons
        raise SynergyNetError(f"no Python from {a}.{b} to {c}.{d} was found")
    quiet = ("--quiet", "--disable-pip-version-check", "--prefer-binary")
    _run([base, "-m", "venv", str(place)])
    _run([str(python), "-m", "pip", "install", *quiet, *rival.requirements])
    done.write_text(wanted)
    return python


def _fitting(rival: Rival) -> Iterator[str]:
    """Pythons that have wheels of the rival, this one first."""
    first, last = rival.pythons
    if first <= sys.version_info[:2] <= last:
        yield sys.executable
    for minor in range(last[1], first[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and _answers(found):
            yield found


def _answers(python: str) -> bool:
    """Whether it is a Python that runs, and no stand-in that says how to install one."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=INSTALL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SynergyNetError(f"{' '.join(command[:4])}: {error}") from error
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if "ERROR" in line]
        reason = said[-1] if said else f"{' '.join(command[:4])} failed"
        raise SynergyNetError(reason.removeprefix("ERROR: "))
