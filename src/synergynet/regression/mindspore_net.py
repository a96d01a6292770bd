"""A network in a MindSpore checkpoint, run by MindSpore; imported only when one is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("GLOG_v", "3")  # MindSpore's remarks on stderr: errors only

import mindspore
from mindspore import Tensor

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.params import FloatArray
from ..nets.mindspore.backbones import ImageToParams
from ..nets.mindspore.synergynet import load_tensors
from ..weights.info import WeightsInfo
from ..weights.tensors import Weights, official_face_model, read_ckpt_weights
from .base import Prediction, predict_in_chunks

_PART = "I2P."


class MindSporeRegressor:
    """A MindSpore backbone behind :class:`~synergynet.regression.base.ParamsRegressor`.

    It runs in the mode that is set (``mindspore.set_context(mode=...)``), Graph or PyNative.

    Args:
        weights: with metadata.
    """

    def __init__(self, weights: Weights) -> None:
        self.info: WeightsInfo = weights.described()
        self.face_model: FaceModel | None = official_face_model(weights)
        self._network = ImageToParams(self.info.architecture)
        load_tensors(self._network, weights.tensors, _PART)
        self._network.set_train(False)

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if calibrated, expected errors."""
        assessed = self.info.error_head is not None
        return predict_in_chunks(self._run, crops, self.info, assessed=assessed)

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        params, pooled = (answer.asnumpy() for answer in self._network(Tensor(planes)))
        head = self.info.error_head
        return [params] if head is None else [params, head.expected_nme(pooled)]


def load_ckpt(path: Path, *, device: str) -> MindSporeRegressor:
    """The backbone of a ``.ckpt`` written by ``synergynet convert`` or ``synergynet train``.

    Raises:
        SynergyNetError: missing, damaged, not such a checkpoint, or no such device.
    """
    target = "GPU" if device == "cuda" else "CPU"
    try:
        if mindspore.get_context("device_target") != target:
            mindspore.set_device(target)
    except (RuntimeError, ValueError) as error:
        raise SynergyNetError(f"MindSpore has no device '{device}' here; use cpu") from error
    return MindSporeRegressor(read_ckpt_weights(path))
