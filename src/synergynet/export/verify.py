"""Compare an exported file with its network on real crops."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..geometry.crops import CropBox
from ..regression.cropping import cut_crops
from .graphs import PARAMS, Deployment, Precision

FACE = Path(__file__).parent / "data" / "face.jpg"
"""A real face with some surroundings: Eileen Collins in a NASA portrait, public domain."""

_CENTER, _SIDE = (100.0, 100.0), 135.0
"""Of the square about the landmarks in :data:`FACE`."""

Run = Callable[[NDArray[np.generic]], Sequence[NDArray[np.generic]]]
"""The exported file: input of a batch -> its outputs in order."""

TOLERANCES: dict[Precision, dict[str, float]] = {
    "float32": {"params": 1e-4, "landmarks": 2e-3, "vertices": 2e-3, "rotation": 1e-4,
                "yaw_pitch_roll": 0.01, "expected_nme": 2e-3},
    "float16": {"params": 0.05, "landmarks": 0.2, "vertices": 0.3, "rotation": 5e-3,
                "yaw_pitch_roll": 0.5, "expected_nme": 0.02},
    "int8": {"params": 0.5, "landmarks": 2.0, "vertices": 3.0, "rotation": 0.06,
             "yaw_pitch_roll": 4.0, "expected_nme": 0.3},
}  # fmt: skip
"""Largest accepted differences: parameters in whitened units, points in crop pixels, angles in
degrees, the expected error relative to itself."""


def verification_crops() -> NDArray[np.uint8]:
    """(18, 120, 120, 3) uint8 BGR: the face moved, resized, turned, mirrored and darkened."""
    photo = cv2.imread(str(FACE), cv2.IMREAD_COLOR)
    if photo is None:
        raise SynergyNetError(f"{FACE}: missing or damaged; reinstall synergynet")
    crops = []
    for number, angle in enumerate((0, 0, 0, 10, -10, 20, -20, 45, -75)):
        turn = cv2.getRotationMatrix2D(_CENTER, angle, 1)
        turned = cv2.warpAffine(photo, turn, photo.shape[1::-1])
        light = np.clip(turned * (1 - 0.1 * (number % 4)), 0, 255).astype(np.uint8)
        x, y = [(0, 0), (6, -4), (-5, 5)][number % 3]
        side = _SIDE * (1, 1.12, 0.92)[(number // 3) % 3]
        box = CropBox.from_center(_CENTER[0] + x, _CENTER[1] + y, side)
        crops.append(cut_crops(light, [box])[0])
    views = np.stack(crops)
    return np.concatenate([views, views[:, :, ::-1]])


def verify(
    deployment: Deployment,
    run: Run,
    precision: Precision,
    target: Path,
    *,
    batches: Sequence[int] = (1, 5),
) -> dict[str, float]:
    """Largest difference of each output between the network and the file on real crops.

    Where whitened parameters exceed 1 the difference is relative to the largest one: networks
    without training answer with anything.

    Args:
        batches: sizes of the first batches; the rest of the crops follow as one.

    Raises:
        SynergyNetError: it is too large, or the file does not run; to be raised before the file
            appears.
    """
    crops = verification_crops()
    edges = np.cumsum([0, *batches, len(crops)]).clip(max=len(crops))
    worst = dict.fromkeys(deployment.outputs, 0.0)
    for start, end in itertools.pairwise(edges.tolist()):
        if start == end:
            continue
        batch = deployment.inputs(crops[start:end])
        with torch.inference_mode():
            wanted = [a.numpy() for a in deployment.module(torch.from_numpy(batch))]
        try:
            found = run(batch)
        except Exception as error:  # each runtime has its own kinds
            reason = " ".join(str(error).split())[:200]
            raise SynergyNetError(
                f"{target}: the exported network cannot be run ({reason}); nothing was written"
            ) from error
        for name, ours, theirs in zip(deployment.outputs, wanted, found, strict=True):
            difference = float("inf")
            if theirs.shape == ours.shape:
                difference = _difference(name, ours, np.asarray(theirs, np.float64), deployment)
            # A comparison with NaN is false: let it through as NaN.
            worst[name] = difference if not difference <= worst[name] else worst[name]
    for name, difference in worst.items():
        limit = TOLERANCES[precision][name]
        if not difference <= limit:
            raise SynergyNetError(
                f"{target}: the exported network differs by {difference:.2g} in {name} "
                f"(limit {limit:g}) on real crops; nothing was written"
            )
    return worst


def _difference(
    name: str, ours: NDArray[np.float32], theirs: NDArray[np.float64], deployment: Deployment
) -> float:
    gap = np.abs(theirs - ours)
    if name == PARAMS:
        whitening = deployment.info.whitening
        if deployment.whole:
            gap, ours = gap / whitening.std, np.asarray(whitening.whiten(ours))
        return float(gap.max()) / max(1.0, float(np.abs(ours).max()))
    if name == "yaw_pitch_roll":
        return float(np.abs((theirs - ours + 180) % 360 - 180).max())
    if name == "expected_nme":
        return float((gap / np.maximum(np.abs(ours), 1e-6)).max())
    return float(gap.max())
