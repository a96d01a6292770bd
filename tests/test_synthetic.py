"""Synthetic faces: exact labels, visibility and depth of hand-made cases, the written folder."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import helpers
import numpy as np
import pytest

from synergynet.datasets.readers import crop_list
from synergynet.datasets.synthetic import SyntheticFace, SyntheticFaces, face
from synergynet.datasets.synthetic.dataset import decode_depth, encode_depth, write_faces
from synergynet.datasets.synthetic.label import Label, draw_label, draw_units
from synergynet.datasets.synthetic.objects import Solid
from synergynet.errors import SynergyNetError
from synergynet.face_model.mirroring import mirrored_params
from synergynet.face_model.model import FaceModel
from synergynet.geometry import params, pose
from synergynet.geometry.crops import LANDMARK_BOX_PIXELS

EYES = (slice(36, 42), slice(42, 48))  # the subject's right, left
LIPS = slice(48, 68)


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(seed=1)


@pytest.fixture(scope="module")
def some(faces: SyntheticFaces) -> list[SyntheticFace]:
    return [faces[i] for i in range(24)]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hair, no objects, no camera."""
    monkeypatch.setattr(face, "draw_hair", lambda *args: None)
    monkeypatch.setattr(face, "draw_objects", lambda *args: [])
    monkeypatch.setattr(face, "photograph", lambda image, rng: image.clip(0, 255).astype(np.uint8))


def label_of(
    model: FaceModel, yaw: float, expression: np.ndarray | None = None, shift: float = 0.0
) -> Label:
    """The mean person turned by ``yaw`` in a tight crop."""
    e = np.zeros(10) if expression is None else expression
    rotation = pose.rotation_from_euler(0, yaw, 0)
    points = model.landmarks(np.zeros(40), e) @ rotation.T
    low, high = points.min(axis=0), points.max(axis=0)
    scale = float(LANDMARK_BOX_PIXELS / (high - low)[:2].max())
    middle = np.append((low + high)[:2] / 2, points[:, 2].mean())
    at = np.array([60.5 + shift, 60.5, 0]) - scale * middle
    raw = params.join(pose.camera_from_pose(scale, rotation, at), np.zeros(40), e)
    return Label(raw.astype(np.float32), rotation, scale, rotation, np.zeros(52), np.zeros(2))


def render(faces: SyntheticFaces, label: Label, seed: int = 0) -> SyntheticFace:
    return faces.render(label, np.random.default_rng(seed))


def test_labels_decode_to_the_landmarks(faces: SyntheticFaces, some) -> None:
    for one in some:
        decoded = faces.model.decode_landmarks(one.params)
        np.testing.assert_allclose(one.landmarks, decoded, atol=1e-4)
        assert abs(one.landmarks[:, 2].mean()) < 1e-3
        units = one.unit_weights @ faces.model.unit_coefficients
        np.testing.assert_allclose(one.params[params.EXPRESSION], units, atol=1e-4)
        assert one.unit_weights.min() >= 0 and one.unit_weights.max() <= 1


def test_the_camera_is_the_stated_rotation_and_scale(faces: SyntheticFaces) -> None:
    for seed in range(20):
        label = draw_label(faces.model, np.random.default_rng(seed))
        scale, rotation, _ = pose.decompose_exact(params.split(label.params)[0])
        np.testing.assert_allclose(rotation, label.rotation, atol=1e-6)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        assert scale == pytest.approx(label.scale, rel=1e-6)


@pytest.mark.slow
def test_poses_reach_profiles_and_crops_follow_the_landmark_rule(faces: SyntheticFaces) -> None:
    labels = [draw_label(faces.model, np.random.default_rng(seed)) for seed in range(600)]
    yaw = pose.euler_exact(np.stack([label.rotation for label in labels]))[:, 1]
    assert (abs(yaw) > 30).mean() > 0.5 and yaw.max() > 80 and yaw.min() < -80
    points = faces.model.decode_landmarks(np.stack([label.params for label in labels]))[..., :2]
    low, high = points.min(axis=1), points.max(axis=1)
    size = (high - low).max(axis=1)
    assert np.median(size) == pytest.approx(LANDMARK_BOX_PIXELS, abs=1)
    assert 3 < size.std() < 8
    assert np.abs(((low + high) / 2).mean(axis=0) - 60.5).max() < 0.5


