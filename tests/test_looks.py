"""What the network is shown: faces upright, again only where that tells it more, doubtful ones kept
only with its word."""

import numpy as np
import pytest
from helpers import ASTRONAUT
from known_answers import FixedDetector, FixedRegressor
from small_models import centred, weights_info

from synergynet import FaceAnalyzer, SynergyNetError, read_image
from synergynet.detection import Detection
from synergynet.geometry.crops import DEFAULT_CROP_RULE, CropBox
from synergynet.pipeline.face import landmarks_in_images
from synergynet.pipeline.looks import (
    View,
    follow,
    look,
    look_again,
    quarters_of_detection,
    quarters_of_params,
)
from synergynet.pipeline.quality import QUALITIES
from synergynet.regression import Prediction
from synergynet.regression.loading import SHIPPED, shipped_file, weights_file

UPRIGHT = np.array([[-20, -10], [20, -10], [0, 5], [-15, 25], [15, 25]], float)  # y down


def photo_of_noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def turned(points: np.ndarray, quarters: int) -> np.ndarray:
    """Points about the origin after quarters to the left of the picture (y down)."""
    for _ in range(quarters):
        points = np.stack([points[:, 1], -points[:, 0]], axis=1)
    return points


@pytest.mark.parametrize("quarters", range(4))
def test_five_points_say_how_to_turn_a_face_upright(quarters: int) -> None:
    lying = turned(UPRIGHT, (4 - quarters) % 4)
    found = quarters_of_detection(Detection((0, 0, 1, 1), 0.9, lying))
    assert found == quarters
    np.testing.assert_allclose(turned(lying, found), UPRIGHT)


def test_a_detection_without_points_stays_as_it_is() -> None:
    assert quarters_of_detection(Detection((0, 0, 1, 1), 0.9)) == 0
    assert quarters_of_detection(Detection((0, 0, 1, 1), 0.9, np.full((5, 2), np.nan))) == 0


@pytest.mark.parametrize("quarters", range(4))
def test_answers_to_turned_crops_lie_where_the_face_lies(tiny_model, quarters: int) -> None:
    """The landmarks of an upright answer, turned by hand, are those of the answer moved back."""
    raw = centred(tiny_model)
    network = FixedRegressor(weights_info(tiny_model), raw)
    photo = photo_of_noise()
    crop = CropBox(40.0, 30.0, 120.0)
    answer = look(network, [photo], [View(0, crop, quarters)])
    shown = network.seen[0][0]
    np.testing.assert_array_equal(np.rot90(shown, -quarters), photo[30:150, 40:160])
    upright = tiny_model.decode_landmarks(raw.astype(np.float32))[:, :2] - 60.5
    expected = turned(upright, (4 - quarters) % 4) + 60.5
    found = tiny_model.decode_landmarks(answer.params[0])
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-3)
    assert quarters_of_params(answer.params[0]) == quarters


def test_a_look_leaves_the_networks_own_arrays_alone(tiny_model) -> None:
    class Keeper(FixedRegressor):
        def assess(self, crops: np.ndarray, /) -> Prediction:
            self.kept = Prediction(self.predict(crops), np.ones(len(crops), np.float32))
            self.before = self.kept.params.copy()
            return self.kept

    network = Keeper(weights_info(tiny_model), centred(tiny_model))
    crop = CropBox(10.0, 10.0, 100.0)
    views = [View(0, crop, 1), View(0, crop)]
    answer = look(network, [photo_of_noise()], views)
    np.testing.assert_array_equal(network.kept.params, network.before)
    moved = [View(0, crop, 1), View(0, CropBox(40.0, 10.0, 100.0))]
    first, kept = answer.params.copy(), network.kept
    shown, again = look_again(network, [photo_of_noise()], views, moved, answer)
    assert shown == moved and len(network.seen[-1]) == 1  # the face that stayed is not shown
    np.testing.assert_array_equal(answer.params, first)
    np.testing.assert_array_equal(kept.params, network.before[:1].repeat(2, axis=0))
    np.testing.assert_array_equal(again.params[0], first[0])


def test_the_next_view_is_about_the_landmarks(tiny_model) -> None:
    raw = np.stack([centred(tiny_model)])
    views = [View(0, CropBox(40.0, 30.0, 120.0))]
    landmarks = landmarks_in_images(tiny_model, raw, [views[0].crop], "pixel")
    (following,) = follow(
        views, Prediction(raw, None), landmarks, [photo_of_noise()], DEFAULT_CROP_RULE
    )
    low, high = landmarks[0, :, :2].min(axis=0), landmarks[0, :, :2].max(axis=0)
    assert following.crop.center == pytest.approx(tuple((low + high) / 2), abs=1)
    assert following.crop.side == pytest.approx(np.sqrt(2) * (high - low).max(), abs=1)
    assert following.quarters == 0


