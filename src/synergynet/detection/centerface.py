"""CenterFace by ONNX Runtime: one fully convolutional network, no anchors.

Network: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019
(arXiv 1911.03599). Weights by its authors, MIT; ``data/README.md`` says how the file was made.
"""

from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..files.onnx_session import open_session
from ..files.shipped import check_shipped
from ..geometry.boxes import non_maximum_suppression
from .base import Detection, Found, SquareCalibration, check_image, detections, network_input

MODEL = Path(__file__).parent / "data" / "centerface.onnx"
STRIDE = 4  # image pixels per heatmap cell
MULTIPLE = 32  # the network halves its input five times
COARSE_FACE = 64  # pixels: the coarse look is for close-ups, small boxes there are mostly wrong
CANDIDATES = 2000  # best cells that enter the suppression: bounds the work on any image
# `tools/bench/detectors.py --calibrate aflw_train --crops 1600`; x is 0 by mirror symmetry.
CALIBRATION = SquareCalibration(weights=((0.0, 0.0), (0.0629, -0.1859), (0.2817, 0.0127)))


class CenterFaceDetector:
    """CenterFace at two image sizes: a fine one for small faces, a coarse one for close-ups.

    The network knows faces from about 16 to 500 pixels (landmark bounding box), which one
    image size cannot cover. Memory and time depend on ``max_side``, not on the photo.

    Args:
        threshold: smallest score of a face, 0..1.
        max_side: longest side in pixels of the fine image; larger photos are scaled down to
            it, smaller ones are never enlarged.
        coarse_side: longest side of the second, cheap look; not taken where the photo is no
            larger. A value of ``max_side`` or more turns it off.
        max_iou: overlap above which two boxes are one face.
        threads: of ONNX Runtime; 0: as many as this process may use.
        model: path of the ONNX file; the shipped one by default.

    Raises:
        SynergyNetError: the file is missing or is no such network.
    """

    name = "centerface"

    def __init__(
        self,
        threshold: float = 0.4,
        max_side: int = 960,
        coarse_side: int = 320,
        max_iou: float = 0.3,
        threads: int = 0,
        model: str | Path = MODEL,
    ) -> None:
        self.threshold = threshold
        self.sides = (max_side, coarse_side) if coarse_side < max_side else (max_side,)
        self.max_iou = max_iou
        check_shipped(Path(model))
        try:
            self._session = open_session(model, threads=threads)
        except Exception as error:
            raise SynergyNetError(f"cannot load the face detector {model}: {error}") from error

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        """Find the faces of ``bgr``, (H, W, 3) uint8, B, G, R; the best score first.

        Raises:
            SynergyNetError: the array is empty, not uint8 or not of that shape.
        """
        check_image(bgr)
        return detections(*self.find(bgr))

    def find(self, bgr: np.ndarray) -> Found:
        """As :meth:`detect`, in arrays, best score first."""
        longest = max(bgr.shape[:2])
        looks = [self._look(bgr, min(1.0, self.sides[0] / longest), 0)]
        looks += [
            self._look(bgr, side / longest, COARSE_FACE)
            for side in self.sides[1:]
            if side < longest
        ]
        boxes, scores, points = (np.concatenate(arrays) for arrays in zip(*looks, strict=True))
        kept = non_maximum_suppression(boxes, scores, self.max_iou)
        return boxes[kept], scores[kept], points[kept]

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        """The training crop (cx, cy, side) of a face, pixels, 0-based pixel centres."""
        return CALIBRATION(detection)

    def _look(self, bgr: np.ndarray, scale: float, smallest: int) -> Found:
        """Boxes (K, 4), scores (K,), points (K, 5, 2) found at one image size.

        ``smallest`` is the least box height in pixels of that size.
        """
        image, zoom = network_input(bgr, scale, MULTIPLE, rgb=True)
        outputs = ["heatmap", "log_size", "offset", "points"]
        heatmap, *maps = (maps[0] for maps in self._session.run(outputs, {"image": image}))
        rows, cols = np.nonzero(
            (heatmap[0] >= self.threshold) & (STRIDE * np.exp(maps[0][0]) >= smallest)
        )
        best = np.argsort(-heatmap[0, rows, cols], kind="stable")[:CANDIDATES]
        rows, cols = rows[best], cols[best]
        # Every pair of channels is (y, x); [..., ::-1] makes it (x, y).
        log_size, offset, points = (
            a[:, rows, cols].T.reshape(len(rows), len(a) // 2, 2)[..., ::-1].astype(float)
            for a in maps
        )
        cells = np.stack([cols, rows], axis=1)[:, None]
        size = STRIDE * np.exp(log_size)
        low = STRIDE * (cells + 0.5 + offset) - size / 2
        corners = np.concatenate([low, low + size, low + size * points], axis=1)  # (K, 7, 2)
        # From distances to the image edge to 0-based pixel centres of the full photo.
        corners = corners * zoom - 0.5
        return corners[:, :2].reshape(-1, 4), heatmap[0, rows, cols].astype(float), corners[:, 2:]
