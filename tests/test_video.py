"""``synergynet video`` as a user meets it, and the reading and writing behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT, one_error, run
from known_answers import Scene, place_picture, tracker
from typer.testing import CliRunner

from synergynet.cli.main import app
from synergynet.errors import SynergyNetError
from synergynet.files import containers, video_output
from synergynet.files.video import VideoFrame, VideoSource
from synergynet.files.video_output import VideoWriter, keep_sound
from synergynet.files.whole_file import CannotWriteError
from synergynet.jobs import videos as video
from synergynet.jobs.videos import draw_tracked, process_video

FRAMES = 12


def write_video(path: Path, frames: list[np.ndarray], rate: float = 25.0) -> Path:
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def read_video(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        frames.append(answer[1])
    return frames


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A public-domain photo with one face: an astronaut's portrait by NASA."""
    photo = cv2.imread(str(ASTRONAUT))
    return photo[:300, :400]


@pytest.fixture(scope="module")
def clip(tmp_path_factory, portrait) -> Path:
    """Twelve frames in which that face moves to the right, 2 pixels per frame."""
    frames = [np.roll(portrait, 2 * k, axis=1) for k in range(FRAMES)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


def test_a_video_becomes_a_drawn_video_and_json_lines(clip, tmp_path) -> None:
    output, lines = tmp_path / "new" / "out.mp4", tmp_path / "frames.jsonl"
    done = run("video", clip, "-o", output, "--json", lines, "--draw", "mesh,pose,id")
    assert done.returncode == 0 and done.stderr == ""
    assert f"{FRAMES} frames of 400 x 300 pixels, 1 face, " in done.stdout
    assert str(output) in done.stdout and "frames/s" in done.stdout
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [r["frame"] for r in records] == list(range(FRAMES))
    assert [r["time"] for r in records] == pytest.approx(np.arange(FRAMES) / 25, abs=1e-3)
    assert all((r["width"], r["height"]) == (400, 300) for r in records)
    assert [[f["id"] for f in r["faces"]] for r in records] == [[0]] * FRAMES
    assert [r["faces"][0]["age"] for r in records] == list(range(FRAMES))
    first, last = (np.array(records[k]["faces"][0]["landmarks"]) for k in (0, -1))
    assert 150 < first[:, 0].mean() < 250 and 50 < first[:, 1].mean() < 200
    moved = (last - first)[:, :2].mean(axis=0)
    assert moved == pytest.approx((22, 0), abs=3)
    assert {"pose", "coefficients", "arkit", "box", "confidence"} <= set(records[0]["faces"][0])
    drawn, plain = read_video(output), read_video(clip)
    assert len(drawn) == FRAMES and drawn[0].shape == (300, 400, 3)
    difference = np.abs(drawn[-1].astype(int) - plain[-1]).mean(axis=2)
    x, y = last[30, :2].round().astype(int)
    assert difference[y - 20 : y + 20, x - 20 : x + 20].mean() > 15  # a grey mesh on the face
    assert difference[:40, :40].mean() < 8  # what is not the face stays
    assert {p.name for p in tmp_path.iterdir()} == {"new", "frames.jsonl"}


@pytest.mark.slow
def test_json_alone_and_without_smoothing(clip, tmp_path) -> None:
    for name, options in (("a", []), ("b", ["--no-smooth"])):
        done = run("video", clip, "--json", tmp_path / name, "--draw", "none", *options)
        assert done.returncode == 0
    a, b = (
        np.array([json.loads(line)["faces"][0]["landmarks"] for line in path.open()])
        for path in (tmp_path / "a", tmp_path / "b")
    )
    assert a[0] == pytest.approx(b[0], abs=0.01)
    assert 0.05 < np.abs(a[1:] - b[1:])[..., :2].max() < 8


def test_a_bad_video_is_one_sentence_and_leaves_nothing(clip, tmp_path) -> None:
    (tmp_path / "text.mp4").write_text("once upon a time")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:5000])
    output = tmp_path / "out"
    files = ["-o", output / "o.mp4", "--json", output / "o.jsonl"]
    one_error(run("video", tmp_path / "cut.mp4", *files), "cut.mp4", "not a readable video")
    for name, word in (
        ("text.mp4", "not a readable video"),
        ("empty.mp4", "empty file"),
        ("absent.mp4", "no such video"),
        ("", "a folder"),
    ):
        done = CliRunner().invoke(app, list(map(str, ["video", tmp_path / name, *files])))
        assert isinstance(done.exception, SynergyNetError)
        assert str(done.exception).startswith(f"{tmp_path / name}: {word}")
    assert list(output.iterdir()) == []