def test_units_are_sparse_and_mostly_alike_on_both_sides(faces: SyntheticFaces) -> None:
    names = faces.model.unit_names
    rng = np.random.default_rng(0)
    weights = np.stack([draw_units(names, np.zeros(2), rng) for _ in range(500)])
    assert weights.min() == 0 and weights.max() <= 1
    assert 3 < (weights > 0.05).sum(axis=1).mean() < 15
    assert 0.05 < (weights.max(axis=1) < 0.36).mean() < 0.5  # calm faces are among them
    left, right = (weights[:, names.index(f"mouthSmile{side}")] for side in ("Left", "Right"))
    assert np.corrcoef(left, right)[0, 1] > 0.9
    looking_left = draw_units(names, np.array([20.0, 0.0]), rng)
    assert looking_left[names.index("eyeLookOutLeft")] == pytest.approx(0.8)
    assert looking_left[names.index("eyeLookInRight")] == pytest.approx(0.8)
    assert looking_left[names.index("eyeLookInLeft")] == 0


@pytest.mark.parametrize(("yaw", "near"), [(90, 1), (-90, 0)])
def test_a_profile_hides_the_far_eye(faces: SyntheticFaces, bare, yaw: float, near: int) -> None:
    """Positive yaw turns the face to the picture's left edge and shows the subject's left."""
    one = render(faces, label_of(faces.model, yaw))
    # From the side the lids hide the inner corner of the near eye, not the outer one.
    assert one.visibility[45 if near else 36] == 2
    assert (one.visibility[24:27] == 2).all() if near else (one.visibility[17:20] == 2).all()
    assert (one.visibility[EYES[1 - near]] == 0).all()
    jaw = one.visibility[:17] if near else one.visibility[16::-1]
    assert (jaw[:7] == 0).all() and (jaw[10:16] == 2).all()
    nose_x, ear_x = one.landmarks[30, 0], one.landmarks[16 if near else 0, 0]
    assert (nose_x < ear_x) == (yaw > 0)
    half = render(faces, label_of(faces.model, yaw / 2))
    assert (half.visibility[EYES[near]] == 2).all()


def test_a_frontal_face_shows_everything_inside(faces: SyntheticFaces, bare) -> None:
    one = render(faces, label_of(faces.model, 0))
    assert (one.visibility[17:] == 2).all()
    assert (one.visibility[5:12] == 2).all()  # the sides of the jaw are behind the cheeks


def test_objects_and_the_crops_edge_occlude(faces: SyntheticFaces, bare, monkeypatch) -> None:
    label = label_of(faces.model, 0)
    mouth = faces.model.landmark_mean[LIPS].mean(axis=0)
    corners = mouth + np.array([[-40, 14, 60], [40, 14, 60], [40, -20, 60], [-40, -20, 60]])
    board = Solid(corners, np.array([[0, 1, 2], [0, 2, 3]]), np.array([255.0, 0, 0]))
    monkeypatch.setattr(face, "draw_objects", lambda *args: [board])
    one = render(faces, label)
    assert (one.visibility[LIPS] == 1).all()
    assert (one.visibility[36:48] == 2).all()
    x, y = np.rint(one.landmarks[62, :2] - 1).astype(int)
    blue, green, red = one.image[y, x].astype(int)
    assert blue > 3 * max(green, red, 1)
    monkeypatch.setattr(face, "draw_objects", lambda *args: [replace(board, opacity=0.2)])
    assert (render(faces, label).visibility[LIPS] == 2).all()  # one sees through it

    monkeypatch.setattr(face, "draw_objects", lambda *args: [])
    beside = render(faces, label_of(faces.model, 0, shift=60))
    outside = beside.landmarks[:, 0] > 121
    assert 5 < outside.sum() < 60
    assert (beside.visibility[outside] <= 1).all() and (beside.visibility[outside] == 1).any()
    assert (beside.visibility[17:20] == 2).all()


