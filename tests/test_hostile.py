"""Guards against strangers: each test fails if its guard is removed."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from corpus import seeds
from corpus.harm_pictures import animated, many_scans
from helpers import ASTRONAUT, REPO, abandoned_folder, run
from small_models import colours, weights_info, write_onnx

from synergynet.datasets.readers.crop_store import read_crop
from synergynet.errors import SynergyNetError
from synergynet.face_model import open_head
from synergynet.files import images, partial, shipped, video
from synergynet.files.npz import read_npz
from synergynet.files.video_output import VideoWriter
from synergynet.files.whole_file import write_whole
from synergynet.files.yaml_text import parsed_yaml
from synergynet.jobs import summary
from synergynet.jobs.folders import Photo, place_results
from synergynet.jobs.results import Outcome
from synergynet.pipeline import read_image
from synergynet.regression.onnx_session import OnnxRegressor


def killed_by(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What reaches OpenCV."""
    seen: list[bytes] = []
    decode = cv2.imdecode

    def spy(array, flags):
        seen.append(array.tobytes())
        return decode(array, flags)

    monkeypatch.setattr(images.cv2, "imdecode", spy)
    return seen


@pytest.mark.parametrize("size", [(8, 8), (120, 120)])
def test_no_reader_of_pictures_shows_animation_to_opencv(tmp_path, monkeypatch, size) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(animated(0, size=size))
    seen = killed_by(file.read_bytes(), monkeypatch)
    read_image(file)
    if size == (120, 120):
        read_crop(file)
    assert seen and not any(name in data for data in seen for name in (b"acTL", b"fcTL", b"fdAT"))


def test_scans_of_a_jpeg_are_counted_before_they_are_decoded(tmp_path) -> None:
    (tmp_path / "few.jpg").write_bytes(many_scans(20))
    assert read_image(tmp_path / "few.jpg").shape == (640, 640, 3)
    (tmp_path / "many.jpg").write_bytes(many_scans(3000))
    with pytest.raises(SynergyNetError, match=r"many.jpg: a JPEG of more than 100 scans"):
        read_image(tmp_path / "many.jpg")


def test_limits_can_be_set_by_variables(tmp_path, monkeypatch) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(seeds.photo("PNG", 100, 60))
    monkeypatch.setenv("SYNERGYNET_MAX_MEGAPIXELS", "0.005")
    with pytest.raises(SynergyNetError, match=r"100 x 60 pixels; photos may have 0.005 megapixels"):
        read_image(file)
    monkeypatch.setenv("SYNERGYNET_MAX_MEGAPIXELS", "0.006")
    assert read_image(file).shape == (60, 100, 3)
    monkeypatch.setenv("SYNERGYNET_MAX_PHOTO_MIB", "0.0001")
    with pytest.raises(SynergyNetError, match=r"a.png: larger than"):
        read_image(file)
    monkeypatch.setenv("SYNERGYNET_MAX_PHOTO_MIB", "many")
    with pytest.raises(SynergyNetError, match="SYNERGYNET_MAX_PHOTO_MIB is 'many'; give a number"):
        read_image(file)


@pytest.mark.parametrize("name", ["..jpg", "...jpg", "....png", ".jpg", "a..jpg", "a\0b.jpg"])
def test_results_stay_in_their_folder(tmp_path, name) -> None:
    (base,) = place_results([Photo(tmp_path / name)], tmp_path / "out")
    for ending in (".json", "_mesh.jpg", "_face0.obj"):
        path = base.with_name(base.name + ending)
        assert path.resolve().parent == (tmp_path / "out").resolve() and "\0" not in path.name


def test_a_photo_of_dots_alone_writes_inside_the_output(tmp_path) -> None:
    work = tmp_path / "work"
    (work / "victim").mkdir(parents=True)
    (work / "victim" / "mine.json").write_text("mine")
    shutil.copyfile(ASTRONAUT, work / "..jpg")
    before = {path for path in work.rglob("*")}
    options = ("--draw", "none", "--mesh", "none")
    assert run("infer", "..jpg", "-o", "victim/out", *options, cwd=work).returncode == 0
    made = {path for path in work.rglob("*")} - before
    assert made == {work / "victim" / "out", work / "victim" / "out" / "_.json"}


