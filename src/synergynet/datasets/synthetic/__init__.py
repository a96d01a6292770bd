"""Synthetic faces: Open Head rendered at random, with exact labels."""

from .face import VERSION, SyntheticFace, SyntheticFaces

__all__ = ["VERSION", "SyntheticFace", "SyntheticFaces"]
