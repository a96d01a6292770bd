"""Face detection: boxes, and the square crops that the landmark network was trained on."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SynergyNetError
from .base import Detection, FaceDetector
from .centerface import CenterFaceDetector

__all__ = ["DETECTORS", "CenterFaceDetector", "Detection", "FaceDetector", "create_detector"]

DETECTORS: dict[str, Callable[..., FaceDetector]] = {"centerface": CenterFaceDetector}
DEFAULT = "centerface"


def create_detector(name: str = "default", **options: object) -> FaceDetector:
    """Build the face detector ``name``; "default" is the one that measured best.

    Args:
        name: "default" or a key of ``DETECTORS`` (register another detector there).
        options: passed to the detector's constructor.

    Raises:
        SynergyNetError: no detector has that name.
    """
    known = DETECTORS.get(DEFAULT if name == "default" else name)
    if known is None:
        names = ", ".join(["default", *sorted(DETECTORS)])
        raise SynergyNetError(f"unknown face detector {name!r}; known: {names}")
    return known(**options)
