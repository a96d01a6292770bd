"""Messages that cannot be shown never stop the work. Each test is a command in a shell."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ASTRONAUT, COMMAND_ENVIRONMENT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="redirections of a POSIX shell")

COMMAND = f"{shlex.quote(sys.executable)} -m synergynet"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``line`` in bash, where ``$S`` is the command."""
    variables = os.environ | COMMAND_ENVIRONMENT | {"S": COMMAND} | environment
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, env=variables, check=False, timeout=120
    )


@pytest.fixture
def infer(tmp_path: Path) -> str:
    """Three photos' worth of work."""
    for name in "abc":
        (tmp_path / f"{name}.jpg").symlink_to(ASTRONAUT)
    photos = " ".join(shlex.quote(str(tmp_path / f"{name}.jpg")) for name in "abc")
    out = shlex.quote(str(tmp_path / "out"))
    return f"$S infer {photos} -o {out} --quality fast --draw none --mesh none"


def results(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "out").glob("*.json"))


@pytest.mark.parametrize(
    "redirection",
    [">&-", ">&- 2>&- <&-", "| true", "| head -1", "2>&- | true"],
)
def test_all_photos_are_done_though_nobody_listens(
    tmp_path: Path, infer: str, redirection: str
) -> None:
    done = shell(f"set -o pipefail; {infer} {redirection}")
    assert results(tmp_path) == ["a.json", "b.json", "c.json"]
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_full_disk_behind_the_messages_is_told_at_the_end(tmp_path: Path, infer: str) -> None:
    done = shell(f"{infer} > /dev/full")
    assert results(tmp_path) == ["a.json", "b.json", "c.json"]
    assert done.returncode == 1
    assert done.stderr == b"error: standard output: cannot be written (No space left on device)\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_are_shown_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    name = os.fsdecode("für日".encode() + b"\xff.jpg")
    (tmp_path / name).symlink_to(ASTRONAUT)
    out = shlex.quote(str(tmp_path / "out"))
    folder = shlex.quote(str(tmp_path))
    done = shell(
        f"$S infer {folder}/f*.jpg -o {out} --quality fast --draw none --mesh none",
        PYTHONIOENCODING=encoding,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    assert "\\udcff.jpg: 1 face" in shown
    assert ("für" in shown) == (encoding != "ascii")


def test_a_pipe_that_does_not_wait_loses_nothing() -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "read, write = os.pipe(); os.set_blocking(write, False)\n"
        "text = 'from synergynet.cli.streams import unfailing_streams as u\\n"
        'with u() as lost:\\n    print("x" * 500000)\\nassert lost() is None\'\n'
        "child = subprocess.Popen([sys.executable, '-c', text], stdout=write); os.close(write)\n"
        "time.sleep(0.5); n = 0\n"
        "while part := os.read(read, 65536): n += len(part)\n"
        "print(n, child.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stdout.split() == [b"500001", b"0"], done.stderr


@pytest.mark.parametrize("command", ["--help", "--version", "infer --help"])
def test_help_that_cannot_be_written_fails_in_a_sentence(command: str) -> None:
    done = shell(f"$S {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == b"error: standard output: cannot be written (No space left on device)\n"


def test_what_the_system_refuses_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = shell(f"$S eval --root {shlex.quote(str(file))}/below")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
