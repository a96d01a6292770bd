"""Killed, on a full disk, interrupted: at every moment at which a command touches the disk."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPO

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are copied")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_NEEDS = {"train": "torch", "convert": "torch", "export": "torch", "prepare": "scipy"}


def report(scenario: str, action: str, folder: Path, most: int) -> dict:
    """In a process without threads, which can be copied."""
    package = _NEEDS.get(scenario)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    quiet = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "faults", scenario, str(folder), action, str(most)],
        env=os.environ | _ONE_THREAD | quiet | {"PYTHONPATH": str(REPO / "tests")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("action", ["kill", "full"])
@pytest.mark.parametrize("scenario", ["infer", "pack"])
def test_some_moments(scenario: str, action: str, tmp_path: Path) -> None:
    found = report(scenario, action, tmp_path / "f", 8)
    assert found["moments"] > 20 and found["tried"] == 8 and not found["wrong"]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "full", "interrupt"])
@pytest.mark.parametrize("scenario", ["infer", "video", "pack", "prepare", "synth"])
def test_every_moment(scenario: str, action: str, tmp_path: Path) -> None:
    found = report(scenario, action, tmp_path / "f", 10**9)
    assert found["tried"] == found["moments"] and not found["wrong"]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "full"])
@pytest.mark.parametrize(("scenario", "most"), [("train", 4), ("convert", 6), ("export", 1)])
def test_moments_of_what_takes_long(scenario: str, most: int, action: str, tmp_path: Path) -> None:
    found = report(scenario, action, tmp_path / "f", most)
    assert found["tried"] and not found["wrong"]