def test_depth_is_that_of_the_landmarks(some) -> None:
    visible, hidden = [], []
    for one in some:
        at = np.rint(one.landmarks[17:, :2] - 1).astype(int)
        kept = ((at >= 0) & (at < 120)).all(axis=1)
        z = one.depth[at[kept, 1], at[kept, 0]] - one.landmarks[17:, 2][kept]
        visibility = one.visibility[17:][kept]
        visible.append(z[(visibility == 2) & np.isfinite(z)])
        hidden.append(z[(visibility == 0) & np.isfinite(z)])
    near, far = np.concatenate(visible), np.concatenate(hidden)
    assert len(near) > 300 and len(far) > 100
    assert abs(np.median(near)) < 0.4
    assert np.quantile(abs(near), 0.9) < 4.5
    assert np.median(far) > 4  # something is before them


def test_depth_survives_its_png() -> None:
    depth = np.array([[np.nan, -120.004, 0.0, 99.999]], dtype=np.float32)
    value = encode_depth(depth)
    assert value.dtype == np.uint16
    np.testing.assert_array_equal(value, [[0, 18000, 30000, 40000]])
    np.testing.assert_allclose(decode_depth(value), depth, atol=0.0051)


def test_a_mirrored_label_gives_the_mirrored_surface(faces: SyntheticFaces, bare) -> None:
    label = draw_label(faces.model, np.random.default_rng(4))
    raw = mirrored_params(faces.model, label.params).astype(np.float32)
    flip = np.diag([-1.0, 1.0, 1.0])
    turned = Label(
        raw, flip @ label.rotation @ flip, label.scale, flip @ label.body_rotation @ flip,
        label.unit_weights, label.gaze * [-1, 1],
    )  # fmt: skip
    one, other = render(faces, label), render(faces, turned)
    np.testing.assert_allclose(
        other.landmarks, crop_list.mirrored_landmarks(one.landmarks), atol=0.02
    )
    depth, mirrored = one.depth, other.depth[:, ::-1]
    both = np.isfinite(depth) & np.isfinite(mirrored)
    assert (np.isfinite(depth) == np.isfinite(mirrored)).mean() > 0.995
    assert np.quantile(abs(depth - mirrored)[both], 0.98) < 0.1


@pytest.mark.slow
def test_the_paint_sits_on_the_labels(faces: SyntheticFaces, bare) -> None:
    """Lips are redder than cheeks, brows darker than the forehead above them, mouths dark."""
    jaw = faces.model.unit_coefficients[faces.model.unit_names.index("jawOpen")] * 0.8
    redder, darker, black = [], [], []
    for seed in range(12):
        one = render(faces, label_of(faces.model, 15.0 if seed % 2 else -15.0, jaw), seed)
        at, image = one.landmarks[:, :2] - 1, one.image.astype(np.float32)

        def color(*xy: float, image: np.ndarray = image) -> np.ndarray:
            x, y = (round(float(v)) for v in xy)
            return image[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1)) + 1

        lip, cheek = color(*(at[57] + at[66]) / 2), color(*(at[48] + at[3]) / 2)
        redder.append((lip[2] / lip[1]) / (cheek[2] / cheek[1]))
        brow = (color(*at[19]) + color(*at[24])).mean()
        darker.append(brow / (color(*at[19] - [0, 9]) + color(*at[24] - [0, 9])).mean())
        black.append(color(*at[62] * 0.35 + at[66] * 0.65).mean() / cheek.mean())
    assert np.median(redder) > 1.1
    assert np.median(darker) < 0.9
    assert np.median(black) < 0.5


def test_pictures_are_varied_and_have_surroundings(some) -> None:
    head = np.array([np.isfinite(one.depth).mean() for one in some])
    assert head.min() > 0.2 and head.max() < 0.95
    background = [one.image[~np.isfinite(one.depth)] for one in some]
    skin = np.array([one.image[np.isfinite(one.depth)].mean(axis=0) for one in some])
    around = np.array([pixels.mean(axis=0) for pixels in background])
    assert np.linalg.norm(skin - around, axis=1).mean() > 25
    assert np.mean([pixels.std() for pixels in background]) > 20
    assert skin.mean(axis=1).std() > 20  # light and dark
    assert all(one.image.shape == (120, 120, 3) and one.image.dtype == np.uint8 for one in some)
    hidden = np.stack([one.visibility for one in some])
    assert all((hidden == kind).mean() > 0.02 for kind in (0, 1, 2))