class Doubting(FixedDetector):
    """Scores 0.9, 0.8, 0.7, of which those below 0.85 need the network's word."""

    doubtful_below = 0.85


@pytest.mark.parametrize(
    ("expected", "least", "kept"),
    # An expected error of 7 % is a confidence of 0.66, one of 30 % is 0.001.
    [(1.0, 0.5, 3), (7.0, 0.5, 1), (7.0, 0.7, 0), (30.0, 0.5, 0), (30.0, 0.0, 1), (None, 1.0, 3)],
)
def test_what_the_network_takes_for_no_face_is_left_out(
    tiny_model, expected: float | None, least: float, kept: int
) -> None:
    class Judge(FixedRegressor):
        def assess(self, crops: np.ndarray, /) -> Prediction:
            error = None if expected is None else np.full(len(crops), expected, np.float32)
            return Prediction(self.predict(crops), error)

    squares = [(80.0, 80.0, 60.0), (200.0, 80.0, 60.0), (80.0, 200.0, 60.0)]
    network = Judge(weights_info(tiny_model), centred(tiny_model))
    analyzer = FaceAnalyzer(
        Doubting(*squares), network, tiny_model, mirror=False, min_confidence=least
    )
    analysis = analyzer.analyze(photo_of_noise())
    assert (len(analysis.faces), analysis.left_out) == (kept, 3 - kept)
    assert kept == 0 or analysis.faces[0].score == 0.9


@pytest.mark.parametrize("quality", ["fast", "default"])
def test_a_face_is_found_and_trusted_however_the_photo_is_turned(quality: str) -> None:
    analyzer = FaceAnalyzer(quality=quality, threads=1)
    photo = read_image(ASTRONAUT)
    (upright,) = analyzer(photo)
    edge = photo.shape[0] - 1
    for quarters in (1, 2, 3):
        face = analyzer(np.ascontiguousarray(np.rot90(photo, quarters)))[0]
        points = face.landmarks[:, :2]
        for _ in range(quarters):  # undo a quarter to the left
            points = np.stack([edge - points[:, 1], points[:, 0]], axis=1)
        size = np.sqrt(np.prod(np.ptp(upright.landmarks[:, :2], axis=0)))
        apart = np.linalg.norm(points - upright.landmarks[:, :2], axis=1).mean()
        assert apart < 0.02 * size
        assert face.confidence > 0.97
        roll = (face.pose.roll - upright.pose.roll + 180) % 360 - 180
        assert abs((roll + 90 * quarters + 180) % 360 - 180) < 3


@pytest.mark.parametrize("quality", QUALITIES)
def test_every_quality_finds_the_astronaut(quality: str) -> None:
    analyzer = FaceAnalyzer(quality=quality, threads=1)
    (face,) = analyzer(read_image(ASTRONAUT))
    assert np.abs(face.landmarks[:, :2].mean(axis=0) - (225, 118)).max() < 20
    assert set(analyzer.networks.values()) <= set(SHIPPED.values())


def test_qualities_differ_in_what_they_load() -> None:
    fast, best = FaceAnalyzer(quality="fast", threads=1), FaceAnalyzer(quality="best", threads=1)
    assert fast.detector.name == "yunet" and not fast.mirrored
    assert best.detector.name == "thorough" and best.mirrored
    assert [*fast.networks.values()] == [SHIPPED["slim"]]
    assert [*best.networks.values()] == [SHIPPED["default"], SHIPPED["slim"]]
    chosen = FaceAnalyzer("yunet", SHIPPED["slim"], quality="best", mirror=False, threads=1)
    assert chosen.detector.name == "yunet" and not chosen.mirrored
    with pytest.raises(SynergyNetError, match="unknown quality 'great'; choose from fast"):
        FaceAnalyzer(quality="great")


def test_shipped_networks_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_file(None) == weights_file("default") == SHIPPED["default"]
    assert weights_file("slim") == SHIPPED["slim"]
    assert weights_file("other.onnx").name == "other.onnx"
    forms = {"x86_64": "default_int8", "AMD64": "default_int8", "arm64": "default"}
    for machine, name in forms.items():
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert shipped_file("default_int8") == SHIPPED[name]
        assert shipped_file("default_int8", "cuda") == SHIPPED["default"]
