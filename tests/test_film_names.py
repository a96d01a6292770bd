"""Films by any name that the system allows; pipes; what is no film at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest
from helpers import ASTRONAUT, COMMAND_ENVIRONMENT, one_error, run

from synergynet.errors import SynergyNetError
from synergynet.files import film_names
from synergynet.files.film_names import Film
from synergynet.files.video import VideoSource

NAMES = (
    *("2024-01-01T10:30:15.mp4", "a%03d.mp4", "h [2019].mp4", "-dash.mp4", "ünï 中 文.mp4"),
    *("https:x.mp4", "concat:a.mp4", "a|b.mp4", "what?.mp4", "*.mp4", "a\nb.mp4", "7"),
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    photo = cv2.imread(str(ASTRONAUT))[:300, :400]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (400, 300))
    for _ in range(3):
        writer.write(photo)
    writer.release()
    return path


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_by_any_name_is_read(film, tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(film, name)
    for path in (Path(name), tmp_path / name):
        source = VideoSource(path)
        assert sum(1 for _ in source) == 3
        source.close()


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
def test_the_command_takes_odd_names_and_writes_them(film, tmp_path) -> None:
    shutil.copyfile(film, tmp_path / "10:30 %03d [x].mp4")
    args = ("10:30 %03d [x].mp4", "-o", "out:%d [y]?.mp4", "--json", "j:%d.jsonl")
    done = run("video", *args, "--draw", "none", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert {p.name for p in tmp_path.iterdir()} == {args[0], args[2], args[4]}
    shutil.copyfile(film, tmp_path / "-dash.mp4")
    assert run("video", "--json", "j", "--", "-dash.mp4", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("https://example.com/a.mp4", "https://example.com/a.mp4: an address"),
        ("rtsp://10.0.0.1:554/live", "FaceTracker"),
        ("0", "--camera 0"),
        ("absent.mp4", "no such video"),
    ],
)
def test_what_is_no_file_is_one_sentence(tmp_path, name, word) -> None:
    one_error(run("video", name, "--json", tmp_path / "x", cwd=tmp_path), word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="devices of POSIX")
def test_a_device_is_no_film(tmp_path) -> None:
    one_error(run("video", "/dev/null", "--json", tmp_path / "x"), "a device", "--camera 0")


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile film.mp4\n", "\ufeff#EXTM3U\n#EXTINF:2,\nfilm.mp4\n",
     "<?xml version='1.0'?>\n<MPD></MPD>", "[playlist]\nFile1=film.mp4\n",
     "v=0\nm=video 5004 RTP/AVP 96\n", "# x\n\nffconcat version 1.0\nfile film.mp4\n"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list.ffconcat", "list.sdp"])
def test_lists_of_other_files_are_refused(film, tmp_path, text, name) -> None:
    shutil.copyfile(film, tmp_path / "film.mp4")
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SynergyNetError, match="not a readable video"):
        VideoSource(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_film_through_standard_input(film, tmp_path, name) -> None:
    lines, spare = tmp_path / "o.jsonl", tmp_path / "spare"
    spare.mkdir()
    command = [sys.executable, "-m", "synergynet", "video", name, "--json", str(lines)]
    done = subprocess.run(
        command, input=film.read_bytes(), capture_output=True, check=False,
        env=os.environ | COMMAND_ENVIRONMENT | {"TMPDIR": str(spare)},
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.startswith(b"standard input: 3 frames")
    assert len(lines.read_text().splitlines()) == 3
    assert list(spare.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_named_pipe_is_copied_and_the_copy_removed(film, tmp_path, monkeypatch) -> None:
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(film_names.tempfile, "tempdir", str(spare))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):  # enough was read
            pipe.write_bytes(film.read_bytes())

    def opened() -> VideoSource:
        threading.Thread(target=feed, daemon=True).start()
        return VideoSource(pipe)

    source = opened()
    assert source.name == str(pipe) and sum(1 for _ in source) == 3
    assert list(spare.iterdir()) != []
    source.close()
    assert list(spare.iterdir()) == []
    monkeypatch.setattr(film_names, "MAX_PIPED_BYTES", 10)
    with pytest.raises(SynergyNetError, match="through a pipe; save the film as a file"):
        opened()
    assert list(spare.iterdir()) == []


def test_no_standard_input(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stdin in (None, Terminal()):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SynergyNetError, match="standard input is no film"):
            Film(Path("-"))


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="devices of POSIX")
def test_results_go_through_devices_pipes_and_links(film, tmp_path) -> None:
    real = tmp_path / "real.mp4"
    (tmp_path / "link.mp4").symlink_to(real)
    done = run("video", film, "--json", "/dev/null", "-o", tmp_path / "link.mp4")
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "link.mp4").is_symlink() and real.stat().st_size > 1000
    assert Path("/dev/null").is_char_device()
    done = run("video", film, "--json", "/dev/stdout")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and [r["frame"] for r in records] == [0, 1, 2]
    assert "3 frames of 400 x 300" in done.stderr  # out of the way
