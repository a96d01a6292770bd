"""The weights in the package: what they say of themselves, and what they see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import ASTRONAUT, REPO, run

from synergynet import FaceAnalyzer, read_image
from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
from synergynet.evaluation import evaluate_regressor
from synergynet.face_model.open_head import load_open_head
from synergynet.regression import load_regressor

CHECKPOINT = REPO / "weights" / "efficientnet_lite0.safetensors"

# Read off the enlarged photo by hand, pixels from 0: outer eye corners, tip of the nose, mouth
# corners, chin.
SEEN = {
    36: (193, 101),
    45: (259, 104),
    30: (223, 125),
    48: (203, 140),
    54: (247, 139),
    8: (223, 178),
}


def test_weights_belong_to_open_head() -> None:
    info = load_regressor().info
    info.check_face_model(load_open_head(), "the shipped weights")
    assert (info.frame, info.border, info.channel_order) == ("pixel", 0, "BGR")
    assert "AFLW" in info.training_data
    assert info.accuracy["validation_nme"] < 3


def test_astronaut_landmarks_lie_where_a_person_sees_them() -> None:
    (face,) = FaceAnalyzer()(read_image(ASTRONAUT))
    size = np.sqrt(np.ptp(face.landmarks[:, 0]) * np.ptp(face.landmarks[:, 1]))
    found = face.landmarks[list(SEEN), :2]
    distance = np.linalg.norm(found - list(SEEN.values()), axis=1) / size
    assert distance.max() < 0.08, found  # the eye reads them to about 0.02
    assert distance.mean() < 0.05
    assert abs(face.pose.yaw) < 10 and abs(face.pose.roll) < 8
    assert face.arkit["mouthSmileLeft"] + face.arkit["mouthSmileRight"] > 0.2


@pytest.mark.slow
def test_mirrored_photo_gives_the_mirrored_face() -> None:
    photo = read_image(ASTRONAUT)
    analyzer = FaceAnalyzer()
    (face,), (mirrored,) = analyzer(photo), analyzer(photo[:, ::-1].copy())
    assert mirrored.pose.yaw == pytest.approx(-face.pose.yaw, abs=4)
    assert mirrored.pose.roll == pytest.approx(-face.pose.roll, abs=4)
    nose = photo.shape[1] - 1 - mirrored.landmarks[30, 0]
    assert nose == pytest.approx(face.landmarks[30, 0], abs=2)


@pytest.mark.slow
def test_rotated_photo_turns_the_roll() -> None:
    import cv2

    photo = read_image(ASTRONAUT)
    center = (photo.shape[1] / 2, photo.shape[0] / 2)
    turned = cv2.warpAffine(photo, cv2.getRotationMatrix2D(center, 25, 1), photo.shape[1::-1])
    analyzer = FaceAnalyzer()
    (face,), (after,) = analyzer(photo), analyzer(np.asarray(turned, dtype=np.uint8))
    assert after.pose.roll == pytest.approx(face.pose.roll - 25, abs=4)  # counter-clockwise


def test_infer_command_on_the_example(tmp_path: Path) -> None:
    done = run("infer", ASTRONAUT, "-o", tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert ", confidence 1.00, yaw" in done.stdout or ", confidence 0.9" in done.stdout
    content = json.loads((tmp_path / "astronaut.json").read_text())
    (face,) = content["faces"]
    assert set(face) == {
        "box", "score", "confidence", "expected_nme_percent", "landmarks", "pose",
        "coefficients", "arkit",
    }  # fmt: skip
    assert face["confidence"] > 0.9 and face["expected_nme_percent"] < 4
    assert np.shape(face["landmarks"]) == (68, 3)
    assert len(face["coefficients"]["identity"]) == 40 and len(face["arkit"]) == 52
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        "astronaut.json",
        "astronaut_landmarks.jpg",
        "astronaut_pose.jpg",
        "astronaut_mesh.jpg",
        "astronaut_face0.obj",
    }


def test_checkpoint_for_fine_tuning_is_the_shipped_network() -> None:
    pytest.importorskip("torch", reason="safetensors weights run on torch")
    crops = np.random.default_rng(0).integers(0, 255, (4, 120, 120, 3), dtype=np.uint8)
    shipped, checkpoint = load_regressor(threads=1), load_regressor(CHECKPOINT)
    std = shipped.info.whitening.std
    difference = (shipped.predict(crops) - checkpoint.predict(crops)) / std
    assert np.abs(difference).max() < 0.05


@pytest.mark.slow
def test_benchmark_bars(shared_data: Path) -> None:
    """The figures that README promises, with some room for other runtimes."""
    result = evaluate_regressor(
        load_aflw2000(shared_data / "aflw2000_data"), load_regressor(), load_open_head()
    ).to_json()
    assert result["nme_percent_exact_frame"]["ori"]["mean"] <= 3.60
    assert result["nme_percent"]["ori"]["mean"] <= 3.70
    assert result["euler_mae_degrees"]["exact"]["mean"] <= 3.60