# --- Videos


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, data in seeds.videos().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile a.avi\n", "#EXTM3U\n#EXTINF:1,\na.avi\n"]
)
def test_playlists_do_not_read_other_files(clips, text) -> None:
    (clips / "list.mp4").write_text(text)
    (clips / "list.m3u8").write_text(text)
    for name in ("list.mp4", "list.m3u8"):
        with pytest.raises(SynergyNetError, match=f"{name}: not a readable video"):
            video.VideoSource(clips / name)
    for name in ("a.mp4", "a.mkv", "a.avi"):
        source = video.VideoSource(clips / name)
        assert sum(1 for _ in source) == 6
        source.close()


def test_a_name_with_percent_is_no_pattern(clips) -> None:
    for number in range(3):
        (clips / f"f{number}.png").write_bytes(seeds.photo("PNG"))
    shutil.copyfile(clips / "f0.png", clips / "f%d.png")
    with pytest.raises(SynergyNetError, match="not a readable video"):
        video.VideoSource(clips / "f%d.png")


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4"])
def test_a_video_that_is_not_all_on_disk_is_an_error(tmp_path, suffix, monkeypatch) -> None:
    writer = VideoWriter(tmp_path / f"v{suffix}", (48, 64), 25.0)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for number in range(30):
        writer.write(picture, number / 25)
    release = writer._writer.release

    class FullDisk:
        def release(self) -> None:
            release()
            with writer.path.open("rb+") as stream:
                stream.truncate(int(writer.path.stat().st_size * 0.6))

    writer._writer = FullDisk()
    with pytest.raises(SynergyNetError, match="is the disk full"):
        writer.close()


# --- What is written


def test_litter_of_dead_writers_is_swept_and_that_of_others_is_not(tmp_path, monkeypatch) -> None:
    gone = abandoned_folder(tmp_path)
    (gone / "half.json").write_bytes(b"half")
    mine = tmp_path / f"{partial.PREFIX}{partial._place()}-{os.getpid()}-x"
    other, old = tmp_path / ".partial-12345678-1-x", tmp_path / ".partial-abc"
    for folder in (mine, other, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    write_whole(tmp_path / "a.json", b"{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.json", mine.name, other.name]
    )
    # Looked for once a process: a folder of a million files takes half a second to list.
    abandoned_folder(tmp_path)
    monkeypatch.setattr(partial, "sweep", lambda folder: pytest.fail("listed again"))
    write_whole(tmp_path / "b.json", b"{}")


def test_cells_are_no_formulas_and_paths_stay_paths(tmp_path) -> None:
    names = ["=1+1.jpg", "+a.jpg", "-b.jpg", "@c.jpg", "\td.jpg", "e.jpg"]
    outcomes = [Outcome(Path(name), Path(name), error=f"{name}: x") for name in names]
    path = summary.write_summary(tmp_path / "all.csv", outcomes)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [f"./{name}" for name in names[:-1]] + ["e.jpg"]
    assert [Path(row["file"]) for row in rows] == [Path(name) for name in names]
    assert not any(row["error"].startswith(("=", "+", "-", "@", "\t")) for row in rows)


# --- What is shipped


def test_shipped_files_are_as_they_were_shipped() -> None:
    """After a file has changed: ``sha256sum *.onnx > SHA256SUMS`` in its folder."""
    package = REPO / "src" / "synergynet"
    files = [p for p in package.rglob("data/*") if p.suffix in (".onnx", ".npz")]
    assert len(files) >= 6
    for file in files:
        shipped.check_shipped.__wrapped__(file)
        assert file.name in (file.parent / shipped.SUMS).read_text()


