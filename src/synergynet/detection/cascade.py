"""YuNet where it is sure of a face; larger and turned looks, and CenterFace, where it is not.

YuNet takes a seventh of CenterFace's time, but loses heads that are tilted by more than 30
degrees, which CenterFace finds up to 90; turned by quarters, YuNet finds those that lie on
their side or stand upside down.
"""

from functools import cached_property

import numpy as np

from .base import Detection, check_image, detections
from .centerface import CenterFaceDetector
from .yunet import CALIBRATION, SURE, YuNet, joined, sure


class CascadeDetector:
    """More looks only while no face is certain.

    Args:
        threshold: smallest score of a face, 0..1.
        max_side: longest side in pixels of the first look; larger photos are scaled down to it.
        coarse_side: of the looks for close-ups and for heads that are turned by quarters.
        zoom: of the last look, for faces of a few pixels.
        threads: of ONNX Runtime; 0: as many as this process may use.

    Raises:
        SynergyNetError: a file of the networks is missing.
    """

    name = "cascade"
    doubtful_below = SURE
    every_look = False

    def __init__(
        self,
        threshold: float = 0.3,
        max_side: int = 960,
        coarse_side: int = 320,
        zoom: float = 1.5,
        threads: int = 0,
    ) -> None:
        self.threshold, self.max_side, self.coarse_side = threshold, max_side, coarse_side
        self.zoom, self.threads = zoom, threads
        self._yunet = YuNet(threads)

    @cached_property
    def _centerface(self) -> CenterFaceDetector:
        """Loaded when it is first asked."""
        return CenterFaceDetector(max_side=self.max_side, threads=self.threads)

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        """Find the faces of ``bgr``, (H, W, 3) uint8, B, G, R; the best score first.

        Raises:
            SynergyNetError: the array is empty, not uint8 or not of that shape.
        """
        check_image(bgr)
        scale = min(1.0, self.max_side / max(bgr.shape[:2]))
        found = joined([self._yunet.look(bgr, scale, self.threshold)])
        if not sure(found):
            coarse = min(1.0, self.coarse_side / max(bgr.shape[:2]))
            found = joined([found, *self._yunet.looks_turned(bgr, coarse, self.threshold)])
        if self.every_look or not sure(found):
            zoomed = self._yunet.look(bgr, self.zoom * scale, self.threshold)
            found = joined([found, zoomed, self._centerface.find(bgr)])
        return detections(*found)

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        """The training crop (cx, cy, side) of a face, pixels, 0-based pixel centres."""
        return CALIBRATION(detection)


class ThoroughDetector(CascadeDetector):
    """All looks of the cascade, whatever the first ones show, but turned ones only where needed.

    Finds small faces beside large ones.
    """

    name = "thorough"
    every_look = True
