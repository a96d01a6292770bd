"""What the network is shown of a face, and what it answers: look after look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..detection import Detection
from ..geometry import params, pose
from ..geometry.boxes import next_crop
from ..geometry.crops import CropBox
from ..geometry.params import INPUT_SIZE, FloatArray
from ..regression import ParamsRegressor, Prediction, assess, cut_crops

SAME_PLACE, SAME_SIZE = 0.03, 0.06
"""Crop sides, and log of their ratio: between crops closer than this the network's own noise is
larger than what another look would change."""

_BACK = np.array([[0.0, -1.0, INPUT_SIZE + 1], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""1-based pixels of a crop turned by a quarter to the left -> those of the crop."""


@dataclass(frozen=True)
class View:
    """A face of one of several photos, as the network sees it.

    Attributes:
        photo: its number.
        crop: on whole pixels.
        quarters: by which the crop is turned to the left, so that the face stands upright.
    """

    photo: int
    crop: CropBox
    quarters: int = 0


def look(
    network: ParamsRegressor, photos: Sequence[NDArray[np.uint8]], views: Sequence[View]
) -> Prediction:
    """The network's answers to all views, as one batch, valid in their crops as they lie."""
    border = network.info.border
    crops = np.empty((len(views), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    for row, view in enumerate(views):
        (crop,) = cut_crops(photos[view.photo], [view.crop], border=border)
        crops[row] = np.rot90(crop, view.quarters)
    answer = assess(network, crops)
    turned = [row for row, view in enumerate(views) if view.quarters]
    if not turned:
        return answer
    raw = answer.params.copy()
    raw[turned] = [_turned_back(raw[row], views[row].quarters) for row in turned]
    return Prediction(raw, answer.expected_nme)


def look_again(
    network: ParamsRegressor,
    photos: Sequence[NDArray[np.uint8]],
    views: Sequence[View],
    following: Sequence[View],
    answer: Prediction,
) -> tuple[list[View], Prediction]:
    """Show the network those ``following`` views that differ from what it has answered to.

    Returns:
        Of each face the view that was shown last, and the answer to it.
    """
    rows = [i for i, (old, new) in enumerate(zip(views, following, strict=True)) if _new(old, new)]
    if not rows:
        return list(views), answer
    out, raw = list(views), answer.params.copy()
    for row in rows:
        out[row] = following[row]
    fresh = look(network, photos, [following[row] for row in rows])
    raw[rows] = fresh.params
    expected = answer.expected_nme
    if expected is not None:
        expected = expected.copy()
        expected[rows] = fresh.expected_nme
    return out, Prediction(raw, expected)


def follow(
    views: Sequence[View],
    answer: Prediction,
    landmarks: FloatArray,
    photos: Sequence[NDArray[np.uint8]],
    rule: str,
    *,
    turn: bool = True,
) -> list[View]:
    """The views of the next look, about the landmarks of this one.

    Args:
        answer: to ``views``.
        landmarks: (N, 68, 3) of it, image frame.
        rule: the crop rule of the network, a key of ``CROP_RULES``.
        turn: whether crops may be turned.
    """
    return [
        replace(
            view,
            crop=next_crop(points, view.crop, photos[view.photo].shape, rule),
            quarters=quarters_of_params(raw) if turn else 0,
        )
        for view, raw, points in zip(views, answer.params, landmarks, strict=True)
    ]


def quarters_of_params(raw: FloatArray) -> int:
    """Quarters by which a crop is turned to the left for the face of its (62,) to stand upright."""
    camera = params.split(raw)[0]
    # The model's -y axis, toward the chin, in the image (y down).
    return _quarters(-float(camera[0, 1]), float(camera[1, 1]))


def quarters_of_detection(detection: Detection) -> int:
    """The same by the detector's five points; 0 where it has none."""
    if detection.points is None:
        return 0
    eyes, mouth = detection.points[:2].mean(axis=0), detection.points[3:].mean(axis=0)
    return _quarters(*(mouth - eyes).tolist())


def _quarters(right: float, down: float) -> int:
    """By the direction from forehead to chin in the image."""
    if not math.isfinite(right + down):
        return 0
    return round(-math.atan2(right, down) / (math.pi / 2)) % 4


def _turned_back(raw: FloatArray, quarters: int) -> FloatArray:
    """Parameters (62,) of a crop turned by quarters -> those of the crop as it lies."""
    camera, shape, expression = params.split(raw)
    affine = np.linalg.matrix_power(_BACK, quarters)[:2]
    return params.join(pose.transform_camera(camera, affine), shape, expression)


def _new(old: View, new: View) -> bool:
    """Whether two views show a face differently enough to look again."""
    if old.quarters != new.quarters:
        return True
    shift = math.dist(old.crop.center, new.crop.center) / old.crop.side
    return shift > SAME_PLACE or abs(math.log(new.crop.side / old.crop.side)) > SAME_SIZE
