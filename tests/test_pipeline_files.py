"""Photos in and files out: every kind of image, every kind of result, nothing half-written."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from known_answers import SIZE, analyzer

from synergynet import draw
from synergynet.errors import SynergyNetError
from synergynet.files import whole_file as files
from synergynet.outputs import formats
from synergynet.outputs.kinds import DEFAULT_DRAWINGS
from synergynet.outputs.meshes import plain_mesh
from synergynet.pipeline import read_image


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_photos_of_every_kind_are_read(tmp_path) -> None:
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[:10, :, 2] = 255
    path = tmp_path / "Füße 写真 😀.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    np.testing.assert_array_equal(read_image(path), image)
    kinds = {
        "grey": image[..., 2],
        "alpha": np.dstack([image, np.full((20, 30), 9, np.uint8)]),
        "deep": image.astype(np.uint16) * 257,
    }
    for name, content in kinds.items():
        (tmp_path / f"{name}.png").write_bytes(cv2.imencode(".png", content)[1].tobytes())
        read = read_image(tmp_path / f"{name}.png")
        assert read.shape == (20, 30, 3) and read.dtype == np.uint8
        assert read[5, 5, 2] == 255 and read[15, 5, 2] == 0
    (tmp_path / "dot.png").write_bytes(cv2.imencode(".png", image[:1, :1])[1].tobytes())
    with pytest.raises(SynergyNetError, match="1 x 1 pixels are too few"):
        read_image(tmp_path / "dot.png")


def test_bad_photos_are_one_sentence(tmp_path) -> None:
    png = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    huge = png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:]
    cases = {
        "missing.jpg": (None, "no such photo"),
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"once upon a time", "not a readable image"),
        "huge.png": (huge, "60000 x 60000 pixels"),
        "header.png": (png[:30], "a damaged or incomplete PNG"),
        "header.jpg": (b"\xff\xd8\xff\xe0\x00", "a damaged or incomplete JPEG"),
    }
    for name, (content, word) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SynergyNetError, match=word) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SynergyNetError, match="folder"):
        read_image(tmp_path)
    with pytest.raises(SynergyNetError, match=r"no such|cannot be read"):
        read_image("a\0b.jpg")


def test_the_obj_is_the_models_mesh_upright(tiny_model, photo, tmp_path) -> None:
    (face,) = analyzer(tiny_model, (200, 150, 100))(photo)
    (path,) = formats.write_mesh(tmp_path / "a.obj", plain_mesh(face))
    lines = path.read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=float)
    triangles = np.array([line.split()[1:] for line in lines if line.startswith("f ")], dtype=int)
    np.testing.assert_array_equal(triangles - 1, tiny_model.triangles)
    np.testing.assert_allclose(vertices[:, [0, 2]], face.vertices[:, [0, 2]], atol=1e-4)
    np.testing.assert_allclose(vertices[:, 1], SIZE[0] - 1 - face.vertices[:, 1], atol=1e-4)


def test_pictures_and_json_say_what_was_found(tiny_model, photo, tmp_path) -> None:
    faces = analyzer(tiny_model, (200, 150, 100), (60, 60, 60))(photo)
    for kind in DEFAULT_DRAWINGS:
        picture = draw(photo, faces, kind)
        assert picture.shape == photo.shape and (picture != photo).any()
        np.testing.assert_array_equal(draw(photo, [], kind), photo)
        path = formats.write_picture(tmp_path / f"{kind}.png", picture)
        np.testing.assert_array_equal(read_image(path), picture)
    wide = np.zeros((1, 70_000, 3), dtype=np.uint8)
    assert formats.write_picture(tmp_path / "wide.jpg", wide).name == "wide.png"
    path = formats.write_json(tmp_path / "new" / "p.json", "näme.jpg", photo, faces)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["image"], content["width"], content["height"]) == ("näme.jpg", 400, 300)
    assert content["faces"] == [face.to_dict() for face in faces] and "message" not in content
    nobody = json.loads(formats.write_json(path, "x", photo, []).read_text())
    assert nobody["faces"] == [] and "no face" in nobody["message"]
    with pytest.raises(SynergyNetError, match="unknown drawing"):
        draw(photo, faces, "hat")
    bare = replace(tiny_model, triangles=np.zeros((0, 3), dtype=np.int32))
    with pytest.raises(SynergyNetError, match="no triangles"):
        draw(photo, [replace(faces[0], face_model=bare)], "mesh")


def test_nothing_half_written_remains(tmp_path, monkeypatch) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail(self: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(SynergyNetError, match="No space left"):
            files.write_whole(target, b"new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(SynergyNetError, match="cannot be written"):
        files.write_whole(target / "inside.json", b"new")


def test_json_keeps_the_name_of_the_photo_as_it_is(tmp_path, photo) -> None:
    name = "x[ 1 ] and [  2  ].png"
    content = json.loads(formats.write_json(tmp_path / "x.json", name, photo, []).read_text())
    assert content["image"] == name and content["faces"] == []


def test_results_of_an_earlier_run_do_not_stay(tmp_path) -> None:
    mine = ["a.json", "a_mesh.jpg", "a_pose.png", "a_face0.obj", "a_depth.png"]
    mine += ["a_face0.glb", "a_face1.mtl", "a_face2.ply", "a_face0_uv.png"]
    mine += [f"a_face{number}.obj" for number in range(3, 13)]
    others = ["b.json", "a.jpg", "a_faces.obj", "a_face0.obj.bak", "aa_face0.obj", "a_uv_0.png"]
    for name in mine + others:
        (tmp_path / name).write_text("old")
    formats.remove_results(tmp_path / "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_obj_is_read_by_another_library(tmp_path, photo, tiny_model) -> None:
    trimesh = pytest.importorskip("trimesh", reason="reads the OBJ back")
    (face,) = analyzer(tiny_model, (60, 60, 100))(photo)
    (path,) = formats.write_mesh(tmp_path / "face.obj", plain_mesh(face))
    mesh = trimesh.load(path, process=False)
    expected = face.vertices * (1, -1, 1) + (0, photo.shape[0] - 1, 0)
    np.testing.assert_allclose(mesh.triangles, expected[face.triangles], atol=1e-4)
