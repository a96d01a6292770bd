"""What could be gained after training: MAFA's landmarks, mirrored and repeated views.

    python tools/research/inference_ablation.py configs/open_head/efficientnet_lite0_refined.yaml

Measured on the held-back crops of the recipe's data, never on a benchmark.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from shared.command import Parser, existing, run
from shared.held_back import best_checkpoint, held_back_crops, read_recipe

from synergynet.datasets.augmentation import jitter_affine, warp_crop
from synergynet.datasets.readers.crop_list import mirrored_landmarks
from synergynet.evaluation.metrics import nme
from synergynet.geometry.params import FloatArray
from synergynet.nets.torch.checkpoints import load_checkpoint
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.training.validation import to_input

JITTERS = ((4.0, 0.98, (1.0, -1.0)), (-4.0, 1.02, (-1.0, 1.0)), (0.0, 1.0, (1.5, 1.5)))
"""Degrees, scale and shift of further views."""

BATCH = 128


def landmarks(net: SynergyNet, images: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Crops (N, 120, 120, 3) -> decoded and refined landmarks, (N, 68, 3) each."""
    decoded, refined = [], []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            part = to_input(images[start : start + BATCH], net.conventions.validation_std)
            params, feature = net.I2P(part)
            decoded.append(net.landmarks(params).transpose(1, 2).numpy())
            refined.append(net.refine(params, feature).transpose(1, 2).numpy())
    return np.concatenate(decoded).astype(np.float64), np.concatenate(refined).astype(np.float64)


def mirrored_view(net: SynergyNet, images: np.ndarray) -> FloatArray:
    return mirrored_landmarks(landmarks(net, np.ascontiguousarray(images[:, :, ::-1]))[0])


def jittered_view(
    net: SynergyNet, images: np.ndarray, jitter: tuple[float, float, tuple[float, float]]
) -> FloatArray:
    degrees, scale, shift = jitter
    affine = jitter_affine(degrees=degrees, scale=scale, shift=np.array(shift))
    points = landmarks(net, np.stack([warp_crop(i, affine) for i in images]))[0]
    points[..., :2] = (points[..., :2] - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return points


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_argument("--weights", type=existing, help="default: the run's best.safetensors")
    args = parser.parse_args()
    config, model = read_recipe(args)
    net, info = load_checkpoint(best_checkpoint(config, args.weights), model)
    net.eval()
    truth = held_back_crops(config, model, info.border)
    images = np.asarray(truth.images)
    plain, refined = landmarks(net, images)
    mirrored = mirrored_view(net, images)
    others = [jittered_view(net, images, jitter) for jitter in JITTERS]
    target = np.swapaxes(truth.landmarks.astype(np.float64), 1, 2)
    rows = {
        "decoded landmarks, one view": plain,
        "MAFA's landmarks": refined,
        "mean of decoded and MAFA's": (plain + refined) / 2,
        "mean with the mirrored view": (plain + mirrored) / 2,
        "mean of five views": np.mean([plain, mirrored, *others], axis=0),
    }
    for name, points in rows.items():
        print(f"{name:30s} NME {100 * nme(points, target).mean():.3f} %")


if __name__ == "__main__":
    run(main)
