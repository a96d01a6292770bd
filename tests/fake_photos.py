"""Made-up 300W-LP and AFLW2000-3D photos with their .mat, of a face model of 200 vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

from synergynet.face_model.model import FaceModel
from synergynet.geometry import pose


def make_fields(seed: int, model: FaceModel | None = None) -> dict[str, Any]:
    """The fields of a 300W-LP file; with ``model`` those of an AFLW2000-3D file."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform([-0.6, -1.2, -0.6], [0.6, 1.2, 0.6])
    shift = rng.uniform([190, 190, -20], [260, 260, 20])
    scale = rng.uniform(0.9, 1.4)
    fields = {
        "Pose_Para": np.r_[angles, shift, scale][None].astype(np.float32),
        "Shape_Para": rng.normal(0, 0.5, (199, 1)),
        "Exp_Para": rng.normal(0, 0.5, (29, 1)),
        "Tex_Para": rng.normal(0, 1, (199, 1)),
        "Color_Para": np.array([[1, 1, 1, 0, 0, 0, 1]], np.float32),
        "Illum_Para": rng.normal(0, 1, (1, 10)),
        "roi": np.array([[-44, -207, 2658, 2495]], np.int16),
        "pt2d": rng.uniform(50, 400, (2, 68)),
    }
    if model is not None:
        fields["pt2d"] = np.full((2, 21), -1.0)
        f32 = fields["Pose_Para"][0].astype(np.float64)
        turn = pose.rotation_from_euler(*np.rad2deg(f32[:3]))
        head = model.landmarks(fields["Shape_Para"][:40, 0], fields["Exp_Para"][:10, 0])
        points = (f32[6] * head @ turn.T + f32[3:6]).T
        points[1] = 451 - points[1]
        fields["pt3d_68"] = points
    return fields


def write_photo(folder: Path, stem: str, seed: int, model: FaceModel | None = None) -> Path:
    """A smooth 450x450 photo and its labels; returns the .mat."""
    folder.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (450, 450), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(folder / f"{stem}.jpg"), image)
    scipy.io.savemat(folder / f"{stem}.mat", make_fields(seed, model), do_compression=True)
    return folder / f"{stem}.mat"
