"""Face detection: boxes, and the square crops that the landmark network was trained on."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import SynergyNetError

if TYPE_CHECKING:
    from .base import Detection, FaceDetector, SquareCalibration

__all__ = [
    "DEFAULT_DETECTOR",
    "DETECTORS",
    "Detection",
    "FaceDetector",
    "SquareCalibration",
    "create_detector",
]

DETECTORS: dict[str, str] = {
    "yunet": "synergynet.detection.yunet:YuNetDetector",
    "cascade": "synergynet.detection.cascade:CascadeDetector",
    "thorough": "synergynet.detection.cascade:ThoroughDetector",
    "centerface": "synergynet.detection.centerface:CenterFaceDetector",
}
"""Name -> class as module:name, imported when it is asked for; commands and errors follow this."""

DEFAULT_DETECTOR = "cascade"


def create_detector(name: str = "default", **options: object) -> FaceDetector:
    """Build the face detector ``name``.

    Args:
        name: "default" or a key of ``DETECTORS`` (register another detector there).
        options: passed to the detector's constructor.

    Raises:
        SynergyNetError: no detector has that name.
    """
    home = DETECTORS.get(DEFAULT_DETECTOR if name == "default" else name)
    if home is None:
        names = ", ".join(["default", *sorted(DETECTORS)])
        raise SynergyNetError(f"unknown face detector {name!r}; known: {names}")
    module, _, cls = home.partition(":")
    detector: FaceDetector = getattr(import_module(module), cls)(**options)
    return detector


def __getattr__(name: str) -> Any:
    """What ``base`` defines, on first use: the names of the detectors need no OpenCV."""
    if name in __all__:
        return getattr(import_module(".base", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
