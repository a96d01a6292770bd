"""The base install, pretended: what the extras bring looks as if it were not installed."""

from __future__ import annotations

import os
from pathlib import Path

EXTRAS = (
    "torch", "numba", "onnx", "onnxscript", "mindspore", "tensorboard", "openvino", "executorch",
    "pillow_heif", "pyarrow", "ray", "scipy", "starlette", "uvicorn",
)  # fmt: skip

_HOOK = f"""
from importlib.machinery import PathFinder

_found = PathFinder.find_spec

def _find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {EXTRAS!r} else _found(name, path, target)

PathFinder.find_spec = _find_spec
"""


def base_environment(folder: Path) -> dict[str, str]:
    """Variables for a Python that has none of :data:`EXTRAS`; its hook is written to ``folder``."""
    (folder / "sitecustomize.py").write_text(_HOOK)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
