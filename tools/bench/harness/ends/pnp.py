"""The pose that rivals do not give: what their users add, six points and ``cv2.solvePnP``."""

from typing import Any

import cv2
import numpy as np

HEAD = np.array(
    [(0, 0, 0), (0, -63, -13), (-43, 33, -26), (43, 33, -26), (-28, -29, -24), (28, -29, -24)],
    dtype=np.float64,
)
"""Nose tip, chin, outer corners of the eyes, corners of the mouth; millimetres, y up."""


def pose_of(points: Any, width: int, height: int) -> Any:
    """Rotation (3, 3) of a head from its six points (6, 2) in pixels."""
    focal = float(max(width, height))
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    flat = np.ascontiguousarray(points, dtype=np.float64)
    turn = cv2.solvePnP(HEAD, flat, camera, None, flags=cv2.SOLVEPNP_SQPNP)[1]
    return cv2.Rodrigues(turn)[0]
