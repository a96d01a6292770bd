"""Expected errors: the head, its calibration, its way through files, and what it says of photos."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import ASTRONAUT, REPO, run
from small_models import centred, colours, weights_info, write_onnx

from synergynet import FaceAnalyzer, read_image
from synergynet.errors import SynergyNetError
from synergynet.face_model.npz import load_npz, save_npz
from synergynet.regression import LOST_BELOW, cut_crops, load_regressor
from synergynet.regression.trust import confidence
from synergynet.weights.error_head import ErrorHead
from synergynet.weights.info import WeightsInfo

sys.path.insert(0, str(REPO / "tools"))
from shared.confidence_measures import (
    background_squares,
    calibrate,
    degrade,
    learn_weight,
    reliability,
    roc_auc,
    spearman,
)

sys.path.pop(0)


def random_head(width: int, seed: int = 0) -> ErrorHead:
    rng = np.random.default_rng(seed)
    return ErrorHead(rng.normal(size=width) / width**0.5, [-0.3, 0.1, 0.4, 2.0], [1, 2, 8, 30])


def test_the_head_interpolates_logarithms_between_its_knots() -> None:
    head = ErrorHead([1, -2], [0, 1, 3], [1, 4, 64])
    features = [[0, 0], [0.5, 0], [1, 0], [3, 0.5], [9, 0], [0, 9]]
    # Scores 0, 1/2, 1, 2, 9 and -18; 4 to 64 over two units doubles twice per unit.
    np.testing.assert_allclose(head.expected_nme(features), [1, 2, 4, 16, 64, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("weight", "scores", "errors"),
    [
        ([], [0, 1], [1, 2]),
        ([1, np.nan], [0, 1], [1, 2]),
        ([1], [0], [1]),
        ([1], [0, 1], [1, 2, 3]),
        ([1], [0, 0], [1, 2]),
        ([1], [0, 1], [2, 1]),
        ([1], [0, 1], [0, 1]),
        ([1], [[0, 1]], [[1, 2]]),
    ],
)
def test_impossible_heads_are_refused(weight, scores, errors) -> None:
    with pytest.raises(ValueError):
        ErrorHead(weight, scores, errors)


def test_confidence_falls_from_one_to_zero() -> None:
    expected = np.geomspace(1, 50, 200)
    trust = confidence(expected)
    assert (np.diff(trust) < 0).all() and trust[0] > 0.99 and trust[-1] < 0.01
    np.testing.assert_allclose(confidence([0, 8, 16, np.inf]), [1, 0.5, 1 / 33, 0])


def test_metadata_carry_the_head_exactly(tiny_model) -> None:
    head = random_head(40)
    info = weights_info(tiny_model, error_head=head)
    back = WeightsInfo.from_metadata(info.to_metadata(), "x").error_head
    assert back is not None
    for name in ("weight", "scores", "errors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(head, name))
    old = weights_info(tiny_model).to_metadata()
    assert "error_head" not in old and WeightsInfo.from_metadata(old, "x").error_head is None
    bad = head.to_json()
    for content in (
        [], {}, {**bad, "errors": "high"}, {**bad, "scores": bad["scores"][::-1]},
        {**bad, "weight": [[1.0]]}, {**bad, "weight": ["a"]},
    ):  # fmt: skip
        with pytest.raises(SynergyNetError, match=r"file\.onnx.*error_head"):
            WeightsInfo.from_metadata({**old, "error_head": json.dumps(content)}, "file.onnx")


def test_the_weight_is_learned_from_what_matters() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 6)) * [1, 2, 0.1, 1, 1, 0] + 3
    truth = np.array([0.5, 0.1, -2.0, 0, 0, 0])
    nme = 4 * np.exp((features - 3) @ truth + rng.normal(0, 0.1, len(features)))
    weight = learn_weight(features, nme, np.ones(len(features)))
    np.testing.assert_allclose(weight, truth, rtol=0.15, atol=0.02)  # ridge and clipping shrink
    np.testing.assert_array_equal(weight, weight.astype(np.float16))
    # Crops of no importance do not matter, however wrong.
    junk = np.r_[nme, np.full(20_000, 20.0)]
    importance = np.r_[np.ones(20_000), np.zeros(20_000)]
    again = learn_weight(np.r_[features, features[::-1]], junk, importance)
    np.testing.assert_allclose(again, truth, rtol=0.2, atol=0.02)


def test_calibration_gives_the_mean_error_and_never_decreases() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0, 3, 30_000)
    mean = np.exp(scores)
    nme = mean * rng.gamma(4, 1 / 4, len(scores))
    head = calibrate([1.0], scores, nme)
    grid = np.linspace(0.1, 2.9, 50)
    np.testing.assert_allclose(head.expected_nme(grid[:, None]), np.exp(grid), rtol=0.06)
    assert len(head.scores) + len(head.errors) < 40
    # A dip in the truth is pooled, not followed.
    dipped = calibrate([1.0], scores, np.where((scores > 1) & (scores < 2), 1.0, nme))
    assert (np.diff(dipped.errors) > 0).all()
    with pytest.raises(ValueError, match="nothing"):
        calibrate([1.0], scores, 30 - 9 * scores)


def test_ranks_and_curves_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)
    assert spearman([1, 1, 2], [5, 5, 9]) == pytest.approx(1)
    assert roc_auc([1, 2], [2, 3]) == pytest.approx(3.5 / 4)
    table = reliability([4, 1, 2, 3], [8, 1, 3, 2], bins=2)
    np.testing.assert_allclose([table.expected, table.observed], [[1.5, 3.5], [2, 5]])


def test_background_squares_keep_away_from_faces() -> None:
    rng = np.random.default_rng(0)
    face = (150.0, 60.0, 250.0, 160.0)
    squares = background_squares((300, 400, 3), [face], 50, rng)
    assert len(squares) > 20
    for box in squares:
        assert box.left >= -0.5 and box.left + box.side <= 400
        assert box.top >= -0.5 and box.top + box.side <= 300
        away = (
            box.left + box.side <= 101 or box.left >= 299 or box.top + box.side <= 11
            or box.top >= 209
        )  # fmt: skip
        assert away, box
    assert background_squares((300, 400), [(0, 0, 400, 300)], 5, rng) == []
    assert background_squares((20, 20), [], 5, rng) == []


def test_spoiled_crops_are_deterministic_and_of_every_strength() -> None:
    image, other = np.random.default_rng(0).integers(0, 256, (2, 120, 120, 3), dtype=np.uint8)
    points = np.random.default_rng(1).uniform(20, 100, (68, 2))
    change = []
    for seed in range(60):
        out = degrade(image, points, other, np.random.default_rng(seed))
        np.testing.assert_array_equal(
            out, degrade(image, points, other, np.random.default_rng(seed))
        )
        assert out.shape == image.shape and out.dtype == np.uint8
        change.append(np.abs(out.astype(int) - image).mean())
    assert min(change) < 8 and max(change) > 40


@pytest.mark.slow
def test_torch_and_onnx_agree_with_the_formula(tmp_path, tiny_model) -> None:
    torch = pytest.importorskip("torch")
    from synergynet.export.graphs import deployment
    from synergynet.export.onnx import write_onnx
    from synergynet.nets.torch.backbones import build_backbone
    from synergynet.nets.torch.checkpoints import describe, save_checkpoint
    from synergynet.nets.torch.synergynet import SynergyNet

    torch.manual_seed(0)
    whitening = weights_info(tiny_model).whitening
    net = SynergyNet(build_backbone("mobilenet_025"), tiny_model, whitening, regularisers=False)
    plain = describe(net.eval(), training_data="none", frame="pixel")
    crops = np.random.default_rng(0).integers(0, 256, (6, 120, 120, 3), dtype=np.uint8)
    with torch.inference_mode():
        planes = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 128
        features = net.I2P(planes)[1].numpy()
    weight = np.random.default_rng(3).normal(size=features.shape[1])
    scores = features @ weight
    info = replace(
        plain, error_head=ErrorHead(weight, np.quantile(scores, [0.2, 0.5, 0.8]), [2, 5, 20])
    )
    save_checkpoint(tmp_path / "net.safetensors", net, info)
    write_onnx(deployment(net, info), tmp_path / "net.onnx")
    expected = info.error_head.expected_nme(features)
    assert len(np.unique(expected.round(3))) > 3  # below, between and above the knots
    save_checkpoint(tmp_path / "old.safetensors", net, plain)
    old = load_regressor(tmp_path / "old.safetensors").assess(crops)
    assert old.expected_nme is None
    for name in ("net.safetensors", "net.onnx"):
        regressor = load_regressor(tmp_path / name)
        answer = regressor.assess(crops)
        assert answer.expected_nme is not None and answer.expected_nme.shape == (6,)
        np.testing.assert_allclose(answer.expected_nme, expected, rtol=2e-3)
        np.testing.assert_allclose(answer.params, old.params, atol=1e-3)
        np.testing.assert_array_equal(regressor.predict(crops), answer.params)
        assert regressor.assess(crops[:0]).expected_nme.shape == (0,)
    wrong = replace(info, error_head=random_head(7))
    save_checkpoint(tmp_path / "wrong.safetensors", net, wrong)
    with pytest.raises(SynergyNetError, match="7 features"):
        load_regressor(tmp_path / "wrong.safetensors")


def test_files_without_expected_errors_still_work(tmp_path, tiny_model) -> None:
    save_npz(tiny_model, tmp_path / "tiny.npz")
    model = load_npz(tmp_path / "tiny.npz")
    path = write_onnx(tmp_path / "old.onnx", weights_info(model), raw=centred(model))
    answer = load_regressor(path).assess(colours(3))
    assert answer.params.shape == (3, 62) and answer.expected_nme is None
    command = ["infer", ASTRONAUT, "-o", tmp_path / "out", "--draw", "none", "--mesh", "none"]
    done = run(*command, "--weights", path, "--face-model", tmp_path / "tiny.npz")
    assert done.returncode == 0, done.stderr
    (face,) = json.loads((tmp_path / "out" / "astronaut.json").read_text())["faces"]
    assert face["confidence"] is None and face["expected_nme_percent"] is None


@pytest.mark.slow
def test_the_shipped_network_knows_a_face_when_it_sees_one() -> None:
    photo = read_image(ASTRONAUT)
    (face,) = FaceAnalyzer(weights="default", mirror=False)(photo)
    assert face.confidence is not None and face.expected_nme is not None
    assert face.confidence > 0.9 and 0.5 < face.expected_nme < 4
    regressor = load_regressor()
    crop = cut_crops(photo, [face.crop])[0]
    rng = np.random.default_rng(0)
    half, noisy, blurred = crop.copy(), crop.copy(), crop.copy()
    half[60:] = (40, 90, 160)
    noisy[:] = np.clip(crop + rng.normal(0, 80, crop.shape), 0, 255)
    blurred[:] = np.repeat(np.repeat(crop[10::20, 10::20], 20, axis=0), 20, axis=1)
    squares = background_squares(photo.shape, [face.box], 40, rng)
    harmed = regressor.assess(np.stack([crop, half, noisy, blurred])).expected_nme
    empty = regressor.assess(cut_crops(photo, squares)).expected_nme
    assert harmed is not None and empty is not None
    assert harmed[0] == pytest.approx(face.expected_nme, rel=1e-3)
    assert harmed[1] > 1.2 * harmed[0], harmed  # half a face is often enough
    assert (harmed[2:] > 5 * harmed[0]).all(), harmed
    assert (confidence(empty) < LOST_BELOW).mean() > 0.95 and len(empty) == 40
    assert empty.min() > 2 * harmed[0]


def test_shipped_expected_errors_are_the_checkpoints() -> None:
    pytest.importorskip("torch", reason="safetensors weights run on torch")
    crops = cut_crops(
        read_image(ASTRONAUT),
        background_squares((300, 400), [], 6, np.random.default_rng(0)),
    )
    shipped = load_regressor(threads=1).assess(crops).expected_nme
    checkpoint = load_regressor(REPO / "weights" / "efficientnet_lite0.safetensors")
    assert shipped is not None
    np.testing.assert_allclose(shipped, checkpoint.assess(crops).expected_nme, rtol=0.02)


@pytest.mark.slow
def test_expected_errors_follow_true_ones(shared_data: Path) -> None:
    """What docs/confidence.md promises, on a part of the held-back crops, with some room."""
    from synergynet.datasets.readers.crop_list import read_crops, read_list
    from synergynet.datasets.splits import validation_mask
    from synergynet.evaluation.metrics import nme
    from synergynet.face_model.open_head import load_open_head

    folder = shared_data / "aflw_train"
    names = read_list(folder / "train.list")
    held = np.flatnonzero(validation_mask(names))[:400]
    crops = read_crops(folder / "crops", [names[i] for i in held])
    with np.load(folder / "labels.npz") as labels:
        truth = labels["landmarks68"][held]
    rng = np.random.default_rng(0)
    pairs = zip(crops[200:], truth[200:], strict=True)
    crops[200:] = [degrade(c, t.T, crops[0], rng) for c, t in pairs]
    answer = load_regressor().assess(crops)
    error = 100 * nme(load_open_head().decode_landmarks(answer.params), truth)
    assert answer.expected_nme is not None
    assert spearman(answer.expected_nme[:200], error[:200]) > 0.4
    assert spearman(answer.expected_nme[200:], error[200:]) > 0.8
    assert 0.8 < np.exp(np.log(answer.expected_nme / error).mean()) < 1.3
