"""A network in a checkpoint, run by torch; imported only when a checkpoint is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.conventions import Conventions
from ..geometry.params import FloatArray
from ..nets.torch.backbones import build_backbone
from ..nets.torch.blocks import ThreeHeadBackbone
from ..nets.torch.checkpoints import check_state, read_checkpoint
from ..nets.torch.expected_error import AssessedBackbone
from ..nets.torch.official_checkpoint import ARCHITECTURE, read_official
from ..weights.info import WeightsInfo
from .base import Prediction, predict_in_chunks

_BACKBONE = "I2P.backbone."


class TorchRegressor:
    """A torch backbone behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        backbone: in any mode; it is put into eval mode.
        info: metadata of its weights.
        device: a torch device name.
        face_model: the one that came with the weights, if any.
    """

    def __init__(
        self,
        backbone: ThreeHeadBackbone,
        info: WeightsInfo,
        *,
        device: str = "cpu",
        face_model: FaceModel | None = None,
    ) -> None:
        try:
            self._device = torch.device(device)
            network = (
                backbone if info.error_head is None else AssessedBackbone(backbone, info.error_head)
            )
            self._network = network.eval().to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise SynergyNetError(f"torch has no device '{device}' here; use cpu") from error
        self.info = info
        self.face_model = face_model

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if calibrated, expected errors."""
        assessed = self.info.error_head is not None
        return predict_in_chunks(self._run, crops, self.info, assessed=assessed)

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        # The second answer is the expected error, or the pooled features that nobody reads.
        with torch.inference_mode():
            answers = self._network(torch.from_numpy(planes).to(self._device))
        return [answer.cpu().numpy() for answer in answers]


def load_safetensors(path: Path, *, device: str) -> TorchRegressor:
    """The backbone of a checkpoint written by ``synergynet train``.

    Raises:
        SynergyNetError: missing, damaged, or not such a checkpoint.
    """
    tensors, info = read_checkpoint(path)
    backbone = build_backbone(info.architecture)
    found = {k.removeprefix(_BACKBONE): v for k, v in tensors.items() if k.startswith(_BACKBONE)}
    check_state(str(path), backbone.state_dict(), found)
    backbone.load_state_dict(found)
    return TorchRegressor(backbone, info, device=device)


def load_official_checkpoint(path: Path, *, device: str) -> TorchRegressor:
    """The backbone and the face model (without triangles) of an official ``.pth.tar``.

    Raises:
        SynergyNetError: missing, damaged, or not such a checkpoint.
    """
    checkpoint = read_official(path)
    face_model = checkpoint.face_model()
    backbone = build_backbone(ARCHITECTURE)
    backbone.load_state_dict(
        {
            key.removeprefix(_BACKBONE): value
            for key, value in checkpoint.tensors.items()
            if key.startswith(_BACKBONE)
        }
    )
    info = WeightsInfo(
        architecture=ARCHITECTURE,
        face_model=face_model.name,
        face_model_hash=face_model.hash,
        whitening=checkpoint.whitening(),
        training_data="an official SynergyNet checkpoint (300W-LP)",
        frame="protocol",
        border=Conventions.official().border,
    )
    return TorchRegressor(backbone, info, device=device, face_model=face_model)
