"""From photos to :class:`Face` objects."""

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