def test_a_video_that_breaks_off_is_done_up_to_there(portrait, tmp_path) -> None:
    whole = write_video(tmp_path / "whole.avi", [portrait] * 30)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    done = run("video", cut, "--json", tmp_path / "o.jsonl", "-o", tmp_path / "o.mp4")
    one_error(done, cut, "cut off or damaged after")
    lines = (tmp_path / "o.jsonl").read_text().splitlines()
    assert 5 < len(lines) < 15 and len(read_video(tmp_path / "o.mp4")) == len(lines)
    assert all(json.loads(line)["faces"] for line in lines)


def test_an_mp4_knows_its_length(clip, tmp_path) -> None:
    data = clip.read_bytes()
    for name, content, whole in (
        ("whole.mp4", data, True),
        ("cut.mp4", data[:-100], False),
        ("open.mp4", data[:40].replace(data[:4], (32).to_bytes(4, "big"), 1) + b"\0" * 4, False),
        ("other.ts", b"G" + data, None),
    ):
        (tmp_path / name).write_bytes(content)
        assert containers.file_is_whole(tmp_path / name) is whole


def test_wrong_usage(clip, tmp_path) -> None:
    out = tmp_path / "o.mp4"
    for args in (
        [], [clip], [clip, "--camera", 0, "-o", out], [clip, "-o", out, "--draw", "hat"],
        [clip, "-o", out, "--draw", "mesh,solid"], [clip, "-o", out, "--detect-every", 0],
        [clip, "--camera", -1],
    ):  # fmt: skip
        assert CliRunner().invoke(app, ["video", *map(str, args)]).exit_code == 2
    for args, word in (
        ([clip, "-o", tmp_path / "o.gif"], "o.gif: videos are written as .mp4"),
        ([clip, "-o", clip], "given twice"),
        ([clip, "-o", out, "--json", out], "given twice"),
        ([clip, "--json", tmp_path], "a folder"),
    ):
        done = CliRunner().invoke(app, ["video", *map(str, args)])
        assert isinstance(done.exception, SynergyNetError) and word in str(done.exception)
    one_error(run("video", "--camera", 63, "--json", tmp_path / "x"), "camera 63 cannot be opened")
    assert list(tmp_path.iterdir()) == []


def test_no_window_names_the_cure(clip, monkeypatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert "pip install opencv-python" in str(video.window_problem())
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "QT5")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    assert video.window_problem() is None
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no display" in str(video.window_problem())
    if not cv2.currentUIFramework():
        one_error(run("video", clip, "--window"), "opencv-python")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_work_is_kept(portrait, tmp_path, number) -> None:
    source = write_video(tmp_path / "long.mp4", [portrait] * 1500)
    output, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "synergynet", "video", source, "-o", output, "--json", lines]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size for p in tmp_path.glob(".partial-*/out.jsonl")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        text, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number and errors == ""
    assert "stopped early" in text
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert 0 < len(records) < 1500 and len(read_video(output)) == len(records)
    assert {p.name for p in tmp_path.iterdir()} == {"long.mp4", "out.mp4", "out.jsonl"}


class Frames:
    """A source of ``count`` frames that exist one at a time."""

    name, path, size, frame_rate, start = "made up", None, (300, 400), 25.0, 0.0

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self):
        for k in range(self.count):
            yield VideoFrame(k, k / 25, place_picture())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tiny_model, tmp_path) -> None:
    scene = Scene(tiny_model, (100, 120, 80))
    held = {}

    def note(done: int) -> None:
        scene.batches.clear()
        if done in (20, 90):
            held[done] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        summary = process_video(
            Frames(90), tracker(scene, tiny_model, smooth=True), output=tmp_path / "o.avi",
            json_lines=tmp_path / "o.jsonl", progress=note,
        )  # fmt: skip
    finally:
        tracemalloc.stop()
    assert summary.frames == 90 and summary.faces == 1 and summary.notes == []
    assert held[90] - held[20] < place_picture().nbytes / 4  # of 70 frames


def test_an_error_leaves_no_files(tiny_model, tmp_path) -> None:
    scene = Scene(tiny_model, (100, 120, 80))
    follow = tracker(scene, tiny_model)

    def fail(done: int) -> None:
        if done == 3:
            raise SynergyNetError("enough")

    with pytest.raises(SynergyNetError, match="enough"):
        process_video(
            Frames(9), follow, output=tmp_path / "o.mp4", json_lines=tmp_path / "j", progress=fail
        )
    assert list(tmp_path.iterdir()) == []


