"""What a container says of its streams is honoured, in the analysis and in the output."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from films import SIZE, ffmpeg, ffmpeg_program, first_picture, starts, write_base
from helpers import one_error, run

from synergynet.errors import SynergyNetError
from synergynet.files import containers
from synergynet.files.video import VideoSource

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links to ffmpeg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("films")
    write_base(out)
    return out


@pytest.fixture
def with_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ffmpeg`` on the PATH, wherever the tests have it from."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ffmpeg").symlink_to(ffmpeg_program())
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


def times(path: Path) -> list[float]:
    return [json.loads(line)["time"] for line in path.open(encoding="utf-8")]


def late_picture(folder: Path, ending: str) -> Path:
    path = folder / f"late{ending}"
    if not path.exists():
        sound = ["-i", folder / "tone.m4a", "-map", "0:v", "-map", "1:a"]
        ffmpeg("-itsoffset", 1, "-i", folder / "base.mp4", *sound, "-c", "copy", path)
    return path


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_picture_that_starts_after_its_sound(folder, tmp_path, with_ffmpeg, ending) -> None:
    """In the JSON, and in the output by the same amount."""
    film = late_picture(folder, ending)
    lines, output = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    done = run("video", film, "--json", lines, "-o", output)
    assert done.returncode == 0 and done.stderr == ""
    before, after = starts(film), starts(output)
    late = before["video"] - before["audio"]
    assert late == pytest.approx(1, abs=0.05)
    assert times(lines)[:2] == pytest.approx([late, late + 0.04], abs=0.002)
    assert after["video"] - after["audio"] == pytest.approx(late, abs=0.005)


def test_who_tells_when_the_picture_starts(folder, monkeypatch, with_ffmpeg) -> None:
    """MP4's own head; else PyAV; else ffmpeg; else nobody."""
    mp4, mkv = late_picture(folder, ".mp4"), late_picture(folder, ".mkv")
    head = containers.film_head(mp4)
    assert head is not None and head.start == 1 and head.code == "avc1"
    assert containers.film_head(mkv) is None
    by_pyav = containers.picture_start(mkv)
    without_pyav(monkeypatch)
    assert containers.picture_start(mkv) == pytest.approx(by_pyav, abs=0.002)
    monkeypatch.setenv("PATH", str(folder))
    assert containers.picture_start(mkv) == 0
    assert containers.picture_start(mp4, head) == 1


def test_sound_that_starts_after_the_picture(folder, tmp_path, with_ffmpeg) -> None:
    film, output = folder / "late_sound.mkv", tmp_path / "o.mov"
    sound = ["-itsoffset", 0.2, "-i", folder / "tone.m4a", "-map", "0:v", "-map", "1:a"]
    ffmpeg("-i", folder / "base.mp4", *sound, "-c", "copy", film)
    assert run("video", film, "-o", output, "--draw", "none").returncode == 0
    before, after = starts(film), starts(output)
    assert before["audio"] - before["video"] == pytest.approx(0.2, abs=0.03)
    assert after["audio"] - after["video"] == pytest.approx(
        before["audio"] - before["video"], abs=0.005
    )


@pytest.mark.parametrize("codec", ["libopus", "libvorbis", "pcm_s16le", "flac", "libmp3lame"])
@pytest.mark.slow
def test_sound_of_any_codec(folder, tmp_path, with_ffmpeg, codec) -> None:
    film = folder / f"{codec}.mkv"
    ffmpeg(
        "-i", folder / "base.mp4", "-i", folder / "tone.m4a", "-c:v", "copy", "-c:a", codec, film
    )
    for ending in (".mp4", ".avi"):
        output = tmp_path / f"o{ending}"
        done = run("video", film, "-o", output, "--draw", "none")
        assert done.returncode == 0 and "no sound" not in done.stdout
        assert set(starts(output)) == {"video", "audio"}


