"""Training in MindSpore steps, lowers the loss, writes a usable checkpoint, and goes on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import shared

from synergynet.datasets.crop_list import LabelledCrops
from synergynet.errors import SynergyNetError
from synergynet.face_model.npz import save_npz
from synergynet.regression import load_regressor
from synergynet.training.config import TrainConfig

if "backend" not in TrainConfig.model_fields:
    pytest.skip("training/config.py has no backend key yet", allow_module_level=True)

from synergynet.training_mindspore.loop import Trainer

DATA = {"crops": "crops", "list": "list", "params": "params", "face_model": "3dmm_data"}

# Every step sees the same batch, so that its loss must fall.
PLAIN = {"recrop": False} | dict.fromkeys(
    ("mirror", "rotate", "scale", "shift_pixels", "color", "grey", "blur", "low_resolution",
     "noise", "erase"), 0,
)  # fmt: skip


@pytest.fixture(scope="module")
def crops() -> tuple[LabelledCrops, LabelledCrops]:
    """Pictures of a tiny model's landmarks, as dots."""
    model = shared.make_tiny_model()
    raw = shared.random_params(16, 1, spread=0.3)
    points = model.decode_landmarks(raw)
    images = np.zeros((16, 120, 120, 3), np.uint8)
    for image, face in zip(images, points, strict=True):
        for x, y in face[:, :2].round().astype(int):
            cv2.circle(image, (int(x) - 1, int(y) - 1), 3, (255, 255, 255), -1)
    names = [f"{i}.png" for i in range(16)]
    whole = LabelledCrops(names, images, raw, points)
    late = np.arange(16) >= 8
    return whole.subset(~late), whole.subset(late)


def recipe(tmp_path: Path, **changes: object) -> TrainConfig:
    save_npz(shared.make_tiny_model(), tmp_path / "tiny.npz")
    settings = {
        "data": DATA,
        "backend": "mindspore",
        "output": tmp_path / "run",
        "backbone": "mobilenet_v2",
        "target_model": str(tmp_path / "tiny.npz"),
        "steps": 6,
        "batch_size": 8,
        "losses": {"loss_LMK_f0": 0.05, "loss_LMK_pointNet": 0.05, "loss_pose": 0.5},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3},
        "schedule": {"warmup_steps": 0},
        "augmentation": PLAIN,
        "ema_decay": 0.5,
        "validate_every": 6,
        "save_every": 3,
        "log_every": 1,
    }
    return TrainConfig.model_validate(settings | changes)


def test_training_lowers_the_loss_and_goes_on(
    tmp_path: Path, crops: tuple[LabelledCrops, LabelledCrops]
) -> None:
    losses: dict[int, float] = {}

    def note(step: int, _steps: int, numbers: dict[str, float]) -> None:
        if "loss_total" in numbers:
            losses[step] = numbers["loss_total"]

    config = recipe(tmp_path)
    trainer = Trainer(config, note, crops)
    result = trainer.run()
    assert losses[6] < 0.9 * losses[1]
    assert np.isfinite(result.nme)
    regressor = load_regressor(trainer.best_file)
    assert regressor.info.face_model == "tiny"
    assert regressor.predict(crops[1].images).shape == (8, 62)

    # A run that stops half way and goes on ends with the same weights.
    parted = recipe(tmp_path, output=tmp_path / "parted")
    first = Trainer(parted, crops=crops)
    first.steps = 3
    first.run()
    second = Trainer(parted, crops=crops)
    assert second.step == 3
    second.run()
    ours, theirs = (load_regressor(t.best_file).predict(crops[1].images) for t in (trainer, second))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"accumulate": 2}, "accumulate"),
        ({"precision": "bf16"}, "precision"),
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
