"""A plain PyTorch execution of the official path: a worker process, see ``serving``.

What the official ``get_all_outputs`` does, step by step: the detector is built for every call; each
face alone is cut by the rule of 1.2 times the box's height on a black canvas, resized, normalised
and sent through MobileNetV2; landmarks, the mesh of 53,215 vertices and the pose are made in NumPy.
Only its time means anything: both networks and the face model's bases are random numbers of the
official sizes, and the boxes were found before by CenterFace, at no cost.
"""

import io
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from shared.timing import milliseconds_within

from harness.ends.faceboxes import FaceBoxesNet, look
from harness.ends.serving import THREADS, serve
from synergynet.detection import create_detector
from synergynet.geometry.crops import CropBox, crop_from_box_by_height
from synergynet.geometry.params import (
    EXPRESSION,
    INPUT_SIZE,
    N_EXPRESSION,
    N_PARAMS,
    N_SHAPE,
    POSE,
    SHAPE,
)
from synergynet.nets.torch.backbones import build_backbone

Floats = NDArray[np.float32]
Face = tuple[Floats, Floats, list[float]]
N_VERTICES, N_LANDMARKS = 53_215, 68


class OfficialPath:
    """Network and bases, loaded once, as the official class does.

    Args:
        rebuilt: build the detector anew for every photo, as the official code does.
    """

    def __init__(self, rebuilt: bool) -> None:
        rng = np.random.default_rng(0)
        rows = 3 * N_VERTICES
        self.mean = rng.normal(0, 5e4, (rows, 1)).astype(np.float32)
        self.shape = rng.normal(0, 2e-3, (rows, N_SHAPE)).astype(np.float32)
        self.expression = rng.normal(0, 1e3, (rows, N_EXPRESSION)).astype(np.float32)
        corners = 3 * rng.choice(N_VERTICES, N_LANDMARKS, replace=False)
        points = np.stack([corners, corners + 1, corners + 2], axis=1).reshape(-1)
        self.at_landmarks = [a[points] for a in (self.mean, self.shape, self.expression)]
        camera = np.array([[4e-4, 0, 0, 60], [0, 4e-4, 0, 60], [0, 0, 4e-4, -70]])
        self.whitening = np.zeros(N_PARAMS, np.float32)
        self.whitening[POSE] = camera.reshape(-1)
        self.spread = np.full_like(self.whitening, 1e-5)
        self.network = build_backbone("mobilenet_v2").eval()
        self.weights = io.BytesIO()
        torch.save(FaceBoxesNet().state_dict(), self.weights)
        self.kept = None if rebuilt else self.detector()

    def detector(self) -> FaceBoxesNet:
        """Built from its weights."""
        self.weights.seek(0)
        network = FaceBoxesNet()
        network.load_state_dict(torch.load(self.weights, weights_only=True))
        return network.eval()

    def get_all_outputs(self, bgr: NDArray[np.uint8], rois: Sequence[CropBox]) -> list[Face]:
        """Landmarks (3, 68), vertices (3, 53215) and angles of every face."""
        look(self.kept or self.detector(), bgr)
        return [self.face(bgr, roi) for roi in rois]

    def face(self, bgr: NDArray[np.uint8], roi: CropBox) -> Face:
        small = cv2.resize(
            cut(bgr, roi), (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_LANCZOS4
        )
        tensor = torch.from_numpy(small.transpose(2, 0, 1).astype(np.float32))
        with torch.no_grad():
            answer = self.network(((tensor - 127.5) / 128)[None])[0]
        params = answer.numpy().reshape(-1) * self.spread + self.whitening
        camera = params[POSE].reshape(3, 4)
        landmarks = decode(camera, params, *self.at_landmarks)
        vertices = decode(camera, params, self.mean, self.shape, self.expression)
        return back_projected(landmarks, roi), back_projected(vertices, roi), angles(camera)


def cut(bgr: NDArray[np.uint8], roi: CropBox) -> NDArray[np.uint8]:
    """The square, with black where it leaves the photo."""
    box = roi.rounded()
    left, top, side = int(box.left + 0.5), int(box.top + 0.5), int(box.side)
    height, width = bgr.shape[:2]
    canvas = np.zeros((side, side, 3), dtype=np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    canvas[y0 - top : y1 - top, x0 - left : x1 - left] = bgr[y0:y1, x0:x1]
    return canvas


def decode(
    camera: Floats, params: Floats, mean: Floats, shape: Floats, expression: Floats
) -> Floats:
    """Bases (3 n, .) to points (3, n) of the crop, 1-based, y down."""
    identity, moved = params[SHAPE, None], params[EXPRESSION, None]
    points = (mean + shape @ identity + expression @ moved).reshape(3, -1, order="F")
    out: Floats = camera[:, :3] @ points + camera[:, 3:]
    out[1] = INPUT_SIZE + 1 - out[1]
    return out


def back_projected(points: Floats, roi: CropBox) -> Floats:
    scale = roi.side / INPUT_SIZE
    return points * np.float32(scale) + np.array([[roi.left], [roi.top], [0]], np.float32)


def angles(camera: Floats) -> list[float]:
    """Yaw, pitch and roll in degrees by the official formula."""
    first, second = (row / np.linalg.norm(row) for row in camera[:2, :3])
    third = np.cross(first, second)
    yaw = np.arcsin(np.clip(third[0], -1, 1))
    pitch = np.arctan2(second[2] / np.cos(yaw), third[2] / np.cos(yaw))
    roll = np.arctan2(first[1] / np.cos(yaw), first[0] / np.cos(yaw))
    return np.rad2deg([yaw, pitch, roll]).tolist()


@cache
def path_of(rebuilt: bool) -> OfficialPath:
    return OfficialPath(rebuilt)


@cache
def photo_of(image: str) -> tuple[NDArray[np.uint8], list[CropBox]]:
    """A photo and the squares that the official rule makes of its faces' boxes."""
    bgr = np.load(image)
    found = create_detector("centerface", threads=THREADS).detect(bgr)
    return bgr, [crop_from_box_by_height(detection.box) for detection in found]


def photo(image: str, rebuilt: bool = True, **how: Any) -> dict[str, Any]:
    """A decoded photo to all outputs of every face."""
    path, (bgr, rois) = path_of(rebuilt), photo_of(image)
    ms = milliseconds_within(lambda: path.get_all_outputs(bgr, rois), **how)
    return {"ms": ms, "found": len(rois)}


if __name__ == "__main__":
    cv2.setNumThreads(THREADS)
    torch.set_num_threads(THREADS)
    serve({"photo": photo})
