"""Objects that go to other processes: by their settings, and without the face model."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT

from synergynet import FaceAnalyzer
from synergynet.detection.yunet import YuNetDetector
from synergynet.errors import SynergyNetError
from synergynet.face_model.npz import save_npz
from synergynet.face_model.open_head import load_open_head
from synergynet.face_model.sources import resolve_face_model
from synergynet.pipeline.face import Face
from synergynet.regression import load_regressor


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    image = cv2.imread(str(ASTRONAUT))
    assert image is not None
    return image


def face_of(analyzer: FaceAnalyzer, photo: np.ndarray) -> Face:
    (face,) = analyzer(photo)
    return face


@pytest.mark.parametrize("given", ["names", "objects"])
def test_an_analyzer_is_pickled_as_its_settings(photo, given: str) -> None:
    if given == "names":
        analyzer = FaceAnalyzer(quality="fast", passes=1)
    else:
        analyzer = FaceAnalyzer(YuNetDetector(), load_regressor("slim"))
    data = pickle.dumps(analyzer)
    assert len(data) < 10_000
    again = face_of(pickle.loads(data), photo)
    np.testing.assert_array_equal(again.landmarks, face_of(analyzer, photo).landmarks)
    assert copy.copy(analyzer).passes == analyzer.passes


def test_a_face_is_pickled_without_its_model_and_mesh(photo) -> None:
    face = face_of(FaceAnalyzer(quality="fast"), photo)
    assert len(face.vertices) > 10_000
    data = pickle.dumps(face)
    assert len(data) < 5_000
    again = pickle.loads(data)
    assert again.face_model is face.face_model
    np.testing.assert_array_equal(again.vertices, face.vertices)
    assert again.to_dict() == face.to_dict()


@pytest.mark.slow
def test_faces_come_back_from_a_spawned_process(photo) -> None:
    analyzer = FaceAnalyzer(quality="fast", threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (face,) = pool.apply(analyzer, (photo,))
    np.testing.assert_array_equal(face.landmarks, face_of(analyzer, photo).landmarks)


def test_a_model_of_a_file_is_read_again_from_it(tmp_path: Path, tiny_model) -> None:
    file = tmp_path / "model.npz"
    save_npz(tiny_model, file)
    model = resolve_face_model(file)[0]
    data = pickle.dumps(model)
    assert len(data) < 1_000
    assert pickle.loads(data).hash == model.hash
    save_npz(replace(tiny_model, mean=tiny_model.mean + 1), file)
    changed = pickle.dumps(resolve_face_model(file)[0])
    assert pickle.loads(changed).hash != model.hash
    file.unlink()
    resolve_face_model.__globals__["_again"].cache_clear()  # as in another process
    with pytest.raises(SynergyNetError, match=r"model\.npz: no such face model"):
        pickle.loads(data)


def test_a_model_that_has_changed_is_refused(tmp_path: Path, tiny_model) -> None:
    file = tmp_path / "model.npz"
    save_npz(tiny_model, file)
    data = pickle.dumps(resolve_face_model(file)[0])
    save_npz(replace(tiny_model, mean=tiny_model.mean + 1), file)
    with pytest.raises(SynergyNetError, match=r"model\.npz: another face model"):
        pickle.loads(data)


def test_models_made_in_memory_are_pickled_whole(tiny_model) -> None:
    changed = replace(load_open_head(), mean=load_open_head().mean + 1)
    assert pickle.loads(pickle.dumps(changed)).hash == changed.hash != load_open_head().hash
    assert pickle.loads(pickle.dumps(tiny_model)).hash == tiny_model.hash
