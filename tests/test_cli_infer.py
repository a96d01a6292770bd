"""``synergynet infer`` as a user meets it, with good and bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT, one_error, run, run_process
from small_models import centred, weights_info, write_onnx

from synergynet.face_model.npz import load_npz, save_npz

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tiny_model) -> Path:
    """A folder with a face model, weights for it, other weights, and photos good and bad."""
    folder = tmp_path_factory.mktemp("kit")
    save_npz(tiny_model, folder / "model.npz")
    model = load_npz(folder / "model.npz")
    save_npz(replace(model, name="other", mean=model.mean + 1), folder / "other.npz")
    write_onnx(folder / "net.onnx", weights_info(model), raw=centred(model))
    whole = (folder / "net.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("once upon a time")
    (folder / "empty.jpg").write_bytes(b"")
    cv2.imwrite(str(folder / "dot.png"), np.zeros((1, 1, 3), dtype=np.uint8))
    cv2.imwrite(str(folder / "grey.jpg"), np.full((90, 120, 3), 128, dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def portrait(kit: Path) -> Path:
    """A public-domain photo with one face: an astronaut's portrait by NASA."""
    photo = cv2.imread(str(ASTRONAUT))
    path = kit / "portrait.png"
    cv2.imwrite(str(path), photo[:300, :400])
    return path


def infer(kit: Path, output: Path, *args: object, run: Callable[..., Done] = run) -> Done:
    model = ["--weights", kit / "net.onnx", "--face-model", kit / "model.npz"]
    return run("infer", *args, "-o", output, *([] if "--weights" in args else model))


@pytest.mark.slow
def test_a_photo_becomes_json_pictures_and_a_mesh(kit, portrait, tmp_path) -> None:
    done = infer(kit, tmp_path / "out", portrait, "--timings", run=run_process)
    assert done.returncode == 0 and done.stderr == ""
    assert "1 face in 400 x 300 pixels" in done.stdout and "face 0: score" in done.stdout
    for phase in ("reading", "detection", "regression", "decode", "drawing", "writing"):
        assert f"{phase} " in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {f"portrait_{kind}.png" for kind in ("landmarks", "pose", "mesh")}
    assert names == {"portrait.json", "portrait_face0.obj", *pictures}
    content = json.loads((tmp_path / "out" / "portrait.json").read_text())
    assert content["image"] == str(portrait)
    (face,) = content["faces"]
    x0, y0, x1, y1 = face["box"]
    assert 140 < x0 < x1 < 300 and 20 < y0 < y1 < 220  # where the astronaut's face is
    landmarks = np.array(face["landmarks"])
    assert (landmarks[:, :2] > (120, 20)).all() and (landmarks[:, :2] < (320, 230)).all()
    for name in pictures:
        assert cv2.imread(str(tmp_path / "out" / name)).shape == (300, 400, 3)


def test_no_face_is_no_error(kit, tmp_path) -> None:
    done = infer(kit, tmp_path / "out", kit / "grey.jpg")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("no face was found") == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"grey.json"}
    content = json.loads((tmp_path / "out" / "grey.json").read_text())
    assert content["faces"] == [] and content["message"] == "no face was found"


@pytest.mark.parametrize(
    ("photo", "word"),
    [
        ("text.jpg", "not a readable image"),
        ("empty.jpg", "empty file"),
        ("dot.png", "1 x 1 pixels are too few"),
        ("absent.jpg", "no such photo"),
    ],
)
def test_a_bad_photo_is_one_sentence_and_leaves_nothing(kit, tmp_path, photo, word) -> None:
    one_error(infer(kit, tmp_path / "out", kit / photo), kit / photo, word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("weights", "model", "words"),
    [
        ("cut.onnx", "model.npz", ["cut.onnx", "not a complete ONNX model"]),
        ("absent.onnx", "model.npz", ["absent.onnx", "no such file"]),
        ("net.onnx", "other.npz", ["'tiny'", "'other'"]),
        ("net.onnx", "absent.npz", ["absent.npz"]),
        ("net.onnx", "text.jpg", ["text.jpg"]),
    ],
)
def test_bad_weights_and_models_are_one_sentence(kit, tmp_path, weights, model, words) -> None:
    args = ("--weights", kit / weights, "--face-model", kit / model)
    one_error(infer(kit, tmp_path / "out", kit / "grey.jpg", *args), *words)
    assert not (tmp_path / "out").exists()


