"""Training in MindSpore steps, lowers the loss, writes a usable checkpoint, and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import make_tiny_model, random_params

from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.errors import SynergyNetError
from synergynet.face_model.npz import save_npz
from synergynet.geometry.params import Whitening
from synergynet.regression import load_regressor
from synergynet.training.config import TrainConfig
from synergynet.training.mindspore.backend import dropout_factors
from synergynet.training.run import Trainer
from synergynet.weights.ckpt_weights import write_ckpt_weights
from synergynet.weights.tensors import Weights

DATA = {"crops": "crops", "list": "list", "params": "params", "face_model": "3dmm_data"}

# Every step sees the same batch, so that its loss must fall.
PLAIN = {"recrop": False} | dict.fromkeys(
    ("mirror", "rotate", "scale", "shift_pixels", "color", "grey", "blur", "low_resolution",
     "noise", "erase"), 0,
)  # fmt: skip


@pytest.fixture(scope="module")
def crops() -> tuple[LabelledCrops, LabelledCrops]:
    """Pictures of a tiny model's landmarks, as dots: four to train on, two held back.

    Those to train on are small: MindSpore's depthwise convolutions are slow on a CPU.
    """
    model = make_tiny_model()
    raw = random_params(6, 1, spread=0.3)
    points = model.decode_landmarks(raw)
    images = np.zeros((6, 120, 120, 3), np.uint8)
    for image, face in zip(images, points, strict=True):
        for x, y in face[:, :2].round().astype(int):
            cv2.circle(image, (int(x) - 1, int(y) - 1), 3, (255, 255, 255), -1)
    whole = LabelledCrops([f"{i}.png" for i in range(6)], images, raw, points)
    late = np.arange(6) >= 4
    training = whole.subset(~late)
    small = np.stack([cv2.resize(image, (40, 40)) for image in training.images])
    return replace(training, images=small), whole.subset(late)


def recipe(tmp_path: Path, **changes: object) -> TrainConfig:
    save_npz(make_tiny_model(), tmp_path / "tiny.npz")
    settings = {
        "data": DATA,
        "backend": "mindspore",
        "output": tmp_path / "run",
        "backbone": "mobilenet_v2",
        "target_model": str(tmp_path / "tiny.npz"),
        "steps": 5,
        "batch_size": 4,
        "losses": {"loss_LMK_f0": 0.05, "loss_Param_S2": 0.05, "loss_pose": 0.5, "loss_angles": 1},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3},
        "schedule": {"warmup_steps": 0},
        "augmentation": PLAIN,
        "ema_decay": 0.5,
        "threads": 1,
        "validate_every": 5,
        "save_every": 3,
        "log_every": 1,
    }
    return TrainConfig.model_validate(settings | changes)


def losses_of(trainer: Trainer) -> dict[int, float]:
    """Filled while the trainer runs."""
    losses: dict[int, float] = {}

    def note(step: int, _steps: int, numbers: dict[str, float]) -> None:
        if "loss_total" in numbers:
            losses[step] = numbers["loss_total"]

    trainer.progress = note
    return losses


def test_training_lowers_the_loss_and_goes_on_in_graph_mode(
    tmp_path: Path, crops: tuple[LabelledCrops, LabelledCrops]
) -> None:
    """A run that stops half way and goes on, in the other mode, ends as an undisturbed one."""
    trainer = Trainer(recipe(tmp_path), crops=crops)
    losses = losses_of(trainer)
    result = trainer.run()
    assert losses[5] < 0.9 * losses[1]
    regressor = load_regressor(trainer.best_file)
    assert regressor.info.face_model == "tiny"
    assert regressor.predict(crops[1].images).shape == (2, 62)

    first = Trainer(recipe(tmp_path, output=tmp_path / "parted"), crops=crops)
    first.steps = 3
    first.run()
    second = Trainer(recipe(tmp_path, output=tmp_path / "parted", graph=True), crops=crops)
    assert second.step == 3
    continued = losses_of(second)
    for name, average in first.backend.average.items():
        np.testing.assert_array_equal(second.backend.average[name], average, err_msg=name)
    ended = second.run()
    assert list(continued) == [4, 5]
    for step in continued:
        np.testing.assert_allclose(continued[step], losses[step], rtol=1e-2)
    np.testing.assert_allclose(ended.nme, result.nme, rtol=2e-2)


def test_a_continued_run_keeps_its_whitening(
    tmp_path: Path, crops: tuple[LabelledCrops, LabelledCrops]
) -> None:
    """One that began from a checkpoint answers in that one's units, which the labels do not say."""
    weights = Trainer(recipe(tmp_path), crops=crops)
    other = Whitening(np.full(62, 0.5), np.full(62, 2.0))
    weights.backend.net.set_whitening(other)
    weights.save_state()
    second = Trainer(recipe(tmp_path), crops=crops)
    np.testing.assert_array_equal(second.backend.net._std.asnumpy(), np.float32(other.std))
    np.testing.assert_array_equal(second.backend.whitening.mean, other.mean)


def test_initial_weights_of_another_channel_order(
    tmp_path: Path, crops: tuple[LabelledCrops, LabelledCrops]
) -> None:
    first = Trainer(recipe(tmp_path), crops=crops)
    info = first.info({"nme": 1.0})
    rgb = Weights("net", first.backend.average, replace(info, channel_order="RGB"))
    write_ckpt_weights(tmp_path / "rgb.ckpt", rgb)
    with pytest.raises(SynergyNetError, match="RGB"):
        Trainer(recipe(tmp_path, output=tmp_path / "b", initial=tmp_path / "rgb.ckpt"), crops=crops)


def test_dropout_keeps_four_of_five_and_repeats_itself() -> None:
    factors = dropout_factors(64, seed=1, step=5)
    assert factors.shape == (3, 64, 1280) and factors.dtype == np.float32
    assert set(np.unique(factors)) == {0.0, np.float32(1.25)}
    assert abs(factors.mean() - 1) < 0.01
    np.testing.assert_array_equal(factors, dropout_factors(64, seed=1, step=5))
    assert (factors != dropout_factors(64, seed=1, step=6)).any()
    assert (factors[0] != factors[1]).any()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"accumulate": 2}, "accumulate"),
        ({"precision": "bf16"}, "precision"),
        ({"freeze": 3}, "freeze"),
        ({"device": "cuda"}, "device"),
        ({"backbone": "efficientnet_lite0"}, "pretrained"),
    ],
)
def test_settings_that_only_torch_has(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(SynergyNetError, match=named):
        Trainer(recipe(tmp_path, **changes))


def test_other_backbones_are_refused_early(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist in MindSpore"):
        recipe(tmp_path, backbone="resnet50")
