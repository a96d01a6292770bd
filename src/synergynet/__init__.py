"""3D faces from a single image: 68 landmarks, head pose and a dense mesh.

>>> from synergynet import FaceAnalyzer, read_image  # doctest: +SKIP
>>> faces = FaceAnalyzer()(read_image("photo.jpg"))  # doctest: +SKIP

Everything is imported on first use; nothing here imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import SynergyNetError
    from .face_model.model import FaceModel
    from .pipeline.analyzer import FaceAnalyzer
    from .pipeline.face import Face
    from .pipeline.images import read_image

    __version__: str

__all__ = ["Face", "FaceAnalyzer", "FaceModel", "SynergyNetError", "__version__", "read_image"]

_HOMES = {
    "Face": ".pipeline.face",
    "FaceAnalyzer": ".pipeline.analyzer",
    "FaceModel": ".face_model.model",
    "SynergyNetError": ".errors",
    "read_image": ".pipeline.images",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("synergynet")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
