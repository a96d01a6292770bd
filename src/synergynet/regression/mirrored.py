"""A network asked twice: once with each crop, once with its mirror image."""

import numpy as np
from numpy.typing import NDArray

from ..face_model.mirroring import mirrored_params
from ..face_model.model import FaceModel
from ..geometry.params import FloatArray
from ..weights.info import WeightsInfo
from .base import ParamsRegressor, Prediction, assess


def can_mirror(regressor: ParamsRegressor, face_model: FaceModel) -> bool:
    """Whether :class:`MirrorAveraged` works: a symmetric face model, answers in crop pixels."""
    return face_model.mirror_signs is not None and regressor.info.frame == "pixel"


class MirrorAveraged:
    """The mean of a network's answers to a crop and to its mirror image, as one regressor.

    A twentieth less error for twice the time. Parameters are averaged, cameras as matrices.

    Args:
        regressor: the network; :func:`can_mirror` must hold.
        face_model: decodes its parameters.
    """

    def __init__(self, regressor: ParamsRegressor, face_model: FaceModel) -> None:
        self._regressor, self._model = regressor, face_model

    @property
    def info(self) -> WeightsInfo:
        return self._regressor.info

    @property
    def face_model(self) -> FaceModel | None:
        return self._regressor.face_model

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if the network has them, expected errors.

        The expected error is the mean of both views', each calibrated for a single one.
        """
        both = np.concatenate([crops, crops[:, :, ::-1]])
        answer, n = assess(self._regressor, both), len(crops)
        raw = (answer.params[:n] + mirrored_params(self._model, answer.params[n:])) / 2
        expected = answer.expected_nme
        if expected is not None:
            expected = (expected[:n] + expected[n:]) / 2
        return Prediction(raw.astype(np.float32), expected)