def test_chapters_are_kept_subtitles_are_not(folder, tmp_path, with_ffmpeg) -> None:
    av = pytest.importorskip("av")
    notes, words, film = folder / "chapters.txt", folder / "words.srt", folder / "chapters.mkv"
    notes.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=300\ntitle=one\n")
    words.write_text("1\n00:00:00,000 --> 00:00:00,300\nhello\n")
    ffmpeg("-i", folder / "base.mp4", "-i", words, "-i", notes, "-map", 0, "-map", 1,
           "-map_metadata", 2, "-c:v", "copy", "-c:s", "srt", film)  # fmt: skip
    output = tmp_path / "o.mkv"
    assert run("video", film, "-o", output, "--draw", "none").returncode == 0
    with av.open(str(output)) as made:
        assert [c["metadata"]["title"] for c in made.chapters()] == ["one"]
        assert [s.type for s in made.streams] == ["video"]


@pytest.mark.parametrize(
    "matrix",
    [
        ["-display_rotation", "90"],
        ["-display_hflip"],
        ["-display_vflip"],
        ["-display_rotation", "90", "-display_hflip"],
    ],
    ids=lambda options: "".join(options),
)
def test_turned_and_mirrored_films_are_upright(folder, tmp_path, matrix) -> None:
    film = tmp_path / "turned.mp4"
    ffmpeg(*matrix, "-i", folder / "base.mp4", "-c", "copy", film)
    source = VideoSource(film)
    image = next(iter(source)).image
    source.close()
    assert np.abs(image.astype(int) - first_picture(film, image.shape)).max() <= 3
    assert source.size == (SIZE[::-1] if "90" in matrix else SIZE)


@pytest.mark.parametrize(("aspect", "scale"), [("2/1", "200:300"), ("1/2", "400:150")])
@pytest.mark.parametrize("turned", [False, True])
def test_pixels_that_are_not_square_are_made_so(folder, tmp_path, aspect, scale, turned) -> None:
    film = tmp_path / "wide.mp4"
    ffmpeg("-i", folder / "base.mp4", "-vf", f"scale={scale},setsar={aspect}", film)
    if turned:
        film.rename(tmp_path / "lying.mp4")
        ffmpeg("-display_rotation", 90, "-i", tmp_path / "lying.mp4", "-c", "copy", film)
    source = VideoSource(film)
    image = next(iter(source)).image
    source.close()
    assert image.shape[:2] == (SIZE[::-1] if turned else SIZE)
    assert np.abs(image.astype(int) - first_picture(film, image.shape)).mean() < 4


def test_a_varying_frame_rate(folder, tmp_path, with_ffmpeg) -> None:
    """The JSON has the real times; the output repeats frames, and the command says so."""
    film, lines, output = tmp_path / "vfr.mkv", tmp_path / "o.jsonl", tmp_path / "o.mp4"
    late = "setpts='if(gt(N,5),N+10,N)/25/TB'"
    ffmpeg("-i", folder / "base.mp4", "-vf", late, "-fps_mode", "vfr", "-c:v", "libx264", film)
    done = run("video", film, "--json", lines, "-o", output, "--draw", "none")
    assert done.returncode == 0
    assert "25 frames/s throughout: to keep time 10 frames are repeated" in done.stdout
    wanted = [(k if k < 6 else k + 10) / 25 for k in range(12)]
    assert times(lines) == pytest.approx(wanted, abs=0.002)


def test_sound_that_outlasts_the_picture_is_no_damage(folder, with_ffmpeg, tmp_path) -> None:
    film = folder / "long_sound.mkv"
    ffmpeg("-i", folder / "base.mp4", "-i", folder / "tone.m4a", "-c", "copy", film)
    assert run("video", film, "--json", tmp_path / "o.jsonl").returncode == 0
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[:-5000])
    assert containers.file_is_whole(film) is True and containers.file_is_whole(cut) is False
    one_error(run("video", cut, "--json", tmp_path / "o.jsonl"), "cut off or damaged after")


