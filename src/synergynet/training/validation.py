"""How good a network is on held-back crops."""

from dataclasses import dataclass

import numpy as np

from ..datasets.augmentation import move_label, recrop_affine, warp_crop
from ..datasets.readers.crop_list import LabelledCrops
from ..face_model.model import FaceModel
from ..geometry import params as layout
from ..geometry import pose
from ..geometry.crops import zero_border


@dataclass(frozen=True)
class Validation:
    """On the held-back crops, cut by the landmark rule.

    nme: mean over faces of mean 2D distance / sqrt(w h) of the label's 68-point box, percent;
    nme_bins: the same for |yaw| <= 30, <= 60, > 60 (NaN for a bin without faces), and
    ``nme_balanced`` the mean of the bins that have faces.
    mae: mean absolute error of yaw, pitch and roll (exact decode), degrees.
    """

    nme: float
    nme_bins: tuple[float, float, float]
    mae: float

    @property
    def nme_balanced(self) -> float:
        return float(np.nanmean(self.nme_bins))


def validation_crops(data: LabelledCrops, border: int) -> LabelledCrops:
    """Held-back crops cut by the landmark rule, without jitter: what the benchmark looks like."""
    images = np.empty(data.images.shape, np.uint8)
    raw, points = np.empty_like(data.params), np.empty_like(data.landmarks)
    for index in range(len(data)):
        affine = recrop_affine(data.landmarks[index])
        images[index] = warp_crop(data.images[index], affine)
        raw[index], points[index] = move_label(data.params[index], data.landmarks[index], affine)
    return LabelledCrops(data.names, zero_border(images, border), raw, points)


def measure(model: FaceModel, raw: np.ndarray, truth: LabelledCrops) -> Validation:
    """Compare raw parameters (N, 62) with the labels of ``truth``."""
    found = model.decode_landmarks(raw)[..., :2]
    target = truth.landmarks[..., :2]
    size = np.sqrt(np.ptp(target, axis=1).prod(axis=1))
    nme = 100 * np.linalg.norm(found - target, axis=2).mean(axis=1) / size
    angles = [pose.euler_from_camera(layout.split(p)[0], "exact") for p in (raw, truth.params)]
    error = np.abs((angles[0] - angles[1] + 180) % 360 - 180)
    yaw = np.abs(angles[1][:, 1])
    bins = [yaw <= 30, (yaw > 30) & (yaw <= 60), yaw > 60]
    low, middle, high = (float(nme[b].mean()) if b.any() else float("nan") for b in bins)
    return Validation(float(nme.mean()), (low, middle, high), float(error.mean()))
