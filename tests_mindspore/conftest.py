"""Reference numbers from PyTorch, which lives in another environment, and small face models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's remarks on stderr: errors only

import mindspore
import numpy as np
import pytest

from synergynet.nets.mindspore.runtime import use_threads

use_threads(1)
REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from helpers import find_shared_data  # noqa: E402
from small_models import make_tiny_model  # noqa: E402

from synergynet.face_model.model import FaceModel  # noqa: E402


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return find_shared_data()


@pytest.fixture(scope="session")
def tiny_model() -> FaceModel:
    return make_tiny_model()


@pytest.fixture(scope="session")
def torch_python() -> str:
    """``$SYNERGYNET_TORCH_PYTHON`` or the interpreter of ``.venv``; else skip."""
    python = os.environ.get("SYNERGYNET_TORCH_PYTHON", str(REPO / ".venv/bin/python"))
    found = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{python} has no PyTorch to compare with: run make test first")
    return python


@pytest.fixture(scope="session")
def reference(torch_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that torch_reference.py fills."""
    folder = tmp_path_factory.mktemp("reference")
    script = Path(__file__).parent / "torch_reference.py"
    subprocess.run([torch_python, str(script), str(folder)], check=True)
    return folder


@pytest.fixture(params=["pynative", "graph"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both ways in which MindSpore runs a network."""
    graph = request.param == "graph"
    mindspore.set_context(mode=mindspore.GRAPH_MODE if graph else mindspore.PYNATIVE_MODE)
    return str(request.param)


@pytest.fixture
def pynative() -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / f"{name}.npz") as opened:
        return dict(opened)
