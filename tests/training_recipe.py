"""A small dataset in the official list format, and a recipe that trains on it."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import yaml
from helpers import random_params

from synergynet.face_model.model import FaceModel
from synergynet.face_model.npz import save_npz

N = 60


def write_recipe(root: Path, model: FaceModel) -> Path:
    """``root/recipe.yaml``, over crops that show the model's landmarks as dots.

    ``model`` itself is in ``root/tiny.npz``, its official arrays in ``root/3dmm_data``.
    """
    (root / "crops").mkdir()
    folder = root / "3dmm_data"
    folder.mkdir()
    flat = {
        "u_shp": model.mean.reshape(-1, 1),
        "u_exp": np.zeros((600, 1), np.float32),
        "w_shp_sim": model.identity_basis.reshape(40, -1).T,
        "w_exp_sim": model.expression_basis.reshape(10, -1).T,
        "keypoints_sim": (3 * model.landmark_vertices[:, :1] + np.arange(3)).reshape(-1),
    }
    for name, array in flat.items():
        np.save(folder / f"{name}.npy", array)
    raw = random_params(N, 1, spread=0.3)
    mean, std = raw.mean(axis=0).astype(np.float32), raw.std(axis=0).astype(np.float32)
    (folder / "param_whitening.pkl").write_bytes(
        pickle.dumps({"param_mean": mean, "param_std": std})
    )
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
