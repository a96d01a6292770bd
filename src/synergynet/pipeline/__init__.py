"""From photos to :class:`Face` objects and files."""

from .analyzer import Analysis, FaceAnalyzer, Timings, next_crop
from .face import Face
from .images import read_image

__all__ = ["Analysis", "Face", "FaceAnalyzer", "Timings", "next_crop", "read_image"]
