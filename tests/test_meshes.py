"""Mesh files: read back by another library, in every frame, with what the photo shows."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT
from known_answers import SIZE, analyzer

from synergynet import FaceAnalyzer, read_image
from synergynet.errors import SynergyNetError
from synergynet.geometry.pose import rotation_from_euler
from synergynet.outputs import formats
from synergynet.outputs.kinds import DRAWINGS
from synergynet.outputs.maps import depth_code
from synergynet.outputs.meshes import glb, obj, place, place_in_camera, ply
from synergynet.outputs.pictures import Pictures, Style
from synergynet.outputs.surfaces import turned

trimesh = pytest.importorskip("trimesh", reason="reads the meshes back")


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """The example photo as the shipped network sees it."""
    photo = read_image(ASTRONAUT)
    return Pictures(photo, FaceAnalyzer(threads=1)(photo), Style(texture_size=512))


@pytest.fixture
def tiny(tiny_model) -> Pictures:
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return Pictures(photo, analyzer(tiny_model, (200, 150, 100))(photo), Style(texture_size=64))


def parts(data: bytes) -> tuple[dict, bytes]:
    """JSON and binary chunk of a GLB."""
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and length % 4 == 0
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0" and size % 4 == 0 and 28 + length + size == total
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def accessor(document: dict, binary: bytes, number: int) -> np.ndarray:
    """An accessor's values, sparse ones too."""
    entry = document["accessors"][number]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[entry["type"]]
    types = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}

    def view(at: int, kind: int, count: int) -> np.ndarray:
        start = document["bufferViews"][at]["byteOffset"]
        assert start % 4 == 0
        return np.frombuffer(binary, types[kind], count, start)

    kind, count = entry["componentType"], entry["count"]
    values = np.zeros((count, width), types[kind])
    if "bufferView" in entry:
        values = view(entry["bufferView"], kind, count * width).reshape(-1, width).copy()
    if "sparse" in entry:
        s = entry["sparse"]
        rows = view(s["indices"]["bufferView"], s["indices"]["componentType"], s["count"])
        assert (np.diff(rows.astype(int)) > 0).all()
        values[rows] = view(s["values"]["bufferView"], kind, s["count"] * width).reshape(-1, width)
    if "min" in entry:
        np.testing.assert_array_equal(entry["min"], values.min(axis=0))
        np.testing.assert_array_equal(entry["max"], values.max(axis=0))
    return values


@pytest.mark.slow
def test_obj_and_ply_are_read_by_another_library(pictures, tmp_path) -> None:
    mesh = pictures.mesh(0)
    face = pictures.faces[0]
    expected = face.vertices * (1, -1, 1) + (0, pictures.size[0] - 1, 0)
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-4)
    names = [p.name for p in formats.write_mesh(tmp_path / "a.obj", mesh)]
    assert names == ["a_uv.png", "a.mtl", "a.obj"]
    read = trimesh.load(tmp_path / "a.obj", process=False)
    np.testing.assert_allclose(read.triangles, expected[face.triangles], atol=1e-4)
    np.testing.assert_allclose(
        read.visual.uv[read.faces], mesh.layout.uv[mesh.layout.triangles], atol=1e-5
    )
    picture = np.asarray(read.visual.material.image.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(picture, mesh.texture)
    formats.write_mesh(tmp_path / "a.ply", mesh)
    read = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(
        read.vertices.astype(np.float32), mesh.vertices.astype(np.float32)
    )
    np.testing.assert_array_equal(read.faces, face.triangles)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, 2::-1], mesh.colors)
    # The tip of the nose has the photo's colour.
    tip = face.face_model.landmark_vertices[30, 0]
    x, y = np.rint(face.vertices[tip, :2]).astype(int)
    around = pictures.image[y - 2 : y + 3, x - 2 : x + 3].astype(int)
    assert (mesh.colors[tip] >= around.min((0, 1)) - 8).all()
    assert (mesh.colors[tip] <= around.max((0, 1)) + 8).all()


def test_an_obj_names_its_textures_without_spaces(pictures, tmp_path) -> None:
    """tinyobjloader and others take what follows a space for another file."""
    written = formats.write_mesh(tmp_path / "my #1 photo.obj", pictures.mesh(0))
    assert [p.name for p in written] == ["my__1_photo_uv.png", "my__1_photo.mtl", "my #1 photo.obj"]
    lines = written[2].read_text().splitlines() + written[1].read_text().splitlines()
    named = [line.split() for line in lines if line.startswith(("mtllib", "map_Kd"))]
    assert named == [["mtllib", "my__1_photo.mtl"], ["map_Kd", "my__1_photo_uv.png"]]
    assert all((tmp_path / name).is_file() for _, name in named)
    formats.remove_results(tmp_path / "my #1 photo")
    for file in written:
        file.rename(file.with_name(file.name.replace("photo", "photo_face0")))
    formats.remove_results(tmp_path / "my #1 photo")
    assert list(tmp_path.iterdir()) == []


