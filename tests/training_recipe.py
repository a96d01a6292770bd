"""A small dataset in the official list format, and a recipe that trains on it."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import yaml
from small_models import random_params, write_official

from synergynet.face_model.model import FaceModel
from synergynet.face_model.npz import save_npz

N = 60


def write_recipe(root: Path, model: FaceModel) -> Path:
    """``root/recipe.yaml``, over crops that show the model's landmarks as dots.

    ``model`` itself is in ``root/tiny.npz``, its official arrays in ``root/3dmm_data``.
    """
    (root / "crops").mkdir()
    folder = root / "3dmm_data"
    raw = random_params(N, 1, spread=0.3)
    mean, std = raw.mean(axis=0).astype(np.float32), raw.std(axis=0).astype(np.float32)
    write_official(model, folder, mean, std)
    (root / "labels.pkl").write_bytes(pickle.dumps(((raw - mean) / std).astype(np.float32)))
    names = [f"{i:03d}.png" for i in range(N)]
    for name, points in zip(names, model.decode_landmarks(raw), strict=True):
        image = np.zeros((120, 120, 3), np.uint8)
        for x, y in points[:, :2].round().astype(int):
            cv2.circle(image, (int(x) - 1, int(y) - 1), 3, (255, 255, 255), -1)
        cv2.imwrite(str(root / "crops" / name), image)
    (root / "train.list").write_text("\n".join(names))
    save_npz(model, root / "tiny.npz")
    settings = {
        "data": {
            "crops": str(root / "crops"),
            "list": str(root / "train.list"),
            "params": str(root / "labels.pkl"),
            "face_model": str(folder),
        },
        "output": str(root / "run"),
        "backbone": "mobilenet_v2",
        "target_model": str(root / "tiny.npz"),
        "steps": 6,
        "batch_size": 4,
        "losses": {"loss_LMK_f0": 0.05, "loss_LMK_pointNet": 0.05, "loss_pose": 0.5},
        "schedule": {"warmup_steps": 2},
        "threads": 1,
        "validate_every": 3,
        "save_every": 1,
        "log_every": 2,
    }
    file = root / "recipe.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file