def test_showing_and_stopping(tiny_model) -> None:
    scene = Scene(tiny_model, (100, 120, 80))
    shown = []
    summary = process_video(
        Frames(9),
        tracker(scene, tiny_model),
        draw=["box"],
        show=lambda picture: shown.append(picture) or len(shown) < 4,
    )
    assert summary.frames == 4 and (shown[0] != place_picture()).any()
    assert process_video(Frames(9), tracker(scene, tiny_model), stop=lambda: True).frames == 1


def test_the_writer_keeps_time(portrait, tmp_path) -> None:
    """A varying frame rate becomes a constant one: frames are repeated, or left out."""
    writer = VideoWriter(tmp_path / "o.avi", (300, 400), 25.0)
    for grey, at in ((0, 0.0), (50, 0.04), (100, 0.2), (150, 0.21), (200, 0.24)):
        writer.write(np.full((300, 400, 3), grey, np.uint8), at)
    writer.close()
    greys = [round(float(frame.mean()) / 50) for frame in read_video(tmp_path / "o.avi")]
    assert greys == [0, 1, 2, 2, 2, 2, 4]
    writer = VideoWriter(tmp_path / "b.mp4", (300, 400), 30000 / 1001)
    for k in range(100):
        writer.write(portrait, k * 1001 / 30000)
    assert writer.frames_written == 100
    writer.close()
    (tmp_path / "b.mp4").write_bytes(b"")
    with pytest.raises(CannotWriteError, match="disk full"):
        writer.close()
    with pytest.raises(SynergyNetError, match="cannot write"):
        VideoWriter(tmp_path / "absent" / "o.mp4", (300, 400), 25.0)


class FakeCapture:
    """A capture whose frames, clock and properties are given."""

    def __init__(self, frames, times=None, **properties: float) -> None:
        self.frames, self.at = frames, -1
        self.times = [40 * k for k in range(len(frames))] if times is None else times
        self.properties = {getattr(cv2, f"CAP_PROP_{k}"): v for k, v in properties.items()}

    def isOpened(self) -> bool:
        return True

    def read(self):
        self.at += 1
        return (True, self.frames[self.at]) if self.at < len(self.frames) else (False, None)

    def get(self, number: int) -> float:
        if number == cv2.CAP_PROP_POS_MSEC:
            return self.times[min(self.at, len(self.times) - 1)]
        return self.properties.get(number, 0.0)

    def release(self) -> None:
        pass


def fake(monkeypatch, capture: FakeCapture, source: Path | int = 0) -> VideoSource:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    return VideoSource(source)


def test_sources_of_all_kinds(clip, monkeypatch) -> None:
    frames = [np.zeros((60, 80, 3), np.uint8), np.ones((60, 80), np.uint8)]
    frames += [np.full((40, 30, 3), 7, np.uint8)]
    source = fake(monkeypatch, FakeCapture(frames, FPS=float("nan")), clip)
    assert source.size == (60, 80) and source.frame_rate == 25 and source.frame_count is None
    images = [frame.image for frame in source]
    assert [image.shape for image in images] == [(60, 80, 3)] * 3  # grey and small ones as well
    assert images[2].mean() == 7 and source.complaint() is None
    # Clocks that start late, stand still, go back, or leap for hours.
    times = [100, 140, 140, 60, 1e9, 340]
    source = fake(monkeypatch, FakeCapture(frames[:1] * 6, times, FPS=25), clip)
    seen = [frame.time for frame in source]
    assert seen == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.24])
    # OpenCV turns frames by their metadata, but not always the declared width and height.
    upright = np.zeros((80, 60, 3), np.uint8)
    source = fake(monkeypatch, FakeCapture([upright], FRAME_WIDTH=80, FRAME_HEIGHT=60), clip)
    assert source.size == (80, 60)
    with pytest.raises(SynergyNetError, match="megapixels"):
        fake(monkeypatch, FakeCapture(frames, FRAME_WIDTH=2e4, FRAME_HEIGHT=2e4), clip)
    with pytest.raises(SynergyNetError, match="camera 0 gives no picture"):
        fake(monkeypatch, FakeCapture([]))


