"""Face profiling: crops turned in depth with their labels, and lists that mix sources."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import REPO, run

from synergynet.datasets.profiling import (
    TurnLimits,
    axis_turn,
    draw_turn,
    turn_crop,
    turn_label,
    turn_list,
)
from synergynet.datasets.readers import crop_list
from synergynet.datasets.readers.list_folder import write_crop, write_list
from synergynet.datasets.splits import validation_mask
from synergynet.errors import SynergyNetError
from synergynet.face_model.open_head import load_open_head
from synergynet.geometry import params, pose
from synergynet.regression import load_regressor
from synergynet.regression.cropping import cut_crops

UP, RIGHT = np.array([0.0, 1, 0]), np.array([1.0, 0, 0])


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray]:
    """A real crop (120, 120, 3) and its parameters (62,)."""
    from synergynet import FaceAnalyzer

    photo = cv2.imread(str(REPO / "examples" / "astronaut.jpg"))
    found = FaceAnalyzer().analyze(photo).faces[0]
    return cut_crops(photo, [found.crop])[0], np.asarray(found.params, dtype=np.float64)


def angles(raw: np.ndarray) -> np.ndarray:
    return pose.euler_from_camera(params.split(np.asarray(raw, dtype=np.float64))[0], "exact")


def frontal(scale: float = 0.6) -> np.ndarray:
    camera = pose.camera_from_pose(scale, np.eye(3), np.array([60.0, 61, 0]))
    return params.join(camera, np.zeros(40), np.zeros(10))


def test_a_turn_adds_to_yaw_and_pitch_of_a_frontal_face() -> None:
    centre = np.array([60.0, 60, 0])
    raw = frontal()
    np.testing.assert_allclose(angles(turn_label(raw, axis_turn(UP, -40), centre)), [0, 40, 0])
    np.testing.assert_allclose(
        angles(turn_label(raw, axis_turn(RIGHT, -20), centre)), [20, 0, 0], atol=1e-12
    )


def test_the_label_turns_about_the_centre() -> None:
    """Every landmark keeps its distance from the centre, which stays; y is down in crop1."""
    model, raw, centre = load_open_head(), frontal(), np.array([50.0, 70, -8])
    turn = pose.rotation_from_euler(10, 35, -20)
    before, after = (
        model.decode_landmarks(p) - centre for p in (raw, turn_label(raw, turn, centre))
    )
    flip = np.diag([1.0, -1, 1])
    np.testing.assert_allclose(after, before @ (flip @ turn @ flip).T, atol=1e-4)


def test_drawn_turns_lead_away_from_the_front_and_stay_within_bounds() -> None:
    limits = TurnLimits(most=50, least=10, furthest=85, pitch=0)
    rng = np.random.default_rng(0)
    for yaw in (-60.0, -30.0, 0.0, 25.0, 70.0):
        camera = pose.camera_from_pose(0.6, pose.rotation_from_euler(0, yaw, 0), np.zeros(3))
        for _ in range(20):
            turned = pose.euler_exact(draw_turn(camera, rng, limits) @ camera[:, :3] / 0.6)
            change = abs(turned[1]) - abs(yaw)
            assert 10 - 1e-6 <= change <= 50 + 1e-6 and abs(turned[1]) <= 85 + 1e-6
            assert yaw == 0 or np.sign(turned[1]) == np.sign(yaw)


def test_no_turn_gives_the_crop_back(face) -> None:
    """But for the landmark rule's new cut, which the label follows."""
    image, raw = face
    model = load_open_head()
    out, label, points = turn_crop(image, raw, model, np.eye(3))
    np.testing.assert_allclose(model.decode_landmarks(label), points, atol=1e-3)
    affine, *_ = np.linalg.lstsq(
        np.column_stack([model.decode_landmarks(raw)[:, :2], np.ones(68)]), points[:, :2]
    )
    affine = affine.T
    affine[:, 2] += affine[:, :2].sum(axis=1) - 1  # 1-based to 0-based
    expected = cv2.warpAffine(image, affine, (120, 120), borderMode=cv2.BORDER_REPLICATE)
    inner = np.abs(out.astype(int) - expected)[8:-8, 8:-8]
    assert np.median(inner) <= 2 and inner.mean() < 6


@pytest.mark.parametrize(("tilt", "turn"), [(0, 30), (0, -35), (15, 25)])
def test_the_network_sees_the_turn_that_the_label_says(face, tilt: int, turn: int) -> None:
    image, raw = face
    model, network = load_open_head(), load_regressor()
    crop, label, points = turn_crop(image, raw, model, axis_turn(RIGHT, tilt) @ axis_turn(UP, turn))
    answer = network.predict(crop[None])[0]
    np.testing.assert_allclose(angles(answer)[:2], angles(label)[:2], atol=9)
    error = np.linalg.norm(model.decode_landmarks(answer)[:, :2] - points[:, :2], axis=1)
    assert error.mean() < 4.5  # pixels of 120
    box = points[:, :2]
    assert np.ptp(box, axis=0).max() == pytest.approx(84.85, abs=0.1)


