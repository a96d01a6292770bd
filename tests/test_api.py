"""The Python interface: lists, crops of one's own, lazy faces, files, pictures, official shape."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import REPO
from known_answers import SIZE, FixedDetector, FixedRegressor, analyzer
from small_models import centred, weights_info

import synergynet
from synergynet.detection import Detection
from synergynet.errors import SynergyNetError
from synergynet.face_model.units import bounded_minimum
from synergynet.geometry.conventions import Conventions
from synergynet.geometry.crops import CropBox
from synergynet.geometry.params import EXPRESSION
from synergynet.pipeline import next_crop
from synergynet.pipeline.official_api import SynergyNet
from synergynet.regression import Prediction

SQUARES = ((100.2, 90.7, 120.4), (250.0, 200.0, 90.0))


class CountingDetector(FixedDetector):
    """Finds as many of its squares as the photo's first pixel says."""

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        return super().detect(bgr)[: int(bgr[0, 0, 0])]


class CropReader(FixedRegressor):
    """Answers with a face whose place depends on what the crop shows."""

    def predict(self, crops: np.ndarray, /) -> np.ndarray:
        out = super().predict(crops)
        out[:, 3] += crops.mean(axis=(1, 2, 3)) / 50
        return out


@pytest.fixture
def many(tiny_model) -> synergynet.FaceAnalyzer:
    regressor = CropReader(weights_info(tiny_model), centred(tiny_model))
    return synergynet.FaceAnalyzer(CountingDetector(*SQUARES), regressor, tiny_model, mirror=False)


def photos(*counts: int) -> list[np.ndarray]:
    """Photos of different sizes that show so many faces."""
    rng = np.random.default_rng(1)
    out = [rng.integers(0, 256, (300 + 7 * i, 400, 3), dtype=np.uint8) for i in range(len(counts))]
    for image, count in zip(out, counts, strict=True):
        image[0, 0] = count
    return out


def test_a_list_gives_what_its_photos_give_alone_in_one_batch_per_pass(many) -> None:
    images = photos(2, 0, 1, 2)
    alone = [many(image) for image in images]
    many.regressor.seen.clear()
    together = many(images)
    # The second pass shows only what the first would have cut otherwise.
    assert [len(crops) for crops in many.regressor.seen] == [5, 3]
    assert [len(faces) for faces in together] == [2, 0, 1, 2]
    for image, one, other in zip(images, alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a.crop, a.box, a.image_size) == (b.crop, b.box, image.shape[:2])
            np.testing.assert_allclose(a.landmarks, b.landmarks, atol=1e-4)
    assert many([]) == [] and many(images[1:2]) == [[]]
    assert many(tuple(images))[0][0].crop == alone[0][0].crop


def test_long_lists_go_in_several_batches_with_their_own_times(many) -> None:
    every = many.analyze_all(photos(*[1] * 17, 0))
    assert [len(crops) for crops in many.regressor.seen] == [16, 16, 1, 1]
    assert [len(analysis.faces) for analysis in every] == [1] * 17 + [0]
    assert every[-1].timings.regression == 0 < every[0].timings.regression


def test_paths_are_read_and_a_bad_image_of_a_list_is_named(many, tmp_path) -> None:
    (image,) = photos(1)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    for found in (
        many(str(tmp_path / "a.png")),
        many([tmp_path / "a.png"], channel_order="RGB")[0],
    ):
        assert found[0].crop == many(image)[0].crop
    with pytest.raises(SynergyNetError, match=r"image 1 of the list: .*b\.png: no such photo"):
        many([image, tmp_path / "b.png"])
    with pytest.raises(SynergyNetError, match="image 17 of the list: the image has shape"):
        many([image] * 17 + [image[..., 0]])