def test_glb_is_the_predicted_face_with_52_named_units(pictures, tmp_path) -> None:
    mesh = pictures.mesh(0, "head")
    (path,) = formats.write_mesh(tmp_path / "a.glb", mesh)
    assert path.stat().st_size < 4_000_000
    document, binary = parts(path.read_bytes())
    shape = document["meshes"][0]
    model = pictures.faces[0].face_model
    assert shape["extras"]["targetNames"] == [*model.unit_names, "expressionResidual"]
    assert len(model.unit_names) == 52
    assert shape["weights"][:-1] == list(pictures.faces[0].arkit.values())
    assert shape["weights"][-1] == 1 and max(shape["weights"][:-1]) > 0.2
    primitive = shape["primitives"][0]
    base = accessor(document, binary, primitive["attributes"]["POSITION"])
    source = mesh.layout.source
    neutral = model.vertices(pictures.faces[0].identity, np.zeros(10))
    np.testing.assert_allclose(base, neutral[source], atol=1e-3)
    targets = [accessor(document, binary, t["POSITION"]) for t in primitive["targets"]]
    for unit, target in zip(model.unit_shapes, targets[:-1], strict=True):
        np.testing.assert_allclose(target, unit[source], atol=2e-6)
    shown = base + sum(w * t for w, t in zip(shape["weights"], targets, strict=True))
    np.testing.assert_allclose(shown, mesh.vertices[source], atol=1e-3)
    # The units alone say most of the expression.
    left = np.linalg.norm(targets[-1], axis=1)
    moved = np.linalg.norm(mesh.vertices - mesh.neutral, axis=1)
    assert np.sqrt((left**2).mean()) < 0.6 * np.sqrt((moved**2).mean())
    normals = accessor(document, binary, primitive["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    front = np.argmax(base[:, 2])
    assert normals[front, 2] > 0.5  # the nose looks along +z
    assert document["nodes"][0]["scale"] == [0.001] * 3  # metres in the viewer

    scene = trimesh.load(path, process=False)
    (read,) = scene.geometry.values()
    np.testing.assert_allclose(read.vertices, base, atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.layout.triangles)
    np.testing.assert_allclose(read.visual.uv, mesh.layout.uv, atol=1e-6)
    picture = np.asarray(read.visual.material.baseColorTexture.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(picture, mesh.texture)


def test_a_textured_mesh_looks_like_the_photo(pictures) -> None:
    from synergynet.rendering import rasterize
    from synergynet.rendering.texture import look_up

    face, (height, width) = pictures.faces[0], pictures.size
    mesh, texture = pictures.mesh(0), pictures.texture(0)
    points, triangles = face.vertices[mesh.layout.source], mesh.layout.triangles
    raster = rasterize(points, triangles, height, width, cull_backfaces=True)
    grid = np.zeros((height, width, 2), np.float32)
    grid[raster.mask] = raster.interpolate(mesh.layout.texels(512)[:, :2], triangles)
    drawn, seen = look_up(texture.image, grid), look_up(texture.seen, grid)
    sure = raster.mask & (seen > 0.95)
    error = (drawn[sure].astype(float) - pictures.image[sure]) ** 2
    assert sure.sum() > 0.5 * raster.mask.sum()
    assert 10 * np.log10(255**2 / error.mean()) > 36


def test_models_without_texture_coordinates_have_vertex_colors(tiny, tmp_path) -> None:
    bare = replace(tiny.faces[0].face_model, uv=None)
    plain = Pictures(tiny.image, [replace(tiny.faces[0], face_model=bare)])
    mesh = plain.mesh(0)
    assert mesh.texture is None
    files = obj.encode(mesh, "a")
    assert list(files) == ["a.obj"] and b"vt" not in files["a.obj"]
    document, binary = parts(glb.encode(mesh, "a")["a.glb"])
    assert "images" not in document and "scale" not in document["nodes"][0]
    color = document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    assert accessor(document, binary, color).shape == (200, 4)
    read = trimesh.load(io.BytesIO(ply.encode(mesh, "a")["a.ply"]), file_type="ply", process=False)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, 2::-1], mesh.colors)
    with pytest.raises(SynergyNetError, match="no texture coordinates"):
        plain.texture(0)
    with pytest.raises(SynergyNetError, match=r"\.obj, \.ply or \.glb"):
        formats.write_mesh(tmp_path / "a.stl", mesh)


def test_head_space_is_the_model_in_millimetres(tiny) -> None:
    face = tiny.faces[0]
    inches = replace(face.face_model, millimetres_per_unit=25.4)
    placed = place(replace(face, face_model=inches), "head", tiny.size)
    np.testing.assert_allclose(placed([[1, 2, 3]]), [[25.4, 50.8, 76.2]])
    with pytest.raises(SynergyNetError, match="space"):
        place(face, "moon", tiny.size)  # type: ignore[arg-type]
    with pytest.raises(SynergyNetError, match="focal"):
        place(face, "camera", tiny.size, 0.0)


def test_a_camera_sees_the_placed_head_where_the_photo_has_it(tiny) -> None:
    focal = 900.0
    face = tiny.faces[0]
    points = face.face_model.landmarks(face.identity, face.expression)
    placed = place(face, "camera", tiny.size, focal)(points)
    assert (placed[:, 2] < 0).all()
    centre = placed.mean(axis=0)
    assert -centre[2] == pytest.approx(focal / face.pose.scale)
    height, width = tiny.size
    seen = placed[:, :2] / -placed[:, 2:] * focal * (1, -1) + ((width - 1) / 2, (height - 1) / 2)
    size = np.sqrt(np.prod(np.ptp(face.landmarks[:, :2], axis=0)))
    assert np.linalg.norm(seen - face.landmarks[:, :2], axis=1).mean() < 0.05 * size


def test_a_head_beside_the_axis_turns_with_its_ray() -> None:
    # At 45 degrees to the right of the axis, facing the camera along the ray.
    linear, offset = place_in_camera(
        np.eye(3), 0.5, (499.5 + 1000.0, 499.5), np.zeros(3), (1000, 1000), 1000.0
    )
    np.testing.assert_allclose(offset, [2000, 0, -2000])
    towards = linear @ [0, 0, 1.0]
    np.testing.assert_allclose(towards, np.array([-1, 0, 1]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-12)
    with pytest.raises(SynergyNetError, match="size"):
        place_in_camera(rotation_from_euler(0, 0, 0), 0.0, (0, 0), np.zeros(3), (9, 9), 9.0)


def test_every_picture_of_two_faces_is_drawn(tiny_model, tmp_path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    faces = analyzer(tiny_model, (150, 150, 120), (260, 150, 60))(photo)
    assert len(faces) == 2
    pictures = Pictures(photo, faces, Style(texture_size=32, view=(30.0, -10.0)))
    for kind in DRAWINGS:
        picture = pictures.texture(1).image if kind == "uv" else pictures.draw(kind)
        assert picture.dtype == (np.uint16 if kind == "depth" else np.uint8)
        path = formats.write_picture(tmp_path / f"{kind}.png", picture)
        read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(read, picture)
    code = depth_code(pictures)
    depth = (pictures.draw("depth").astype(float) - code["zero_at"]) * code["millimetres_per_step"]
    seen = np.isfinite(pictures.depth)
    assert np.abs(depth[seen] - pictures.depth[seen]).max() < 0.501 * code["millimetres_per_step"]
    assert code["focal"] == 400
    # Opacity lays the maps over the photo; 0 leaves nothing of them.
    clear = Pictures(photo, faces, Style(opacity=0.0))
    for kind in ("landmarks", "pose", "box", "mesh", "solid", "pncc", "normals"):
        np.testing.assert_array_equal(clear.draw(kind), photo)
    with pytest.raises(SynergyNetError, match="unknown drawing"):
        pictures.draw("hat")


def test_lines_end_where_a_nearer_face_begins(pictures) -> None:
    near = pictures.faces[0]
    small = replace(near, face_model=replace(near.face_model, millimetres_per_unit=10.0))
    both = Pictures(pictures.image, [small, near])
    assert both.hidden(1) is None
    hidden = both.hidden(0)
    assert hidden is not None and hidden.any()
    alone = Pictures(pictures.image, [near])
    for kind in ("landmarks", "pose", "box"):
        np.testing.assert_array_equal(both.draw(kind)[hidden], alone.draw(kind)[hidden])


def test_a_head_is_shown_from_the_side_that_is_asked_for(pictures) -> None:
    face = pictures.faces[0]
    same = turned(face, face.pose.rotation)
    np.testing.assert_allclose(same, face.vertices, atol=1e-9)
    profile = turned(face, rotation_from_euler(0, 90, 0))
    nose = face.face_model.landmark_vertices[30, 0]
    # Positive yaw looks to the picture's left.
    assert profile[nose, 0] < np.percentile(profile[:, 0], 2)
