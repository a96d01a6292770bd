"""The package in other environments than development's: each lane a fresh one, nothing kept.

    python3 .ci/lanes.py [lowest] [newest] [frozen]

``lowest``: the base install with exactly its lower bounds, in the oldest Python at hand: what the
base install does, then the fast tests.
``newest``: the newest release of everything but the large frameworks; the fast tests, by another
user than root if root runs this.
``frozen``: a program made by PyInstaller analyses the example outside the project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import base_install
import lowest

REPO = Path(__file__).resolve().parents[1]
OLDEST = "3.10"
LARGE = {"train", "ray", "executorch", "tensorboard", "build"}
"""Extras that bring a framework, or what only development needs: ``make test`` has them."""
TESTS = ("pytest", "pytest-xdist", "hypothesis")
NOBODY = 65534
PROGRAM = """
from multiprocessing import freeze_support
from synergynet.cli.main import app

if __name__ == "__main__":
    freeze_support()
    app()
"""


def lane_lowest(clone: Path) -> None:
    """Base install at its lower bounds."""
    constraints = clone.parent / "lowest.txt"
    constraints.write_text("".join(f"{n}=={bound}\n" for n, bound in lowest.bounds().items()))
    python = make_environment(clone, oldest_python())
    pip(python, "-c", constraints, clone)
    base_install.check(clone, set())
    pip(python, "-c", constraints, *TESTS)
    fast_tests(clone, python)


def lane_newest(clone: Path) -> None:
    """Everything new, and not root."""
    home = readable_python(clone.parent / "python")
    python = make_environment(clone, home / "bin" / "python3")
    extras = ",".join(sorted(set(lowest.extras()) - LARGE))
    pip(python, "-U", "--upgrade-strategy", "eager", f"{clone}[{extras}]", *TESTS)
    fast_tests(clone, python, other_user=os.geteuid() == 0)


def lane_frozen(clone: Path) -> None:
    """A program of one folder."""
    python = make_environment(clone, Path(sys.executable))
    pip(python, clone, "pyinstaller")
    folder = clone.parent / "frozen"
    folder.mkdir()
    (folder / "faces.py").write_text(PROGRAM)
    shutil.copy(clone / "examples" / "astronaut.jpg", folder)
    run([python.parent / "pyinstaller", "--log-level", "ERROR", "faces.py"], folder)
    shutil.move(folder / "dist" / "faces", folder / "moved")
    shutil.rmtree(clone / ".venv")
    command = [folder / "moved" / "faces", "infer", "astronaut.jpg", "-o", "output"]
    run(command, folder, env={"HOME": str(folder / "nowhere")})
    written = sorted(path.name for path in (folder / "output").iterdir())
    if "astronaut.json" not in written or "astronaut_face0.obj" not in written:
        sys.exit(f"error: the frozen program wrote {written}")


LANES = {"lowest": lane_lowest, "newest": lane_newest, "frozen": lane_frozen}


def make_environment(clone: Path, python: Path) -> Path:
    """A fresh ``.venv`` of the clone; its Python."""
    shutil.rmtree(clone / ".venv", ignore_errors=True)
    run([python, "-m", "venv", ".venv"], clone)
    return clone / ".venv" / "bin" / "python"


def pip(python: Path, *arguments: object) -> None:
    """Install."""
    run([python, "-m", "pip", "install", "--quiet", *arguments], python.parents[2])


def fast_tests(clone: Path, python: Path, *, other_user: bool = False) -> None:
    """Those of ``make test-fast`` that need no more than is installed, and permissions'."""
    env = dict(os.environ, OMP_WAIT_POLICY="PASSIVE", PYTHONDONTWRITEBYTECODE="1")
    env.pop("PYTHONPATH", None)
    before: list[object] = []
    if other_user:
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        before = ["setpriv", *ids, "env", f"HOME={clone.parent / 'nobody'}"]
        scratch = clone.parent / "scratch"
        scratch.mkdir()
        os.chown(scratch, NOBODY, NOBODY)
        env["TMPDIR"] = str(scratch)
    options = ["-m", "not slow", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    run([*before, python, "-m", "pytest", "tests", *options], clone, env)


def oldest_python() -> Path:
    """The oldest that the package supports, where it is installed; else this one."""
    found = shutil.which(f"python{OLDEST}")
    candidates = [Path(found)] if found else []
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
        candidates += Path(root.stdout.strip()).glob(f"versions/{OLDEST}.*/bin/python{OLDEST}")
    for python in candidates:
        if not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
            return python
    print(f"no Python {OLDEST} here: the lower bounds are tried with {sys.version.split()[0]}")
    return Path(sys.executable)


def readable_python(folder: Path) -> Path:
    """A Python that any user may run: this one, or a copy where it lies in a closed folder."""
    home = Path(sys.base_prefix)
    if all(part.stat().st_mode & 0o005 == 0o005 for part in (home, *home.parents)):
        return home
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(home / "bin" / name, folder / "bin" / name)
    (folder / "bin" / "python3").symlink_to(name)
    unwanted = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*")
    shutil.copytree(home / "lib" / name, folder / "lib" / name, ignore=unwanted)
    for library in (home / "lib").glob("libpython*.so*"):
        shutil.copy(library, folder / "lib")
    os.environ["LD_LIBRARY_PATH"] = str(folder / "lib")
    return folder


def run(command: list[object], cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run it; ends this script where it fails."""
    code = subprocess.run([*map(str, command)], cwd=cwd, env=env, check=False).returncode
    if code:
        sys.exit(f"error: exit code {code}: {' '.join(map(str, command))}")


def main() -> None:
    for name in sys.argv[1:] or LANES:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            folder.chmod(0o755)
            clone = folder / "synergynet"
            run(["git", "clone", "-q", REPO, clone], REPO)
            LANES[name](clone)
        print(f"lane {name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
