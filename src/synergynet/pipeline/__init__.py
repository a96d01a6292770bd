"""From photos to :class:`Face` objects and files."""

from ..files.images import read_image
from .analyzer import Analysis, FaceAnalyzer, Timings, next_crop
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
