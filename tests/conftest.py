"""Shared fixtures: the private data folder, and small face models made on the spot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

# As the command sets them for OpenCV, which reads them once.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import numpy as np
import pytest
from helpers import find_shared_data
from known_answers import SIZE
from small_models import (
    SmallBenchmark,
    make_tiny_model,
    random_net,
    toy_face_model,
    toy_whitening,
    write_benchmark,
)

from synergynet.face_model.model import FaceModel
from synergynet.geometry.params import Whitening

if TYPE_CHECKING:
    from synergynet.nets.torch.synergynet import SynergyNet


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return find_shared_data()


@pytest.fixture(scope="session")
def bfm(shared_data: Path) -> FaceModel:
    """The Basel Face Model of the development data."""
    from synergynet.face_model.official import load_official

    return load_official(shared_data / "3dmm_data")[0]


@pytest.fixture(scope="session")
def tiny_model() -> FaceModel:
    return make_tiny_model()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_model: FaceModel) -> SmallBenchmark:
    return write_benchmark(tmp_path_factory.mktemp("aflw2000_data"), tiny_model)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


# --- A network of random weights in the official layout


@pytest.fixture(scope="module")
def face_model() -> FaceModel:
    return toy_face_model()


@pytest.fixture(scope="module")
def whitening() -> Whitening:
    return toy_whitening()


@pytest.fixture(scope="module")
def net(face_model: FaceModel, whitening: Whitening) -> SynergyNet:
    return random_net(face_model, whitening)
