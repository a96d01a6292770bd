"""YuNet by ONNX Runtime: a tiny fully convolutional network with five points per face.

Network: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20, 2023. Weights by its authors, MIT; ``data/README.md`` says how the file was made.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..files.onnx_session import open_session
from ..files.shipped import check_shipped
from ..geometry.boxes import non_maximum_suppression
from .base import (
    Detection,
    Found,
    SquareCalibration,
    check_image,
    detections,
    network_input,
    scaled,
)

MODEL = Path(__file__).parent / "data" / "yunet.onnx"
STRIDES = (8, 16, 32)  # image pixels per cell
MULTIPLE = 32
CANDIDATES = 2000  # best cells that enter the suppression: bounds the work on any image
MAX_IOU = 0.3  # overlap above which two boxes are one face
SURE = 0.88
"""Score of a face that needs no other look. Of 120 crops of aflw_train, 77 % have it upright, but
2 % upside down and none on their side, where boxes are right and points are not."""

PART = 0.8
"""Share of an unsure box within a better one that makes it a part of that face."""

# `tools/bench/detectors.py --calibrate aflw_train --crops 2400 --detector cascade`
CALIBRATION = SquareCalibration(
    weights=(
        (0.0, 0.0, -0.2025, 0.0092, -0.2025, -0.0092, 0.1087, 0.0, 0.0132, 0.0092, 0.0132, -0.0092),
        (
            *(-0.0014, -0.0443, 0.0943, 0.2491, -0.0943, 0.2491),
            *(0.0, -0.7085, -0.1742, 0.3847, 0.1742, 0.3847),
        ),
        (
            *(0.2543, 0.0382, 0.3370, -0.4390, -0.3370, -0.4390),
            *(0.0, 0.6501, -0.2274, -0.2357, 0.2274, -0.2357),
        ),
    )
)


class YuNet:
    """The network: faces of one image at one size.

    Args:
        threads: of ONNX Runtime; 0: as many as this process may use.
        model: path of the ONNX file; the shipped one by default.

    Raises:
        SynergyNetError: the file is missing or is no such network.
    """

    def __init__(self, threads: int = 0, model: str | Path = MODEL) -> None:
        check_shipped(Path(model))
        try:
            self._session = open_session(model, threads=threads)
        except Exception as error:
            raise SynergyNetError(f"cannot load the face detector {model}: {error}") from error

    def look(self, bgr: np.ndarray, scale: float, threshold: float) -> Found:
        """Faces of ``bgr``, (H, W, 3) uint8, scaled by ``scale`` for the network."""
        image, zoom = network_input(bgr, scale, MULTIPLE)
        names = [f"{kind}_{s}" for s in STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        outputs = dict(zip(names, self._session.run(names, {"image": image}), strict=True))
        boxes, scores, points = [], [], []
        for stride in STRIDES:
            score = outputs[f"cls_{stride}"][0, :, 0] * outputs[f"obj_{stride}"][0, :, 0]
            found = np.flatnonzero(score >= threshold * threshold)
            score = np.sqrt(np.clip(score[found].astype(float), 0, 1))
            rows, cols = np.divmod(found, image.shape[3] // stride)
            cells = np.stack([cols, rows], axis=1).astype(float)
            box = outputs[f"bbox_{stride}"][0, found].astype(float)
            centre, size = (cells + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
            five = outputs[f"kps_{stride}"][0, found].reshape(-1, 5, 2)
            boxes.append(np.concatenate([centre - size / 2, centre + size / 2], axis=1))
            scores.append(score)
            points.append((cells[:, None] + five) * stride)
        best = np.argsort(-np.concatenate(scores), kind="stable")[:CANDIDATES]
        # From distances to the image edge to 0-based pixel centres of the full photo.
        return (
            np.concatenate(boxes)[best] * np.tile(zoom, 2) - 0.5,
            np.concatenate(scores)[best],
            np.concatenate(points)[best] * zoom - 0.5,
        )

    def looks_turned(
        self, bgr: np.ndarray, scale: float, threshold: float, turns: Sequence[int] = range(4)
    ) -> list[Found]:
        """What it sees in the photo turned so many quarters to the left, in the photo."""
        small, zoom = scaled(bgr, scale)  # turned as it is small
        height, width = small.shape[:2]
        looks = []
        for quarters in turns:
            boxes, scores, points = self.look(np.rot90(small, quarters), 1.0, threshold)
            corners = boxes.reshape(-1, 2, 2)
            for turn in range(quarters, 0, -1):  # undo one quarter after the other
                side = width if turn % 2 else height
                corners = np.stack([side - 1 - corners[..., 1], corners[..., 0]], axis=-1)
                points = np.stack([side - 1 - points[..., 1], points[..., 0]], axis=-1)
            boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
            boxes, points = (boxes + 0.5) * np.tile(zoom, 2) - 0.5, (points + 0.5) * zoom - 0.5
            looks.append((boxes, scores, points))
        return looks


def sure(found: Found, score: float = SURE) -> bool:
    """Whether any face needs no other look."""
    return bool((found[1] >= score).any())


def joined(looks: Sequence[Found]) -> Found:
    """What several looks found, each face once, best score first."""
    boxes, scores, points = (np.concatenate(arrays) for arrays in zip(*looks, strict=True))
    kept = non_maximum_suppression(boxes, scores, MAX_IOU)
    kept = kept[~_are_parts(boxes[kept], scores[kept])]
    return boxes[kept], scores[kept], points[kept]


def _are_parts(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(K,) which unsure boxes lie in a better one: fine looks at close-ups see eyes and mouths."""
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    inside = np.prod(np.clip(high - low, 0, None), axis=2)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    within = (inside > PART * area[:, None]) & (scores > scores[:, None])
    return (scores < SURE) & within.any(axis=1)


