"""Our checkpoints, safetensors whose metadata say which face model they belong to, and networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.conventions import Conventions
from ...weights.info import Frame, WeightsInfo
from ...weights.tensors import Weights, read_safetensors_weights, write_safetensors_weights
from .backbones import build_backbone, fill
from .synergynet import SynergyNet


def describe(
    net: SynergyNet,
    *,
    training_data: str,
    frame: Frame,
    border: int = 0,
    accuracy: Mapping[str, float] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> WeightsInfo:
    """The metadata of ``net``: what it knows itself, and what only its trainer knows."""
    return WeightsInfo(
        architecture=net.backbone.name,
        face_model=net.face_model.name,
        face_model_hash=net.face_model.hash,
        whitening=net.whitening,
        training_data=training_data,
        frame=frame,
        border=border,
        accuracy=accuracy or {},
        extra=extra or {},
    )


def save_checkpoint(
    path: str | Path, net: SynergyNet, info: WeightsInfo, *, half_weights: bool = False
) -> None:
    """Write ``net``'s trained tensors and ``info``; the file appears whole or not at all.

    The face model's arrays stay out; the metadata hold its hash. ``info`` comes from
    :func:`describe`; one that describes another network raises SynergyNetError.
    ``half_weights`` stores matrices and kernels as float16 for half the size; they are
    float32 again once read.
    """
    info.check_face_model(net.face_model, str(path))
    own = net.backbone.name
    if info.architecture != own or not np.array_equal(
        [info.whitening.mean, info.whitening.std], [net.whitening.mean, net.whitening.std]
    ):
        raise SynergyNetError(
            f"{path}: the metadata describe another network ({info.architecture}) than the one "
            f"to be saved ({own}) or another whitening; make them with describe(net, ...)."
        )
    write_safetensors_weights(path, network_weights(net, info, half=half_weights))


def load_checkpoint(
    path: str | Path, face_model: FaceModel, conventions: Conventions | None = None
) -> tuple[SynergyNet, WeightsInfo]:
    """Read a file of :func:`save_checkpoint` into a network in eval mode.

    Raises SynergyNetError if the file is missing, damaged, incomplete, or was trained with
    another face model.
    """
    weights = read_safetensors_weights(path)
    return trained_network(weights, face_model, conventions), weights.described()


def trained_network(
    weights: Weights,
    face_model: FaceModel,
    conventions: Conventions | None = None,
    *,
    dense: bool = False,
) -> SynergyNet:
    """A network in eval mode; MAFA and the landmark regressor exist in it if ``weights`` hold them.

    Nothing is left at random values. ``dense`` as for :class:`SynergyNet`.

    Raises SynergyNetError for another face model, or tensors missing, unknown or misshapen.
    """
    info = weights.described()
    info.check_face_model(face_model, weights.source)
    net = SynergyNet(
        build_backbone(info.architecture),
        face_model,
        info.whitening,
        conventions,
        dense=dense,
        regularisers=weights.regularisers,
    )
    return fill(net, weights).eval()


def network_weights(net: SynergyNet, info: WeightsInfo, *, half: bool = False) -> Weights:
    """The trained tensors of ``net`` (not its whitening and face model) and what they mean."""
    trained = {name: value.cpu() for name, value in net.state_dict().items() if "." in name}
    tensors = {name: np.asarray(value.numpy(), order="C") for name, value in trained.items()}
    return Weights("The network", tensors, info, half, face_model=net.face_model)
