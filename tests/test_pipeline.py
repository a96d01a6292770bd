"""Photo to faces to files, with detectors and networks whose answers are known."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_answers import SIZE, FixedDetector, FixedRegressor, analyzer
from small_models import centred, random_params, weights_info

from synergynet.errors import SynergyNetError
from synergynet.face_model.mirroring import mirrored_params
from synergynet.face_model.units import unit_weights
from synergynet.geometry import params
from synergynet.geometry.conventions import Conventions
from synergynet.geometry.crops import CropBox, crop_from_box_by_height, crop_from_landmarks
from synergynet.geometry.pose import rotation_from_euler
from synergynet.pipeline import FaceAnalyzer, read_image
from synergynet.pipeline.face import crop_to_image, poses_in_images
from synergynet.regression import Prediction


def test_back_projection_by_frame() -> None:
    points = np.random.default_rng(0).uniform(1, 120, (7, 3))
    sx, sy, ex, ey = 51, 61, 230, 240
    box = CropBox.from_inclusive_photo1([sx, sy, ex, ey])
    exact = crop_to_image(points, box, "pixel")
    np.testing.assert_allclose(exact[:, 0] + 1, sx + (points[:, 0] - 0.5) * 180 / 120 - 0.5)
    official = crop_to_image(points, box, "protocol")
    np.testing.assert_allclose(official[:, 0] + 1, points[:, 0] * (ex - sx) / 120 + sx)
    np.testing.assert_allclose(official[:, 1] + 1, points[:, 1] * (ey - sy) / 120 + sy)
    np.testing.assert_allclose(official[:, 2], points[:, 2] * (ex - sx) / 120)


@pytest.mark.parametrize("frame", ["pixel", "protocol"])
def test_the_pose_moves_the_model_onto_the_landmarks(tiny_model, frame) -> None:
    raw = random_params(1, seed=2)[0]
    box = CropBox(100.5, 50.5, 233)
    (pose,) = poses_in_images(raw[None], [box], frame, Conventions.exact())
    _, identity, expression = params.split(raw)
    turned = tiny_model.landmarks(identity, expression) @ pose.rotation.T
    placed = pose.scale * turned * (1, -1, 1) + pose.translation
    expected = crop_to_image(tiny_model.decode_landmarks(raw), box, frame)
    np.testing.assert_allclose(placed, expected, atol=1e-3)
    np.testing.assert_allclose(
        rotation_from_euler(pose.pitch, pose.yaw, pose.roll), pose.rotation, atol=1e-9
    )


def test_official_conventions_reach_the_pose(tiny_model) -> None:
    raw = random_params(1, seed=2)[0]
    box = CropBox(-0.5, -0.5, 121)
    (exact,) = poses_in_images(raw[None], [box], "protocol", Conventions.exact())
    (official,) = poses_in_images(raw[None], [box], "protocol", Conventions.official())
    assert official.yaw == pytest.approx(np.rad2deg(np.arcsin(official.rotation[2, 0])))
    assert official.yaw != pytest.approx(exact.yaw)
    # A box of inclusive corners 1..121: official photo coordinates are x120 + 1.
    np.testing.assert_allclose(official.translation[:2], raw[[3, 7]])
    np.testing.assert_allclose(exact.translation[1], 121 - raw[7])


@pytest.mark.parametrize("frame", ["pixel", "protocol"])
def test_all_faces_run_in_one_batch_and_crops_follow_the_landmarks(
    tiny_model, photo, frame
) -> None:
    squares = [(100.2, 90.7, 120.4), (250.0, 200.0, 90.0), (330.0, 60.0, 50.0)]
    run = analyzer(tiny_model, *squares, raw=centred(tiny_model, 70), frame=frame)
    analysis = run.analyze(photo)
    first, second = run.regressor.seen
    assert first.shape == second.shape == (3, 120, 120, 3)
    assert all(t > 0 for t in vars(analysis.timings).values())
    for face, (x, y, side) in zip(analysis.faces, squares, strict=True):
        begin = CropBox.from_center(x, y, side).rounded()
        decoded = tiny_model.decode_landmarks(run.regressor.raw.astype(np.float32))
        expected = crop_from_landmarks(crop_to_image(decoded, begin, frame)).rounded()
        assert face.crop == expected and face.crop.side < begin.side
        np.testing.assert_allclose(
            face.landmarks, crop_to_image(decoded, expected, frame), rtol=1e-6
        )
        np.testing.assert_allclose(
            tiny_model.at_landmarks(face.vertices), face.landmarks, atol=1e-3
        )
        assert face.vertices is face.vertices
        assert set(face.arkit) == set(tiny_model.unit_names)
    assert [face.score for face in analysis.faces] == sorted(
        (face.score for face in analysis.faces), reverse=True
    )


def test_one_pass_cuts_by_the_detector(tiny_model, photo) -> None:
    square = (150.0, 150.0, 120.0)
    run = analyzer(tiny_model, square, passes=1, border=7)
    (face,) = run(photo)
    assert face.crop == CropBox.from_center(*square).rounded()
    (crop,) = run.regressor.seen[0]
    assert not crop[:7].any()
    left, top = int(face.crop.left + 0.5), int(face.crop.top + 0.5)
    inner = photo[top : top + 120, left : left + 120][7:-7, 7:-7]
    np.testing.assert_array_equal(crop[7:-7, 7:-7], inner)
    by_height = analyzer(
        tiny_model, square, passes=1, conventions=replace(Conventions(), detector_box="height")
    )(photo)[0]
    assert by_height.crop == crop_from_box_by_height(by_height.box).rounded()
    with pytest.raises(SynergyNetError, match="passes"):
        analyzer(tiny_model, square, passes=0)


def test_two_answers_on_one_face_become_one(tiny_model, photo) -> None:
    run = analyzer(tiny_model, (100, 100, 100), (104, 97, 105), (300, 200, 80))
    faces = run(photo)
    assert [round(face.score, 1) for face in faces] == [0.9, 0.7]
    assert analyzer(tiny_model)(photo) == []


def test_impossible_boxes_are_left_out(tiny_model, photo) -> None:
    nan = float("nan")
    wild = [(nan, 1, 9), (50, 50, 1e9), (50, 50, 0.2), (-900, 50, 60), (50, 5000, 60)]
    run = analyzer(tiny_model, *wild, (200, 150, 100))
    assert len(run(photo)) == 1
    assert analyzer(tiny_model, *wild)(photo) == []


@pytest.mark.parametrize("factor", [1e-6, 50.0])
def test_a_nonsensical_second_crop_is_not_followed(tiny_model, photo, factor) -> None:
    raw = centred(tiny_model)
    raw[params.POSE] *= factor
    (face,) = analyzer(tiny_model, (200, 150, 100), raw=raw)(photo)
    assert face.crop == CropBox.from_center(200, 150, 100).rounded()


def test_channel_order_and_bad_images(tiny_model) -> None:
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    image[..., 0] = 200
    run = analyzer(tiny_model, (200, 150, 100), passes=1)
    run(image)
    run(image, channel_order="RGB")
    assert [crop[0, 60, 60].tolist() for crop in run.regressor.seen] == [[200, 0, 0], [0, 0, 200]]
    for bad in (image.astype(np.float32), image[..., 0], image[..., :2], image[:0]):
        with pytest.raises(SynergyNetError, match="image"):
            run(bad)
    with pytest.raises(SynergyNetError, match=r"nowhere\.jpg: no such photo"):
        run("nowhere.jpg")
    with pytest.raises(SynergyNetError, match="channel order"):
        run(image, channel_order="GBR")


def test_weights_of_another_face_model_are_refused(tiny_model, tmp_path) -> None:
    regressor = FixedRegressor(weights_info(tiny_model), centred(tiny_model))
    other = replace(tiny_model, name="other", mean=tiny_model.mean + 1)
    with pytest.raises(SynergyNetError, match=r"'tiny'.*'other'"):
        FaceAnalyzer(FixedDetector(), regressor, other)
    regressor.face_model = tiny_model  # carried by the weights
    assert FaceAnalyzer(FixedDetector(), regressor).face_model is tiny_model
    with pytest.raises(SynergyNetError, match="detector 'nobody'"):
        FaceAnalyzer("nobody", regressor)


def test_to_dict_is_the_documented_structure(tiny_model, photo) -> None:
    (face,) = analyzer(tiny_model, (200, 150, 100))(photo)
    content = json.loads(json.dumps(face.to_dict(), allow_nan=False))
    assert list(content) == [
        "box", "score", "confidence", "expected_nme_percent", "landmarks", "pose",
        "coefficients", "arkit",
    ]  # fmt: skip
    assert content["confidence"] is None and content["expected_nme_percent"] is None
    pose = ["yaw", "pitch", "roll", "rotation", "quaternion", "translation", "scale"]
    assert list(content["pose"]) == pose
    assert list(content["coefficients"]) == ["identity", "expression"]
    assert np.shape(content["landmarks"]) == (68, 3)
    assert np.shape(content["pose"]["rotation"]) == (3, 3)
    assert [len(v) for v in content["coefficients"].values()] == [40, 10]
    np.testing.assert_allclose(content["landmarks"], face.landmarks, atol=6e-4)
    np.testing.assert_allclose(content["coefficients"]["identity"], face.identity, rtol=1e-6)


def test_confidence_is_that_of_the_last_pass(tiny_model, photo) -> None:
    run = analyzer(tiny_model, (100, 100, 100), (300, 200, 80))
    told = iter([[20.0, 20.0], [2.0, 8.0]])

    def assess(crops: np.ndarray, /) -> Prediction:
        return Prediction(run.regressor.predict(crops), np.array(next(told), np.float32))

    run.regressor.assess = assess
    first, second = run(photo)
    assert (first.expected_nme, second.expected_nme) == (2.0, 8.0)
    assert first.confidence > 0.99 and second.confidence == pytest.approx(0.5)
    content = first.to_dict()
    assert content["expected_nme_percent"] == 2.0 and content["confidence"] > 0.99
    assert len(run.regressor.seen) == 2  # one batch per pass


def test_expression_units_are_recovered_within_their_bounds(tiny_model) -> None:
    units = np.zeros((12, 10), dtype=np.float32)
    units[:10] = 3 * np.eye(10)
    units[10] = -3 * np.eye(10)[0]
    names = tuple(f"unit{i}" for i in range(12))  # the last one moves nothing
    model = replace(tiny_model, unit_names=names, unit_coefficients=units, unit_shapes=None)
    truth = np.array([[0.5, 0, 0.2, 0, 0, 0, 0, 0, 0, 0.9, 0, 0], [0] * 10 + [0.7, 0]])
    found = unit_weights(truth @ units, model)
    np.testing.assert_allclose(found, truth, atol=0.1)  # the price pulls toward 0
    assert (found[truth == 0] < 0.05).all()
    beyond = unit_weights(np.full((1, 10), 100.0), model)
    np.testing.assert_allclose(beyond[0], [1] * 10 + [0, 0], atol=1e-6)
    assert unit_weights(np.zeros((0, 10)), model).shape == (0, 12)
    bare = replace(tiny_model, unit_names=(), unit_coefficients=np.zeros((0, 10)), unit_shapes=None)
    assert unit_weights(np.ones((2, 10)), bare).shape == (2, 0)


def test_everyday_units_of_open_head_are_read_off_the_landmarks() -> None:
    from synergynet.face_model.open_head import load_open_head

    model = load_open_head()
    for name in ("jawOpen", "mouthSmile", "mouthPucker", "browInnerUp"):
        wanted = [i for i, n in enumerate(model.unit_names) if n.startswith(name)]
        modes = model.landmark_expression.reshape(10, -1).T
        moved = model.at_landmarks(model.unit_shapes[wanted].sum(axis=0)).reshape(-1)
        expression = np.linalg.lstsq(modes, moved, rcond=None)[0]
        weights = unit_weights(expression, model)[0]
        assert weights[wanted].min() > 0.3, (name, weights[wanted])
        assert weights[wanted].mean() > 2 * np.delete(weights, wanted).mean(), name


def test_real_labels_sit_on_real_crops(bfm, shared_data) -> None:
    """Crops cut from the originals by our rule are the benchmark's, to a fraction of a pixel."""
    from synergynet.geometry.crops import aflw2000_roi
    from synergynet.regression import cut_crops

    root = shared_data / "aflw2000_data"
    names = [Path(n).name for n in (root / "AFLW2000-3D_crop.list").read_text().split()]
    points = np.load(root / "eval" / "AFLW2000-3D.pts68.npy")
    boxes = aflw2000_roi(points, clip=None)
    difference = []
    for index, name in enumerate(names[:100]):
        original = shared_data / "aflw2000_originals" / name
        if original.is_file():
            stored = read_image(root / "AFLW2000-3D_crop" / name).astype(float)
            box = CropBox.from_inclusive_photo1(boxes[index])
            shifted = [replace(box, left=box.left + d) for d in (-1, 0, 1)]
            crops = cut_crops(read_image(original), shifted)
            difference.append(np.abs(crops - stored).mean(axis=(1, 2, 3)))
    left, here, right = np.mean(difference, axis=0)
    assert here < 2.2 and here < 0.6 * min(left, right)