class YuNetDetector:
    """YuNet, first at a small size; at a larger one only where that may show more.

    Where no face is upright, it looks at the photo turned by quarters.

    Args:
        threshold: smallest score of a face, 0..1.
        sides: longest side in pixels of each look, ascending; photos are never enlarged.
        enough: score of the best face from which it takes no other look.
        small: height in pixels of a look's faces, below which it takes the next: there may be
            others that it cannot see.
        turned_side: longest side in pixels of the looks at the photo turned by quarters, taken
            if no face is sure; there a face needs ``enough``.
        threads: of ONNX Runtime; 0: as many as this process may use.
        model: path of the ONNX file; the shipped one by default.

    Raises:
        SynergyNetError: the file is missing or is no such network.
    """

    name = "yunet"

    def __init__(
        self,
        threshold: float = 0.6,
        sides: Sequence[int] = (160, 320, 960),
        enough: float = 0.75,
        small: float = 12,
        turned_side: int = 320,
        threads: int = 0,
        model: str | Path = MODEL,
    ) -> None:
        self.threshold, self.sides = threshold, tuple(sides)
        self.enough, self.small, self.turned_side = enough, small, turned_side
        self.network = YuNet(threads, model)

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        """Find the faces of ``bgr``, (H, W, 3) uint8, B, G, R; the best score first.

        Raises:
            SynergyNetError: the array is empty, not uint8 or not of that shape.
        """
        check_image(bgr)
        longest, looks = max(bgr.shape[:2]), []
        for side in self.sides:
            scale = min(1.0, side / longest)
            looks.append(self.network.look(bgr, scale, self.threshold))
            found = joined(looks)
            heights = (found[0][:, 3] - found[0][:, 1]) * scale
            if scale == 1 or (sure(found, self.enough) and heights.min() >= self.small):
                break
        if not sure(found):
            scale = min(1.0, self.turned_side / longest)
            turned = self.network.looks_turned(bgr, scale, self.enough, (1, 2, 3))
            found = joined([found, *turned])
        return detections(*found)

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        """The training crop (cx, cy, side) of a face, pixels, 0-based pixel centres."""
        return CALIBRATION(detection)