@pytest.mark.slow
def test_a_camera(portrait, tmp_path, monkeypatch) -> None:
    """Its time is the computer's; with a display it is shown until q is pressed."""
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeCapture([portrait] * 9, FPS=30))
    shown = []
    monkeypatch.setattr(video, "window_problem", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture), raising=False)
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    lines = tmp_path / "c.jsonl"
    done = CliRunner().invoke(app, ["video", "--camera", "0", "--json", str(lines)])
    assert done.exit_code == 0 and "camera 0: 3 frames of 400 x 300" in done.stdout
    assert len(shown) == 3 and (shown[0] != portrait).any()
    times = [json.loads(line)["time"] for line in lines.open()]
    assert len(times) == 3 and times[0] == 0 < times[1] < times[2] < 60
    # Without a display the files alone are written.
    monkeypatch.setattr(video, "window_problem", lambda: "no window here")
    done = CliRunner().invoke(app, ["video", "--camera", "0", "--json", str(lines)])
    assert done.exit_code == 0 and len(lines.read_text().splitlines()) == 9
    done = CliRunner().invoke(app, ["video", "--camera", "0"])
    assert str(done.exception) == "no window here"


def test_every_kind_of_drawing(portrait) -> None:
    from synergynet import FaceAnalyzer
    from synergynet.pipeline.tracking import FaceTracker

    faces = FaceTracker(FaceAnalyzer(mirror=False, threads=1))(portrait)
    before = portrait.copy()
    pictures = {}
    for kind in (*video.SURFACES, *video.LINES):
        picture = pictures[kind] = draw_tracked(portrait, faces, [kind])
        assert picture.shape == portrait.shape and picture.dtype == np.uint8
        assert (picture != portrait).any()
        empty = draw_tracked(portrait, [], [kind])
        assert empty.shape == portrait.shape and empty.dtype == np.uint8
        if kind in video.LINES:
            assert np.array_equal(empty, portrait)
        elif kind != "mesh":  # the ground is the same with and without faces
            assert np.array_equal(empty[0, 0], picture[0, 0])
    assert np.array_equal(portrait, before)
    depth = pictures["depth"][..., 0]
    x, y = faces[0].face.landmarks[30, :2].round().astype(int)
    assert depth[y, x] > 150 and depth[5, 5] == 0 and depth[depth > 0].min() > 20
    both = draw_tracked(portrait, faces, ["landmarks", "solid"])
    assert (both != pictures["solid"]).any() and np.array_equal(both[0, 0], pictures["solid"][0, 0])
    assert np.array_equal(draw_tracked(portrait, faces, []), portrait)
    with pytest.raises(SynergyNetError, match="hat"):
        draw_tracked(portrait, faces, ["hat"])
    with pytest.raises(SynergyNetError, match="one of them"):
        draw_tracked(portrait, faces, ["mesh", "depth"])


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for ffmpeg")
def test_sound_is_added_by_ffmpeg(clip, tmp_path, monkeypatch) -> None:
    """test_films.py has the real one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "ffmpeg"
    target = tmp_path / "o.mp4"

    def install(script: str) -> None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    write = 'for last; do :; done; echo "$@" > "${last#file:}"'
    install(write)
    target.write_bytes(b"silent")
    assert keep_sound(target, clip, 1.5, start=0.25) is None
    command = target.read_text()
    assert "-itsoffset 0.250000 " in command and "-map 0:v:0 -map 1:a? " in command
    assert "-c copy -t 1.750" in command and command.count("-protocol_whitelist file -i ") == 2
    assert f"-i file:{target} " in command and f"-i file:{clip} " in command
    # Sound that the format cannot hold is encoded again, pictures are not.
    install(f'case "$*" in *"-c:v copy"*) {write};; *) exit 1;; esac')
    target.write_bytes(b"silent")
    assert keep_sound(target, clip, 1.5) is None and "-c:v copy -t" in target.read_text()
    install("exit 1")
    target.write_bytes(b"silent")
    assert "no sound" in str(keep_sound(target, clip, 1.5))
    assert target.read_bytes() == b"silent"
    monkeypatch.setattr(video_output.shutil, "which", lambda _: None)
    assert "not installed" in str(keep_sound(target, clip, 1.5))


@pytest.mark.slow
def test_a_real_video(shared_data) -> None:
    from synergynet import FaceAnalyzer
    from synergynet.pipeline.tracking import FaceTracker

    path = shared_data / "photos" / "obama.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    source = VideoSource(path)
    follow = FaceTracker(FaceAnalyzer(mirror=False, threads=1), frame_rate=source.frame_rate)
    ids, confidence = set(), []
    for frame in source:
        (face,) = follow(frame.image, frame.time)
        ids.add(face.id)
        confidence.append(face.face.confidence)
    # Its edit list hides most of what its header counts: that is no damage.
    assert source.frames_read == 55 and source.frame_count == 158 and source.complaint() is None
    assert ids == {0} and min(confidence) > 0.9