def test_the_last_pass_sees_the_mirrored_crop_too(tiny_model, photo) -> None:
    """An answer that a mirrored crop does not turn round is half itself, half mirrored."""
    square, raw = (160.0, 120.0, 100.0), centred(tiny_model)
    run = analyzer(tiny_model, square, raw=raw, mirror=True)
    (face,) = run(photo)
    first, last = run.regressor.seen
    assert run.mirrored and len(first) == 1 and len(last) == 2
    np.testing.assert_array_equal(last[1], last[0][:, ::-1])
    expected = (raw + mirrored_params(tiny_model, raw)) / 2
    np.testing.assert_allclose(face.params, expected, rtol=1e-5, atol=1e-5)
    (tracked,) = run.faces_in(photo, [face.crop])
    np.testing.assert_allclose(tracked.params, raw, rtol=1e-5)  # trackers see one view


@pytest.mark.parametrize("case", ["protocol frame", "asymmetric model"])
def test_mirroring_has_no_effect_where_it_would_be_wrong(tiny_model, photo, case) -> None:
    model, frame = tiny_model, "protocol"
    if case == "asymmetric model":
        model, frame = dataclasses.replace(tiny_model, mirror_signs=None), "pixel"
    run = analyzer(model, (160.0, 120.0, 100.0), mirror=True, frame=frame)
    run(photo)
    assert not run.mirrored and [len(crops) for crops in run.regressor.seen] == [1, 1]
