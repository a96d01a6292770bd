"""No command looks for a network, or writes where nobody asked it to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ASTRONAUT, COMMAND_ENVIRONMENT, REPO, left_at_home

WEIGHTS = REPO / "weights" / "efficientnet_lite0.safetensors"

COMMANDS = {
    "help": (("--help",), ()),
    "infer": (("infer", ASTRONAUT, "-o", "out", "--draw", "all", "--mesh", "glb"), ()),
    "infer openvino": (("infer", ASTRONAUT, "-o", "out", "--weights", "net.xml"), ("openvino",)),
    "infer torch": (("infer", ASTRONAUT, "-o", "out", "--weights", WEIGHTS), ("torch",)),
    "infer workers": (("infer", ".", "-o", "out", "--workers", 2, "--draw", "none"), ()),
    "infer parquet": (("infer", ASTRONAUT, "-o", "out", "--summary", "a.parquet"), ("pyarrow",)),
    "video": (("video", "talk.mp4", "-o", "drawn.mp4", "--json", "frames.jsonl"), ()),
    "eval": (("eval", "--root", "aflw2000_data"), ()),
    "convert": (("convert", WEIGHTS, "net.ckpt"), ()),
    "export": (("export", WEIGHTS, "-o", "net.onnx"), ("torch", "onnxscript")),
    "export openvino": (("export", WEIGHTS, "-o", "new.xml"), ("torch", "openvino")),
    "synth": (("data", "synth", "-n", 2, "-o", "faces", "--workers", 1), ()),
    "pack": (("data", "pack", "faces", "-o", "packed"), ()),
}
"""Name -> the command, and the libraries without which it is left out."""

SLOW = {"export", "export openvino", "infer torch", "infer openvino", "infer workers", "eval"}

# What Python's own sockets would do is refused and told; strace sees what other code does.
REFUSE = """
import socket, sys

def _refuse(event, details):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        print("network:", event, details, file=sys.stderr)
        raise OSError("no network in this test")

sys.addaudithook(_refuse)
"""
OUTWARD = re.compile(r"\bAF_INET6?\b|connect\(|sendto\(")
"""Of a line of strace. Pairs of the process itself and questions to the kernel are no calls."""
USER_NAMES = "/var/run/nscd/socket"
"""Where the C library asks this machine for the name of a user, which torch does."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder with a photo and a film, beside an empty home and temporary folder."""
    import cv2

    for name in ("work", "home", "temporary", "hook"):
        (tmp_path / name).mkdir()
    work = tmp_path / "work"
    photo = cv2.imread(str(ASTRONAUT))
    cv2.imwrite(str(work / "photo.jpg"), photo)
    cv2.imwrite(str(work / "other.jpg"), photo)
    size = (photo.shape[1], photo.shape[0])
    film = cv2.VideoWriter(str(work / "talk.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
    for _ in range(4):
        film.write(photo)
    film.release()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REFUSE)
    return work


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in COMMANDS]
)
def test_a_command_stays_at_home_and_leaves_nothing_there(
    place: Path, name: str, request: pytest.FixtureRequest
) -> None:
    command, needs = COMMANDS[name]
    for library in needs:
        pytest.importorskip(library)
    if name == "eval":
        (place / "aflw2000_data").symlink_to(
            request.getfixturevalue("shared_data") / "aflw2000_data"
        )
    home, temporary, hook = (place.parent / n for n in ("home", "temporary", "hook"))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    env |= COMMAND_ENVIRONMENT | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(hook),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if name == "pack":
        made = [sys.executable, "-m", "synergynet", *map(str, COMMANDS["synth"][0])]
        subprocess.run(made, cwd=place, env=env, check=True, capture_output=True)
    if name == "infer openvino":
        made = [sys.executable, "-m", "synergynet", "export", str(WEIGHTS), "-o", "net.xml"]
        subprocess.run(made, cwd=place, env=env, check=True, capture_output=True)
    log = place.parent / "calls"
    strace = shutil.which("strace")
    watched = (
        [strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=network", "-o", str(log)]
        if strace
        else []
    )
    done = subprocess.run(
        [*watched, sys.executable, "-m", "synergynet", *map(str, command)],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "network:" not in done.stderr
    calls = log.read_text().splitlines() if strace else []
    assert not [line for line in calls if OUTWARD.search(line) and USER_NAMES not in line]
    assert left_at_home(home) == []
    left = [path.name for path in temporary.rglob("*")]
    assert [name for name in left if not name.startswith("torchinductor_")] == []  # an empty folder
