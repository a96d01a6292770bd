"""3D faces from a single image: 68 landmarks, head pose and a dense mesh.

>>> from synergynet import FaceAnalyzer, draw, read_image
>>> photo = read_image("examples/astronaut.jpg")  # (H, W, 3) uint8, BGR
>>> (face,) = FaceAnalyzer()(photo)
>>> face.landmarks.shape, face.vertices.shape
((68, 3), (12644, 3))
>>> abs(face.pose.yaw) < 10  # degrees
True
>>> draw(photo, [face], "mesh").shape == photo.shape
True

Everything is imported on first use; nothing here imports torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import SynergyNetError
    from .face_model.model import FaceModel
    from .files.images import read_image
    from .geometry.conventions import Conventions
    from .outputs.draw import draw
    from .outputs.save import save
    from .pipeline.analyzer import FaceAnalyzer
    from .pipeline.face import Face
    from .pipeline.official_api import SynergyNet
    from .pipeline.tracking import FaceTracker

    __version__: str

# ONNX Runtime reads it when it is imported. Without it, version 1.32 writes a number of the device
# to the home folder and reports to its maker; disable_telemetry_events() does not stop that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Conventions",
    "Face",
    "FaceAnalyzer",
    "FaceModel",
    "FaceTracker",
    "SynergyNet",
    "SynergyNetError",
    "__version__",
    "draw",
    "read_image",
    "save",
]

_HOMES = {
    "Conventions": ".geometry.conventions",
    "Face": ".pipeline.face",
    "FaceAnalyzer": ".pipeline.analyzer",
    "FaceModel": ".face_model.model",
    "FaceTracker": ".pipeline.tracking",
    "SynergyNet": ".pipeline.official_api",
    "SynergyNetError": ".errors",
    "draw": ".outputs.draw",
    "read_image": ".files.images",
    "save": ".outputs.save",
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