def test_faces_in_answers_every_given_crop_once(tiny_model, photo) -> None:
    run = analyzer(tiny_model)
    boxes = [CropBox(30.3, 40.2, 120.4), CropBox(31.0, 40.0, 120.0), CropBox(200.5, 100.5, 90)]
    faces = run.faces_in(photo, boxes)
    assert [face.crop for face in faces] == [box.rounded() for box in boxes]  # overlap or not
    assert [crops.shape for crops in run.regressor.seen] == [(3, 120, 120, 3)]
    for face in faces:
        low, high = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
        assert (face.score, face.box) == (0.0, (*low, *high))
    found = [Detection((1.0, 2.0, 3.0, 4.0), 0.7)] * 3
    assert {(f.box, f.score) for f in run.faces_in(photo, boxes, found)} == {(found[0].box, 0.7)}
    assert run.faces_in(photo, []) == []
    run.faces_in(photo[..., ::-1], boxes, channel_order="RGB")
    np.testing.assert_array_equal(run.regressor.seen[0], run.regressor.seen[-1])
    for bad in (CropBox(5000, 0, 50), CropBox(float("nan"), 0, 50), CropBox(0, 0, 1e9)):
        with pytest.raises(SynergyNetError, match="no square"):
            run.faces_in(photo, [bad])
    following = next_crop(faces[0].landmarks, faces[0].crop, photo.shape)
    assert following == analyzer(tiny_model, (90.5, 100.4, 120.4))(photo)[0].crop


def test_other_parameters_are_another_face(tiny_model, photo) -> None:
    (face,) = analyzer(tiny_model, SQUARES[0])(photo)
    _ = face.landmarks, face.vertices, face.pose, face.arkit
    params = face.params.copy()
    params[EXPRESSION] = 0
    params[3] += 12  # crop pixels
    other = replace(face, params=params)
    shift = 12 * face.crop.side / 120
    np.testing.assert_allclose(
        other.pose.translation - face.pose.translation, [shift, 0, 0], atol=1e-4
    )
    assert set(other.arkit.values()) == {0.0}
    at_landmarks = tiny_model.at_landmarks(other.vertices)
    np.testing.assert_allclose(at_landmarks, other.landmarks, atol=1e-3)
    assert np.abs(other.landmarks - face.landmarks - [shift, 0, 0]).max() > 0.1


def test_bounded_minimum_meets_the_conditions_of_optimality() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        root = rng.normal(size=(8, 6))
        gram, pull = root.T @ root + 0.01 * np.eye(6), rng.normal(size=6) * 5
        upper = rng.uniform(0.1, 2, 6)
        x = bounded_minimum(gram, pull, upper)
        slope = pull - gram @ x
        assert ((x >= 0) & (x <= upper)).all()
        assert np.abs(slope[(x > 0) & (x < upper)]).max(initial=0) < 1e-9
        assert (slope[x == 0] <= 1e-9).all() and (slope[x == upper] >= -1e-9).all()