@pytest.mark.slow
def test_a_face_depends_on_seed_and_number_alone(faces: SyntheticFaces, some) -> None:
    again, plain = SyntheticFaces(seed=1), SyntheticFaces(seed=1, backend="numpy")
    for maker in (again, plain):
        one = maker[5]
        np.testing.assert_array_equal(one.params, some[5].params)
        np.testing.assert_array_equal(one.visibility, some[5].visibility)
    np.testing.assert_array_equal(again[5].image, some[5].image)
    difference = plain[5].image.astype(int) - some[5].image
    assert (difference != 0).mean() < 0.01  # NumPy may round a pixel otherwise than numba
    other = SyntheticFaces(seed=2)[5]
    assert not np.array_equal(other.params, some[5].params)


def test_another_face_model_is_refused(tiny_model: FaceModel) -> None:
    with pytest.raises(SynergyNetError, match="open-head"):
        SyntheticFaces(model=tiny_model)


# The folder.


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return helpers.run("data", "synth", *arguments)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_the_command_writes_a_training_list(tmp_path: Path, faces: SyntheticFaces) -> None:
    output = tmp_path / "faces"
    result = run("-n", 12, "-o", output, "--seed", 1, "--depth", "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert not result.stderr and "12/12" in result.stdout and "12 crops" in result.stdout
    names = crop_list.read_list(output / "train.list")
    assert len(names) == 12 and names[3] == "0000/1_0000003.jpg"
    crops = crop_list.read_crops(output / "crops", names)
    labels = output / "param_all_norm.pkl"
    raw = crop_list.read_params(labels, crop_list.find_whitening(labels, None), 12)
    with np.load(output / "labels.npz", allow_pickle=False) as exact:
        np.testing.assert_allclose(raw, exact["params62"], rtol=1e-4, atol=1e-4)
        decoded = faces.model.decode_landmarks(raw)
        np.testing.assert_allclose(decoded.transpose(0, 2, 1), exact["landmarks68"], atol=2e-3)
        assert exact["visibility"].shape == (12, 68)
        assert exact["unit_weights"].shape == (12, len(exact["unit_names"]))
        assert str(exact["seed"]) == "1" and str(exact["face_model"]) == faces.model.name
        np.testing.assert_array_equal(exact["mirror_disagreement_px"], 0)
    one = faces[3]
    assert abs(crops[3].astype(int) - one.image).mean() < 4  # JPEG
    png = cv2.imread(str(output / "depth" / names[3].replace(".jpg", ".png")), -1)
    np.testing.assert_allclose(decode_depth(png), one.depth, atol=0.0051)
    assert not (output / "parts").exists()

    before = {file: file.stat().st_mtime_ns for file in output.rglob("*")}
    assert run("-n", 12, "-o", output, "--seed", 1, "--depth").returncode == 0
    assert before == {file: file.stat().st_mtime_ns for file in output.rglob("*")}
    refused = run("-n", 12, "-o", output, "--seed", 2, "--depth")
    assert refused.returncode == 1 and "synth.json" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_orders_are_refused_in_a_sentence(tmp_path: Path) -> None:
    result = run("-n", 0, "-o", tmp_path / "none")
    assert result.returncode == 1 and result.stderr.startswith("error: cannot make 0 faces")
    assert not (tmp_path / "none").exists()
    with pytest.raises(SynergyNetError, match="seed"):
        write_faces(tmp_path / "none", 3, seed=-1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(SynergyNetError, match="not an empty folder"):
        write_faces(tmp_path / "other", 3)
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(SynergyNetError, match="not an empty folder"):
        write_faces(file, 3)


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_workers_change_nothing(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop_early(done: int, total: int) -> None:
        if done:
            raise Stop

    count = 70
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with pytest.raises(Stop):
        write_faces(stopped, count, progress=stop_early)
    assert not (stopped / "train.list").exists()
    kept = stopped / "crops" / "0000" / "0_0000002.jpg"
    first = kept.stat().st_mtime_ns
    seen: list[int] = []
    write_faces(stopped, count, progress=lambda done, total: seen.append(done))
    assert seen == [64, 70] and kept.stat().st_mtime_ns == first
    write_faces(whole, count, workers=2)
    assert files_of(stopped) == files_of(whole)

    (stopped / "train.list").unlink()  # a power cut: a picture is empty, its labels are gone
    kept.write_bytes(b"")
    write_faces(stopped, count)
    assert files_of(stopped) == files_of(whole)
