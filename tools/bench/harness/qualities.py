"""The qualities of the installed package, and an analyzer of each."""

from importlib import import_module
from typing import Any

from synergynet import FaceAnalyzer

ONLY = "default"
"""The name of the analyzer of a package that has no qualities yet."""


def known_qualities() -> tuple[str, ...]:
    """Names, as ``FaceAnalyzer(quality=...)`` takes them."""
    try:
        return tuple(import_module("synergynet.pipeline.quality").QUALITIES)
    except ModuleNotFoundError:
        return (ONLY,)


def build_analyzer(quality: str, threads: int, **options: Any) -> FaceAnalyzer:
    """The analyzer that a user gets who asks for this quality."""
    if known_qualities() != (ONLY,):
        options["quality"] = quality
    return FaceAnalyzer(threads=threads, **options)