@pytest.mark.slow
def test_a_face_is_saved_by_the_ending(tiny_model, photo, tmp_path) -> None:
    trimesh = pytest.importorskip("trimesh", reason="reads the meshes back")
    (face,) = analyzer(tiny_model, SQUARES[0])(photo)
    (path,) = synergynet.save(face, tmp_path / "new" / "face.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(face.to_dict()))
    calm = face.params.copy()
    calm[EXPRESSION] = 0  # morph targets aside, a GLB holds the neutral face
    for ending, shown in (
        (".obj", face), (".ply", face), (".PLY", face), (".glb", replace(face, params=calm)),
    ):  # fmt: skip
        (path,) = synergynet.save(face, tmp_path / f"grey{ending}")
        mesh = trimesh.load(path, force="mesh", process=False)
        up = shown.vertices * (1, -1, 1) + (0, SIZE[0] - 1, 0)
        np.testing.assert_allclose(mesh.triangles, up[tiny_model.triangles], atol=1e-3)
    textured = synergynet.save(face, tmp_path / "face.obj", photo, texture_size=32)
    assert [p.name for p in textured] == ["face_uv.png", "face.mtl", "face.obj"]
    texture = cv2.imread(str(textured[0]))
    np.testing.assert_array_equal(texture, synergynet.draw(photo, face, "uv", texture_size=32))
    rgb = np.ascontiguousarray(photo[..., ::-1])
    (a,) = synergynet.save(face, tmp_path / "bgr.ply", photo, space="head")
    (b,) = synergynet.save(face, tmp_path / "rgb.ply", rgb, space="head", channel_order="RGB")
    assert a.read_bytes() == b.read_bytes() != path.read_bytes()


def test_a_refused_save_writes_nothing(tiny_model, photo, tmp_path) -> None:
    (face,) = analyzer(tiny_model, SQUARES[0])(photo)
    for name in ("face.stl", "face", "face.json.gz"):
        with pytest.raises(SynergyNetError, match=rf"{name}: a face is saved as \.json"):
            synergynet.save(face, tmp_path / name)
    with pytest.raises(SynergyNetError, match="100 x 100, but the face was found in 400 x 300"):
        synergynet.save(face, tmp_path / "face.glb", np.zeros((100, 100, 3), np.uint8))
    bare = replace(face, face_model=replace(tiny_model, triangles=np.zeros((0, 3), np.int32)))
    with pytest.raises(SynergyNetError, match="no triangles"):
        synergynet.save(bare, tmp_path / "face.ply")
    with pytest.raises(SynergyNetError, match="unknown space"):
        synergynet.save(face, tmp_path / "face.ply", space="world")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["landmarks", "pose", "box", "mesh", "solid", "pncc", "normals"])
def test_pictures_keep_the_photos_channel_order(tiny_model, photo, kind) -> None:
    faces = analyzer(tiny_model, *SQUARES)(photo)
    before = photo.copy()
    bgr = synergynet.draw(photo, faces, kind)
    rgb = synergynet.draw(photo[..., ::-1], faces, kind, channel_order="RGB")
    np.testing.assert_array_equal(rgb[..., ::-1], bgr)
    np.testing.assert_array_equal(photo, before)
    assert bgr.shape == photo.shape and (bgr != photo).any()
    if kind in ("landmarks", "mesh"):
        alone = synergynet.draw(photo, faces[1], kind)
        x, y = faces[0].landmarks[30, :2].astype(int)
        np.testing.assert_array_equal(alone[y, x], photo[y, x])  # the other face is not drawn


def test_depth_and_uv_and_what_cannot_be_drawn(tiny_model, photo) -> None:
    faces = analyzer(tiny_model, *SQUARES)(photo)
    depth = synergynet.draw(photo, faces, "depth", channel_order="RGB")
    assert depth.shape == SIZE and depth.dtype == np.uint16 and depth.any()
    assert synergynet.draw(photo, faces[0], "uv", texture_size=40).shape == (40, 40, 3)
    np.testing.assert_array_equal(synergynet.draw(photo, [], "mesh"), photo)
    with pytest.raises(SynergyNetError, match="one face, but 2"):
        synergynet.draw(photo, faces, "uv")
    with pytest.raises(SynergyNetError, match="unknown drawing 'moustache'"):
        synergynet.draw(photo, faces[0], "moustache")
    with pytest.raises(SynergyNetError, match="expected a uint8 array"):
        synergynet.draw(photo / 255, faces, "mesh")


def official(model, regressor: FixedRegressor, **options: object) -> SynergyNet:
    return SynergyNet(regressor, model, detector=FixedDetector(*SQUARES), **options)


