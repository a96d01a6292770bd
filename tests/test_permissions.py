"""Permissions: whoever may not read or write something is told in a sentence, and work goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import ASTRONAUT, left_at_home, one_error
from other_user import permissions, run_bound, skip_on_windows

pytestmark = skip_on_windows

BRIEF = ("--draw", "none", "--mesh", "none")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """``a.jpg``, ``closed/b.jpg`` and ``open/c.jpg``."""
    folder = tmp_path / "album"
    for name in ("a.jpg", "closed/b.jpg", "open/c.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(ASTRONAUT.read_bytes())
    return folder


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def told_at_the_end(stderr: str, *names: object) -> None:
    """One line for each of ``names`` and one that counts them; no traceback."""
    lines = stderr.splitlines()
    assert len(lines) == len(names) + 1, stderr
    for line, name in zip(lines, names, strict=False):
        assert line.startswith("error: ") and str(name) in line and "ermission" in line


def test_an_unreadable_photo_does_not_stop_the_others(album: Path, tmp_path: Path) -> None:
    with permissions(album / "a.jpg", 0):
        done = run_bound(
            "infer", album / "a.jpg", album / "open/c.jpg", "-o", tmp_path / "out", *BRIEF
        )
    assert done.returncode == 1
    told_at_the_end(done.stderr, album / "a.jpg")
    assert written(tmp_path / "out") == ["c.json"]


def test_nor_does_one_in_a_folder_that_may_not_be_entered(album: Path, tmp_path: Path) -> None:
    with permissions(album / "closed", 0):
        done = run_bound(
            "infer", album / "closed/b.jpg", album / "a.jpg", "-o", tmp_path / "out", *BRIEF
        )
    assert done.returncode == 1
    told_at_the_end(done.stderr, album / "closed/b.jpg")
    assert written(tmp_path / "out") == ["a.json"]


def test_a_closed_folder_below_is_told_at_the_end(album: Path, tmp_path: Path) -> None:
    with permissions(album / "closed", 0):
        done = run_bound("infer", album, "-r", "-o", tmp_path / "out", *BRIEF)
    assert done.returncode == 1
    assert str(album / "closed") in done.stderr and "ermission" in done.stderr
    assert "Traceback" not in done.stderr
    assert written(tmp_path / "out") == ["a.json", "open/c.json"]


def test_so_is_one_that_a_pattern_would_search(album: Path, tmp_path: Path) -> None:
    with permissions(album / "closed", 0):
        done = run_bound("infer", f"{album}/*/*.jpg", "-o", tmp_path / "out", *BRIEF)
    assert done.returncode == 1
    assert str(album / "closed") in done.stderr and "ermission" in done.stderr
    assert written(tmp_path / "out") == ["open/c.json"]


def test_a_list_goes_on_too(album: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{album}/closed/b.jpg\n{album}/a.jpg\n{album}/open/c.jpg\n")
    with permissions(album / "closed", 0), permissions(album / "a.jpg", 0):
        done = run_bound("infer", "--list", names, "-o", tmp_path / "out", *BRIEF)
    assert done.returncode == 1
    told_at_the_end(done.stderr, album / "closed/b.jpg", album / "a.jpg")
    assert written(tmp_path / "out") == ["open/c.json"]


def test_a_folder_that_may_be_listed_but_not_read_is_told_photo_by_photo(
    album: Path, tmp_path: Path
) -> None:
    with permissions(album / "closed", 0o444):
        done = run_bound("infer", album, "-r", "-o", tmp_path / "out", *BRIEF)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert str(album / "closed") in done.stderr
    assert written(tmp_path / "out") == ["a.json", "open/c.json"]


@pytest.mark.slow
def test_several_workers_tell_the_same(album: Path, tmp_path: Path) -> None:
    with permissions(album / "closed", 0), permissions(album / "a.jpg", 0):
        done = run_bound(
            *("infer", album / "a.jpg", album / "closed/b.jpg", album / "open/c.jpg"),
            *("-o", tmp_path / "out", "--workers", 2, *BRIEF),
        )
    assert done.returncode == 1
    assert str(album / "a.jpg") in done.stderr and str(album / "closed/b.jpg") in done.stderr
    assert "Traceback" not in done.stderr and written(tmp_path / "out") == ["c.json"]


@pytest.mark.parametrize("where", ["", "new"])
@pytest.mark.parametrize("mode", [0, 0o555])
@pytest.mark.parametrize("brief", [(), BRIEF], ids=["everything", "brief"])
def test_an_output_without_permission_is_one_sentence(
    tmp_path: Path, where: str, mode: int, brief: tuple[str, ...]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with permissions(closed, mode):
        done = run_bound("infer", ASTRONAUT, "-o", closed / where, *brief)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert str(closed) in done.stderr.splitlines()[-1]
    assert list(closed.iterdir()) == []


def test_the_default_output_in_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    with permissions(tmp_path, 0o555):
        done = run_bound("infer", ASTRONAUT, cwd=tmp_path)
        one_error(done, "output", "ermission")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_working_folder_does_no_harm(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    with permissions(here, 0o555):
        done = run_bound("infer", ASTRONAUT, "-o", tmp_path / "out", *BRIEF, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("home", ["none", "read-only", "missing", "closed"])
def test_no_home_is_needed(tmp_path: Path, home: str) -> None:
    """As in containers, cron and services: ``env -i``, or a home that is not one's own."""
    place = tmp_path / "home"
    if home != "missing":
        place.mkdir()
    environment = {} if home == "none" else {"HOME": str(place)}
    mode = {"read-only": 0o555, "closed": 0}.get(home, 0o755)
    with permissions(place if place.exists() else tmp_path, mode):
        done = run_bound("infer", ASTRONAUT, "-o", tmp_path / "out", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path / "out") == ["astronaut.json"]
    assert not place.exists() or left_at_home(place) == []


COMMANDS = {
    "weights": ("infer", ASTRONAUT, "-o", "out", "--weights", "closed/net.onnx"),
    "face model": ("infer", ASTRONAUT, "-o", "out", "--face-model", "closed/model.npz"),
    "list": ("infer", "--list", "closed/names.txt", "-o", "out"),
    "summary": ("infer", ASTRONAUT, "-o", "out", *BRIEF, "--summary", "closed/faces.csv"),
    "video": ("video", "closed/talk.mp4", "-o", "drawn.mp4"),
    "benchmark": ("eval", "--root", "closed/aflw2000_data"),
    "convert": ("convert", "closed/net.safetensors", "net.ckpt"),
    "synth": ("data", "synth", "-n", 1, "-o", "closed/faces", "--workers", 1),
    "turn": ("data", "turn", "closed/crops", "-o", "turned"),
    "pack": ("data", "pack", "closed/crops", "-o", "packed"),
    "recipe": ("train", "closed/recipe.yaml"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_whatever_may_not_be_read_or_written_is_one_sentence(tmp_path: Path, what: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with permissions(closed, 0):
        done = run_bound(*COMMANDS[what], cwd=tmp_path)
        errors = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 1 and len(errors) == 1, done.stderr
    assert errors[0].startswith("error: closed/"), errors
    assert {*os.listdir(tmp_path)} <= {"closed", "out"}  # noqa: PTH208


def test_a_face_model_or_weights_without_permission_are_not_called_damaged(
    tmp_path: Path,
) -> None:
    for option, name in (("--weights", "net.onnx"), ("--face-model", "model.npz")):
        file = tmp_path / name
        file.write_bytes(b"anything")
        with permissions(file, 0):
            done = run_bound("infer", ASTRONAUT, "-o", tmp_path / "out", option, file)
        one_error(done, file, "ermission")