def test_a_flipped_byte_in_a_shipped_file_is_one_sentence(tmp_path, monkeypatch) -> None:
    package = tmp_path / "data"
    package.mkdir()
    for name in ("default.onnx", shipped.SUMS):
        shutil.copyfile(REPO / "src/synergynet/regression/data" / name, package / name)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path)
    shipped.check_shipped(package / "default.onnx")
    shipped.check_shipped.cache_clear()
    data = bytearray((package / "default.onnx").read_bytes())
    data[100_000] ^= 1
    (package / "default.onnx").write_bytes(data)
    with pytest.raises(SynergyNetError, match=r"default.onnx: not as it was shipped.*reinstall"):
        OnnxRegressor(package / "default.onnx")
    monkeypatch.undo()
    monkeypatch.setattr(open_head, "check_shipped", lambda file: pytest.fail("is checked"))
    with pytest.raises(pytest.fail.Exception, match="is checked"):
        open_head.load_open_head.__wrapped__()


# --- Networks and arrays


def test_a_graph_of_a_fixed_batch_answers_as_one_of_any(tmp_path, tiny_model) -> None:
    onnx = pytest.importorskip("onnx")
    info = weights_info(tiny_model)
    weight = np.random.default_rng(0).normal(size=(3, 62))
    free = write_onnx(tmp_path / "free.onnx", info, weight=weight)
    crops = colours(5)
    for size in (1, 2, 3):
        model = onnx.load(free)
        for port in (*model.graph.input, *model.graph.output):
            port.type.tensor_type.shape.dim[0].dim_value = size
        onnx.save(model, tmp_path / "fixed.onnx")
        fixed = OnnxRegressor(tmp_path / "fixed.onnx")
        assert fixed.batch == size
        np.testing.assert_allclose(
            fixed.predict(crops), OnnxRegressor(free).predict(crops), rtol=1e-6, atol=1e-6
        )


def test_arrays_of_a_zip_are_measured_before_they_are_unpacked(tmp_path) -> None:
    file = tmp_path / "a.npz"
    file.write_bytes(seeds.npz(big=np.zeros((1000, 1000), np.float32), small=np.arange(3)))
    assert read_npz(file, {"small": "iu"})["small"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="unpacks to more than"):
        read_npz(file, {"big": "f"}, max_bytes=1 << 20)
    with pytest.raises(ValueError, match="holds int64"):
        read_npz(file, {"small": "f"})
    assert set(read_npz(file)) == {"big", "small"}


def test_anchors_of_yaml_are_counted_as_often_as_they_stand() -> None:
    assert parsed_yaml("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 20)]
    with pytest.raises(ValueError, match="anchors repeat too much"):
        parsed_yaml("\n".join(lines))
    with pytest.raises(ValueError, match="anchors repeat too much"):
        parsed_yaml("&a [*a]")


# --- Processes that die


@pytest.mark.slow
def test_a_photo_that_kills_its_process_costs_itself_alone(tmp_path) -> None:
    """The patch below stands for a decoder that crashes."""
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import os, signal\n"
        "import synergynet.files.images as images\n"
        "read = images.decode_image\n"
        "def decode(data, *arguments, **options):\n"
        "    if b'KILL' in data[-9:]:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return read(data, *arguments, **options)\n"
        "images.decode_image = decode\n"
    )
    photos = tmp_path / "photos"
    photos.mkdir()
    small = cv2.resize(cv2.imread(str(ASTRONAUT)), (160, 160))
    data = cv2.imencode(".jpg", small)[1].tobytes()
    for number in range(12):
        (photos / f"{number:02d}.jpg").write_bytes(data + (b"KILL" if number in (3, 8) else b""))
    command = [sys.executable, "-m", "synergynet", "infer", str(photos), "-o", "out"]
    command += ["--workers", "2", "--draw", "none", "--mesh", "none", "--summary", "all.csv"]
    environment = os.environ | {"PYTHONPATH": str(patch)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "2 of 12 photos failed" in done.stderr
    for name in ("03.jpg", "08.jpg"):
        assert f"{name}: a process died at this photo; it is left alone" in done.stderr
    assert len(list((tmp_path / "out").glob("*.json"))) == 10
    assert not list((tmp_path / "out").glob(".partial-*"))
    with (tmp_path / "all.csv").open(newline="") as stream:
        files = [row["file"] for row in csv.DictReader(stream)]
    assert len(set(files)) == 12