def test_official_shape_with_our_numbers(tiny_model, photo) -> None:
    regressor = FixedRegressor(weights_info(tiny_model), centred(tiny_model))
    run = official(tiny_model, regressor)
    landmarks, vertices, poses = run.get_all_outputs(photo)
    faces = run.analyzer(photo)
    assert [p.shape for p in landmarks] == [(3, 68)] * 2
    assert [v.shape for v in vertices] == [(3, tiny_model.n_vertices)] * 2
    for face, points, mesh, (angles, translation) in zip(
        faces, landmarks, vertices, poses, strict=True
    ):
        np.testing.assert_array_equal(points, face.landmarks.T)
        np.testing.assert_allclose(mesh, face.vertices.T, atol=1e-4)  # made together, and alone
        assert angles == [face.pose.yaw, face.pose.pitch, face.pose.roll]
        np.testing.assert_array_equal(translation, face.pose.translation)
    run.analyzer.detector = FixedDetector()
    assert run.get_all_outputs(photo) == ([], [], [])
    with pytest.raises(SynergyNetError, match=r"the image is None; cv2\.imread"):
        run.get_all_outputs(cv2.imread("nowhere.jpg"))


@pytest.mark.parametrize("frame", ["pixel", "protocol"])
def test_official_conventions_give_the_official_arithmetic(
    tiny_model,
    photo,
    frame,
) -> None:
    raw = centred(tiny_model)
    regressor = FixedRegressor(weights_info(tiny_model, frame=frame), raw)
    run = official(tiny_model, regressor, conventions=Conventions.official())
    landmarks, _, poses = run.get_all_outputs(photo)
    assert len(regressor.seen) == 1  # one pass
    # The detector's first box: centre (100.2, 90.7), height 2/3 of 120.4; margin of 48.
    box = run.analyzer(photo)[0].crop
    assert box.side == 96
    left, top = round(100.2 - 48 + 0.5), round(90.7 - 48 + 0.5)  # first pixels, 0-based
    assert (box.left, box.top) == (left - 0.5, top - 0.5)
    decoded = tiny_model.decode_landmarks(raw.astype(np.float32))
    expected = decoded * (96 / 120) + (left, top, 0)
    np.testing.assert_allclose(landmarks[0].T, expected, rtol=1e-5)
    angles, translation = poses[0]
    np.testing.assert_allclose(
        translation, [raw[3] * 0.8 + left, raw[7] * 0.8 + top, raw[11]], rtol=1e-5
    )
    camera = raw[:12].reshape(3, 4)
    rows = camera[:2, :3] / np.linalg.norm(camera[:2, :3], axis=1)[:, None]
    assert angles[0] == pytest.approx(np.degrees(np.arcsin(np.cross(*rows)[0])), abs=1e-3)


def test_official_conventions_leave_confidence_alone(tiny_model, photo) -> None:
    regressor = FixedRegressor(weights_info(tiny_model), centred(tiny_model))
    regressor.assess = lambda crops: Prediction(
        regressor.predict(crops), np.full(len(crops), 2.0, np.float32)
    )
    run = official(tiny_model, regressor, conventions=Conventions.official())
    assert run.analyzer(photo)[0].expected_nme == 2.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("", ".pipeline.analyzer", ".pipeline.official_api", ".face_model.units"),
        *(".geometry.boxes", ".outputs.draw", ".outputs.save"),
    ],
)
def test_docstrings_tell_the_truth(name, monkeypatch) -> None:
    monkeypatch.chdir(REPO)
    module = importlib.import_module(f"synergynet{name}")
    failed, tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


def test_the_interface_is_complete_and_lazy() -> None:
    for name in synergynet.__all__:
        assert getattr(synergynet, name) is not None
    assert synergynet.SynergyNet is SynergyNet
    assert set(synergynet.__all__) <= set(dir(synergynet))


def test_onnx_runtime_reports_to_nobody(tmp_path) -> None:
    """Where it does, it first writes a number of the device below the home folder."""
    network = Path(synergynet.__file__).parent / "detection" / "data" / "yunet.onnx"
    code = f"from synergynet.files.onnx_session import open_session; open_session({str(network)!r})"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= dict.fromkeys(("HOME", "USERPROFILE", "XDG_CACHE_HOME"), str(tmp_path))
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
