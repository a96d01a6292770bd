"""Impossible values, as other libraries give them, are one sentence at the door."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from known_answers import SIZE, analyzer

from synergynet import draw, save
from synergynet.errors import SynergyNetError
from synergynet.geometry.crops import CropBox
from synergynet.outputs.pictures import Style
from synergynet.pipeline import FaceAnalyzer
from synergynet.pipeline.face import Face

PHOTO = np.zeros((*SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def face(tiny_model) -> Face:
    (found,) = analyzer(tiny_model, (200, 150, 100))(PHOTO)
    return found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("opacity", (2, -0.1, math.nan, "1")),
        ("view", ((1, 2, 3), (1, math.nan), 30, "30", (400, 0))),
        ("focal", (0, -5, math.nan, math.inf, "a")),
        ("texture_size", (0, -1, 100.5, 1 << 20, "1024", math.nan)),
    ],
)
def test_how_to_draw(name: str, values: tuple[Any, ...], face, tmp_path) -> None:
    for value in values:
        with pytest.raises(SynergyNetError, match=f"^{name} is "):
            Style(**{name: value})
        with pytest.raises(SynergyNetError, match=f"^{name} is "):
            draw(PHOTO, face, "solid", **{name: value})
        if name in ("focal", "texture_size"):
            with pytest.raises(SynergyNetError, match=f"^{name} is "):
                save(face, tmp_path / "a.glb", PHOTO, **{name: value})
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers() -> None:
    style = Style(np.float32(0.5), (np.float64(1), np.int64(2)), np.float32(500), np.int64(64))
    assert style.texture_size == 64


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_a_file_are_no_picture(tiny_model, kind) -> None:
    with pytest.raises(SynergyNetError, match="the bytes of a file; give its path"):
        analyzer(tiny_model)(kind(b"\xff\xd8\xff"))


def test_pictures_of_another_size_are_refused(face) -> None:
    with pytest.raises(SynergyNetError, match="400 x 100, but the face was found in 400 x 300"):
        draw(PHOTO[:100], face)


def test_boxes_that_are_none(tiny_model) -> None:
    end = analyzer(tiny_model)
    for values in ((math.nan, 0, 10), (0, math.inf, 10), (0, 0, 0), (0, 0, -5), (0, 0, 1e9)):
        with pytest.raises(SynergyNetError, match="no square that touches the image"):
            end.faces_in(PHOTO, [CropBox(*values)])
    box = CropBox(10, 10, 100)
    with pytest.raises(SynergyNetError, match="as many detections and quarters"):
        end.faces_in(PHOTO, [box], quarters=[0, 1])
    with pytest.raises(SynergyNetError, match="as many detections and quarters"):
        end.faces_in(PHOTO, [box], quarters=[])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("threads", -1),
        ("threads", "2"),
        ("threads", 10**9),
        ("passes", 0),
        ("passes", 1.5),
        ("min_confidence", -0.1),
        ("min_confidence", 2),
        ("min_confidence", math.nan),
    ],
)
def test_settings_of_an_analyzer(option: str, value: object) -> None:
    with pytest.raises(SynergyNetError, match=f"^{option} is "):
        FaceAnalyzer(**{option: value})