def test_good_photos_among_bad_ones_are_done(kit, tmp_path) -> None:
    photos = [kit / name for name in ("text.jpg", "grey.jpg", "empty.jpg")]
    done = infer(kit, tmp_path / "out", *photos)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error"] * 3
    assert "2 of 3 photos failed" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["grey.json"]


def test_an_output_that_cannot_be_written_is_one_sentence(kit, tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("here already")
    one_error(infer(kit, blocked, kit / "grey.jpg"), blocked, "cannot be written")
    assert blocked.read_text() == "here already"


def test_the_mirrored_view_can_be_left_out(kit, portrait, tmp_path) -> None:
    found = {}
    for option in ("--mirror", "--no-mirror"):
        done = infer(kit, tmp_path / option, portrait, "--draw", "none", "--mesh", "none", option)
        assert done.returncode == 0, done.stderr
        found[option] = json.loads((tmp_path / option / "portrait.json").read_text())
        assert found[option]["made_with"]["mirror"] is (option == "--mirror")
    yaws = [content["faces"][0]["pose"]["yaw"] for content in found.values()]
    assert abs(yaws[0]) < 1e-3 < abs(yaws[1])  # whatever is shown, this network says the same


def test_pictures_and_meshes_can_be_left_out(kit, portrait, tmp_path) -> None:
    done = infer(kit, tmp_path / "a", portrait, "--draw", "none", "--mesh", "none")
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["portrait.json"]
    done = infer(kit, tmp_path / "b", portrait, "--draw", "pose, mesh", "--mesh", "none")
    assert done.returncode == 0
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert names == ["portrait.json", "portrait_mesh.png", "portrait_pose.png"]


@pytest.mark.slow
def test_every_picture_and_mesh_can_be_asked_for(kit, portrait, tmp_path) -> None:
    options = ["--draw", "all", "--mesh", "obj,ply", "--mesh", "glb", "--space", "camera"]
    options += ["--focal", 600, "--texture-size", 64, "--view", "-30,5", "--opacity", 0.5]
    done = infer(kit, tmp_path, portrait, *options)
    assert done.returncode == 0 and done.stderr == ""
    kinds = ("landmarks", "pose", "box", "mesh", "solid", "depth", "pncc", "normals")
    names = {f"portrait_{kind}.png" for kind in kinds} | {"portrait.json"}
    names |= {f"portrait_face0{end}" for end in (".obj", ".mtl", "_uv.png", ".ply", ".glb")}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all(name in done.stdout for name in names)
    content = json.loads((tmp_path / "portrait.json").read_text())
    assert content["depth"]["focal"] == 600 and content["depth"]["zero_at"] == 32768
    depth = cv2.imread(str(tmp_path / "portrait_depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth.shape == (300, 400) and depth.dtype == np.uint16 and depth.any()
    assert cv2.imread(str(tmp_path / "portrait_face0_uv.png")).shape == (64, 64, 3)
    # Another frame without a list of formats: OBJ in that frame.
    done = infer(kit, tmp_path / "b", portrait, "--draw", "none", "--space", "head")
    names = {f"portrait_face0{end}" for end in (".obj", ".mtl", "_uv.png")} | {"portrait.json"}
    assert {path.name for path in (tmp_path / "b").iterdir()} == names
    head = (tmp_path / "b" / "portrait_face0.obj").read_text().splitlines()[0]
    assert "millimetres" in head


def test_wrong_usage_is_exit_code_2(kit, tmp_path) -> None:
    wrong = (
        ["--draw", "hat"], ["--mesh", "stl"], ["--space", "moon"], ["--view", "up"],
        ["--opacity", 2], ["--focal", 0], ["--texture-size", 1], ["--workers", 0],
        ["--summary", "faces.xlsx"],
    )  # fmt: skip
    for args in (("infer",), *(("infer", kit / "grey.jpg", *w) for w in wrong), ("nonsense",)):
        done = (run_process if args == ("infer",) else run)(*args, cwd=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_and_version() -> None:
    assert run_process("--version").stdout.startswith("synergynet 0.")
    overview = run("--help")
    assert overview.returncode == 0
    assert "infer" in overview.stdout and "eval" in overview.stdout
    assert "--face-model" in run("infer", "--help").stdout
    assert "--root" in run("eval", "--help").stdout


@pytest.fixture
def album(kit, portrait, tmp_path: Path) -> Path:
    """A folder with a face, a photo without one, a broken one, and a face one folder down."""
    album = tmp_path / "album"
    (album / "day").mkdir(parents=True)
    for name in ("face.png", "day/face.png"):
        shutil.copy(portrait, album / name)
    for name in ("grey.jpg", "text.jpg"):
        shutil.copy(kit / name, album / name)
    return album


@pytest.mark.slow
def test_a_folder_keeps_its_structure_and_can_be_resumed(kit, album, tmp_path) -> None:
    args = [album, "-r", "--draw", "none", "--mesh", "none", "--resume", "--workers", 2]
    done = infer(kit, tmp_path / "out", *args, "--summary", tmp_path / "faces.csv")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert "text.jpg: not a readable image" in first and "1 of 4 photos failed" in last
    found = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")
    }
    assert found == {"face.json", "grey.json", "day", "day/face.json"}
    with (tmp_path / "faces.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(Path(row["file"]).name, row["face"]) for row in rows] == [
        ("face.png", "0"), ("grey.jpg", ""), ("text.jpg", ""), ("face.png", "0"),
    ]  # fmt: skip
    assert "not a readable image" in rows[2]["error"]
    made = (tmp_path / "out" / "face.json").stat().st_mtime_ns
    (album / "text.jpg").unlink()
    done = infer(kit, tmp_path / "out", *args, "--summary", tmp_path / "again.csv")
    assert done.returncode == 0 and done.stdout.count("as before") == 3
    assert (tmp_path / "out" / "face.json").stat().st_mtime_ns == made
    kept = [
        line for line in (tmp_path / "faces.csv").read_text().splitlines() if "text" not in line
    ]
    assert (tmp_path / "again.csv").read_text().splitlines() == kept


def test_many_photos_are_a_line_each_and_a_total(kit, tmp_path) -> None:
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number}.jpg")
        shutil.copy(kit / "grey.jpg", paths[-1])
    listed = "\n".join(map(str, [*paths, tmp_path / "lost.jpg"]))
    (tmp_path / "list.txt").write_text(listed)
    done = infer(kit, tmp_path / "out", "--list", tmp_path / "list.txt", "--timings")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2
    assert done.stdout.count("no face was found") == 12 and "lost.jpg: failed" in done.stdout
    assert "0 faces in 0 of 13 photos, 12 without a face, 1 failed" in done.stdout
    assert "photos/s" in done.stdout and "detection" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 12


def test_wrong_combinations_are_one_sentence(kit, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    listed = tmp_path / "list.csv"
    listed.write_text(str(kit / "grey.jpg"))
    one_error(infer(kit, tmp_path / "out", tmp_path / "empty"), "empty", "no photos")
    one_error(infer(kit, kit, kit), "another folder as --output")
    same = infer(kit, tmp_path / "out", "--list", listed, "--summary", listed)
    one_error(same, "would replace what is read")
    assert listed.read_text() == str(kit / "grey.jpg") and not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_nothing_half_written(kit, album, tmp_path) -> None:
    for number in range(300):
        os.link(album / "face.png", album / f"{number:03}.png")
    args = [
        "infer",
        album,
        "-o",
        tmp_path / "out",
        "--draw",
        "none",
        "--mesh",
        "none",
        "--workers",
        2,
    ]
    args += ["--weights", kit / "net.onnx", "--face-model", kit / "model.npz"]
    with subprocess.Popen(
        [sys.executable, "-m", "synergynet", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(40):  # all processes are at work
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "of 303 photos; the same command with --resume goes on" in error
    assert "Traceback" not in error
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert 0 < len(names) < 300
    for name in names:
        assert name.endswith(".json") and json.loads((tmp_path / "out" / name).read_text())


@pytest.mark.slow
def test_inference_and_help_never_import_torch(kit, portrait, tmp_path) -> None:
    code = (
        "import sys\n"
        "from synergynet.cli.main import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'onnx', 'mindspore'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "if '--help' in sys.argv:\n"
        "    assert not {'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)\n"
    )
    model = ["--weights", kit / "net.onnx", "--face-model", kit / "model.npz"]
    for args in (["--help"], ["infer", portrait, "-o", tmp_path, *model]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, args)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_package_exports_lazily() -> None:
    import synergynet

    assert synergynet.__version__
    assert synergynet.FaceAnalyzer.__name__ == "FaceAnalyzer"
    assert {"Face", "FaceModel", "SynergyNetError", "read_image"} <= set(dir(synergynet))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = synergynet.nonsense
