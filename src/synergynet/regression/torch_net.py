"""A network in a checkpoint, run by torch; imported only when a checkpoint is asked for."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..geometry.params import FloatArray
from ..nets.torch.backbones import trained_backbone
from ..nets.torch.expected_error import AssessedBackbone
from ..weights.formats import read_weights
from ..weights.tensors import Weights
from .base import NetworkRegressor


class TorchRegressor(NetworkRegressor):
    """A torch backbone behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        weights: with metadata.
        device: a torch device name.

    Raises:
        SynergyNetError: tensors are missing, unknown or misshapen, or no such device.
    """

    def __init__(self, weights: Weights, *, device: str = "cpu") -> None:
        self.info, self.face_model = weights.described(), weights.face_model
        backbone, head = trained_backbone(weights), self.info.error_head
        self.assessed = head is not None
        network = backbone if head is None else AssessedBackbone(backbone, head)
        try:
            self._device = torch.device(device)
            self._network = network.eval().to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise SynergyNetError(f"torch has no device '{device}' here; use cpu") from error

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        # The second answer is the expected error, or the pooled features that nobody reads.
        with torch.inference_mode():
            answers = self._network(torch.from_numpy(planes).to(self._device))
        return [answer.cpu().numpy() for answer in answers]


def load(path: Path, *, device: str = "cpu", threads: int = 0) -> TorchRegressor:
    """The backbone of a checkpoint of any format; ``threads`` are torch's own affair.

    Raises:
        SynergyNetError: missing, damaged, or not such a checkpoint.
    """
    return TorchRegressor(read_weights(path), device=device)
