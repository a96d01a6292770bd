"""From photos to :class:`Face` objects."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..files.images import read_image
    from ..geometry.boxes import next_crop
    from .analyzer import Analysis, FaceAnalyzer, Timings
    from .face import Face
    from .smoothing import SmoothingConstants
    from .tracking import FaceTracker, TrackedFace

__all__ = [
    "Analysis",
    "Face",
    "FaceAnalyzer",
    "FaceTracker",
    "SmoothingConstants",
    "Timings",
    "TrackedFace",
    "next_crop",
    "read_image",
]

_HOMES = {
    "Analysis": ".analyzer",
    "Face": ".face",
    "FaceAnalyzer": ".analyzer",
    "FaceTracker": ".tracking",
    "SmoothingConstants": ".smoothing",
    "Timings": ".analyzer",
    "TrackedFace": ".tracking",
    "next_crop": "..geometry.boxes",
    "read_image": "..files.images",
}


def __getattr__(name: str) -> Any:
    """On first use: the names of the qualities need neither NumPy nor OpenCV."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