@pytest.fixture
def source(face, tmp_path: Path) -> Path:
    """A list of the same face 40 times."""
    folder = tmp_path / "source"
    names = [f"{i:03d}.jpg" for i in range(40)]
    for name in names:
        write_crop(folder, name, face[0])
    whitening = params.Whitening(np.zeros(62), np.ones(62))
    write_list(folder, names, np.tile(face[1], (40, 1)), whitening)
    return folder


@pytest.mark.slow
def test_command_writes_a_list_that_training_reads(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    command = ["data", "turn", source, "-n", 120]
    done = run(*command, "-o", out, "--workers", 2)
    assert done.returncode == 0, done.stderr
    names = crop_list.read_list(out / "train.list")
    raw = crop_list.read_params(
        out / "param_all_norm.pkl", crop_list.find_whitening(out / "param_all_norm.pkl", None), 120
    )
    assert len(names) == 120 and crop_list.read_crops(out / "crops", names).std() > 10
    assert np.abs(angles(raw)[:, 1]).mean() > 20
    held_back = validation_mask(crop_list.read_list(source / "train.list")).sum()
    usable = json.loads((out / "turned.json").read_text())["usable"]
    assert held_back > 0 and usable == 40 - held_back

    np.savez(tmp_path / "quality.npz", mirror_disagreement_px=np.r_[np.full(39, 9.0)])
    refused = run(*command, "-o", tmp_path / "b", "--quality", tmp_path / "quality.npz")
    assert refused.returncode == 1 and "another list" in refused.stderr
    again = run(*command, "-o", out, "--seed", 1)
    assert again.returncode == 1 and "other settings" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    assert (out / "train.list").is_file()


@pytest.mark.slow
def test_the_same_for_any_number_of_workers(source: Path, face, tmp_path: Path) -> None:
    model = load_open_head()
    names = crop_list.read_list(source / "train.list")
    raw = np.tile(face[1], (40, 1))
    lists = [
        turn_list(source / "crops", names, raw, model, tmp_path / str(n), count=110, workers=n)
        for n in (1, 2)
    ]
    first, second = (p.parent for p in lists)
    for name in ("param_all_norm.pkl", "crops/000000.jpg", "crops/000109.jpg"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    with pytest.raises(SynergyNetError, match="further aside"):
        aside = raw.copy()
        aside[:, :12] = params.join(
            pose.camera_from_pose(0.6, pose.rotation_from_euler(0, 80, 0), np.zeros(3)),
            np.zeros(40), np.zeros(10),
        )[:12]  # fmt: skip
        turn_list(source / "crops", names, aside, model, tmp_path / "no", count=3)
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_extra_lists_get_their_share_and_rare_yaws_their_weight(
    source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from synergynet.datasets.augmentation import AugmentationConfig
    from synergynet.training.config import TrainConfig
    from synergynet.training.crops import load_training_data, yaw_weights
    from synergynet.training.feed import BatchMaker

    model = load_open_head()
    turned = tmp_path / "turned"
    names = crop_list.read_list(source / "train.list")
    whitening = crop_list.find_whitening(source / "param_all_norm.pkl", None)
    raw = crop_list.read_params(source / "param_all_norm.pkl", whitening, 40)
    turn_list(source / "crops", names, raw, model, turned, count=60)
    files = {"crops": "crops", "list": "train.list", "params": "param_all_norm.pkl"}
    main = {k: source / v for k, v in files.items()} | {"face_model": "open-head"}
    extra = {k: turned / v for k, v in files.items()} | {"share": 0.25}
    settings = {"data": main | {"extra": [extra]}, "losses": {"loss_landmarks": 1.0}, "steps": 1}
    train, held_back = load_training_data(TrainConfig.model_validate(settings), model)
    assert len(train) == 100 - len(held_back) and 0 < len(held_back) < 40
    assert train.weights is not None
    assert train.weights[-60:].sum() == pytest.approx(
        0.25
    ) and train.weights.sum() == pytest.approx(1)
    maker = BatchMaker(
        train, model, whitening, AugmentationConfig.official(), batch_size=400, seed=0
    )
    drawn = np.concatenate([maker._indices(step) for step in range(10)])
    assert np.mean(drawn >= len(train) - 60) == pytest.approx(0.25, abs=0.005)
    assert len(np.unique(drawn)) == len(train)
    np.testing.assert_array_equal(maker._indices(3), maker._indices(3))

    settings["data"]["extra"] = [extra | {"share": 0.6}, extra | {"share": 0.5}]
    with pytest.raises(SynergyNetError, match="must leave something"):
        load_training_data(TrainConfig.model_validate(settings), model)

    def looking(yaw: float) -> np.ndarray:
        camera = pose.camera_from_pose(1.0, pose.rotation_from_euler(5, yaw, 5), np.zeros(3))
        return params.join(camera, np.zeros(40), np.zeros(10))

    faces = np.stack([looking(y) for y in [2.0] * 8 + [-47.0] * 2])
    np.testing.assert_allclose(yaw_weights(faces, 0.0), 0.1)
    balanced = yaw_weights(faces, 1.0)
    assert balanced[:8].sum() == pytest.approx(0.5) and balanced[8:].sum() == pytest.approx(0.5)