def test_covers_and_further_films_are_not_the_film(folder, tmp_path) -> None:
    cover = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=200x100", "-frames:v", 1, cover)
    for name, options in (
        ("cover.mp4", ["-i", cover, "-i", folder / "base.mp4", "-map", 0, "-map", 1, "-c:v:0",
                       "png", "-c:v:1", "copy", "-disposition:v:0", "attached_pic"]),
        ("cover.mkv", ["-i", folder / "base.mp4", "-attach", cover, "-metadata:s:t",
                       "mimetype=image/png", "-c", "copy"]),
        ("two.mkv", ["-i", folder / "base.mp4", "-f", "lavfi", "-i", "color=red:s=200x100:d=1",
                     "-map", 0, "-map", 1, "-c:v", "libx264"]),
    ):  # fmt: skip
        ffmpeg(*options, tmp_path / name)
        source = VideoSource(tmp_path / name)
        assert source.size == SIZE and sum(1 for _ in source) == 12
        source.close()


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("span", ["tv", "pc"])
def test_colours_are_those_that_the_film_means(tmp_path, matrix, span) -> None:
    film = tmp_path / "red.mp4"
    named = matrix.replace("nc", "")
    ffmpeg("-f", "lavfi", "-i", "color=0xc83232:s=160x120:d=0.2,format=rgb24", "-vf",
           f"scale=out_color_matrix={named}:out_range={span},format=yuv420p", "-colorspace", matrix,
           "-color_range", span, "-c:v", "libx264", "-qp", 1, film)  # fmt: skip
    source = VideoSource(film)
    image = next(iter(source)).image
    source.close()
    assert image[60, 80].astype(int) == pytest.approx([50, 50, 200], abs=3)


# --- Codecs


def av1(folder: Path) -> Path:
    path = folder / "av1.mp4"
    if not path.exists():
        options = ["-c:v", "libaom-av1", "-cpu-used", 8, "-vf", "scale=200:150"]
        ffmpeg("-i", folder / "base.mp4", "-frames:v", 3, *options, path)
    return path


def test_a_codec_that_opencv_lacks_is_named_with_the_cure(folder, tmp_path, monkeypatch) -> None:
    without_pyav(monkeypatch)
    for path in (av1(folder), folder / "av1.mkv"):
        if not path.exists():
            ffmpeg("-i", av1(folder), "-c", "copy", path)
        done = run("video", path, "--json", tmp_path / "o.jsonl")
        if done.returncode == 0:
            pytest.skip("this OpenCV decodes AV1")
        one_error(done, path, "its pictures are AV1", 'pip install "synergynet[video]"')
    assert "damaged" not in done.stderr
    assert not (tmp_path / "o.jsonl").exists()


def test_pyav_decodes_what_opencv_cannot(folder, tmp_path) -> None:
    pytest.importorskip("av")
    source = VideoSource(av1(folder))
    frames = list(source)
    assert len(frames) == 3 and source.size == (150, 200) and source.frame_rate == 25
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.08])
    assert np.abs(frames[0].image - first_picture(av1(folder), (150, 200, 3)).astype(int)).max() < 4
    source.close()
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", av1(folder), "-c", "copy", turned)
    source = VideoSource(turned)
    image = next(iter(source)).image
    source.close()
    assert np.abs(image - first_picture(turned, (200, 150, 3)).astype(int)).max() < 4


def test_codes_of_containers(folder) -> None:
    assert containers.codec_code(late_picture(folder, ".mkv")) == "V_MPEG4/ISO/AVC"
    assert containers.codec_name("V_MPEG4/ISO/AVC") == "H.264 [V_MPEG4/ISO/AVC]"
    ffmpeg("-i", folder / "base.mp4", "-c:v", "mjpeg", folder / "m.avi")
    assert containers.codec_code(folder / "m.avi") == "MJPG"
    assert containers.codec_code(folder / "tone.m4a") is None
    assert containers.codec_name("abcd") == "abcd"


def test_a_photo_is_no_film(tmp_path) -> None:
    from helpers import ASTRONAUT

    path = tmp_path / "photo.mp4"
    path.write_bytes(ASTRONAUT.read_bytes())
    try:
        source = VideoSource(path)
    except SynergyNetError as error:
        assert "synergynet infer" in str(error)
    else:  # the reader of Motion JPEG takes it for a film of one frame
        assert sum(1 for _ in source) == 1
        source.close()
