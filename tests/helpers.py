"""What many test modules use: where things are, and commands as a user gives them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import synergynet
from synergynet.cli.main import app
from synergynet.files import partial

REPO = Path(__file__).resolve().parents[1]
ASTRONAUT = REPO / "examples" / "astronaut.jpg"
DATA = Path(os.environ.get("SYNERGYNET_DATA", REPO.parent / "shared" / "data"))
COMMAND_ENVIRONMENT = {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}


def find_shared_data() -> Path:
    """``$SYNERGYNET_DATA`` or ``../shared/data`` beside the repository; else skip."""
    needed = ("aflw2000_data", "aflw2000_originals", "aflw_train", "golden", "3dmm_data")
    missing = [name for name in needed if not (DATA / name).is_dir()]
    if missing:
        pytest.skip(f"{DATA / missing[0]} is not here: set SYNERGYNET_DATA to the development data")
    return DATA


def abandoned_folder(where: Path) -> Path:
    """What a writer that was killed has left in ``where``."""
    folder = where / f"{partial.PREFIX}{partial._place()}-999999999-x"
    folder.mkdir(parents=True)
    return folder


def run(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``synergynet args`` in this process."""
    return captured(lambda: app([str(arg) for arg in args], prog_name="synergynet"), cwd)


def run_script(file: Path, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python file args`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(file), *map(str, args)])
        patch.setattr(sys, "path", [str(file.parent), *sys.path])
        return captured(lambda: runpy.run_path(str(file), run_name="__main__"), cwd)


def captured(
    function: Callable[[], object], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The exit code of ``function`` and all that it and its libraries print."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in COMMAND_ENVIRONMENT.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        sys.stdout.flush()
        sys.stderr.flush()
        before = {number: os.dup(number) for number in (1, 2)}
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code: int | str | None = 0
        try:
            function()
        except SystemExit as end:
            code = end.code
        finally:
            out.flush()
            err.flush()
            for number, copy in before.items():
                os.dup2(copy, number)
                os.close(copy)
        if isinstance(code, str):
            err.write(code + "\n")
            code = 1
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    return subprocess.CompletedProcess("", code or 0, *texts)


def run_process(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``synergynet args`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "synergynet", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | COMMAND_ENVIRONMENT,
        cwd=cwd,
        check=False,
    )


def one_error(done: subprocess.CompletedProcess[str], *words: object) -> None:
    """Exit code 1 and one line on stderr that begins with ``error:`` and holds ``words``."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert str(word) in line


def left_at_home(home: Path) -> list[Path]:
    """Files there, but for Numba's compiled loops where the package's own folder is read-only."""
    read_only = not os.access(Path(synergynet.__file__).parent, os.W_OK)
    files = [path for path in home.rglob("*") if path.is_file()]
    return [p for p in files if not (read_only and p.suffix in (".nbi", ".nbc"))]
