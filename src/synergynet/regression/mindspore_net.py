"""A network in a MindSpore checkpoint, run by MindSpore; imported only when one is asked for."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("GLOG_v", "3")  # MindSpore's remarks on stderr: errors only

import mindspore
from mindspore import Tensor

from ..errors import SynergyNetError
from ..geometry.params import FloatArray
from ..nets.mindspore.synergynet import trained_backbone
from ..weights.formats import read_weights
from ..weights.tensors import Weights
from .base import NetworkRegressor


class MindSporeRegressor(NetworkRegressor):
    """A MindSpore backbone behind :class:`~synergynet.regression.base.ParamsRegressor`.

    It runs in the mode that is set (``mindspore.set_context(mode=...)``), Graph or PyNative.

    Args:
        weights: with metadata.
    """

    def __init__(self, weights: Weights) -> None:
        self.info, self.face_model = weights.described(), weights.face_model
        self.assessed = self.info.error_head is not None
        self._network = trained_backbone(weights)

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        params, pooled = (answer.asnumpy() for answer in self._network(Tensor(planes)))
        head = self.info.error_head
        return [params] if head is None else [params, head.expected_nme(pooled)]


def load(path: Path, *, device: str = "cpu", threads: int = 0) -> MindSporeRegressor:
    """The backbone of a checkpoint of any format; ``threads`` are set once for a process.

    Raises:
        SynergyNetError: missing, damaged, not such a checkpoint, or no such device.
    """
    target = "GPU" if device == "cuda" else "CPU"
    try:
        if mindspore.get_context("device_target") != target:
            mindspore.set_device(target)
    except (RuntimeError, ValueError) as error:
        raise SynergyNetError(f"MindSpore has no device '{device}' here; use cpu") from error
    return MindSporeRegressor(read_weights(path))
