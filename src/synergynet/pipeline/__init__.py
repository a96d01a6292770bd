"""From photos to :class:`Face` objects and files."""

from .analyzer import Analysis, FaceAnalyzer, Timings
from .face import Face
from .images import read_image

__all__ = ["Analysis", "Face", "FaceAnalyzer", "Timings", "read_image"]
