"""Our checkpoints: safetensors whose metadata say which face model and frame they belong to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...files.whole_file import whole_file
from ...geometry.conventions import Conventions
from ...weights.info import Frame, WeightsInfo
from .backbones import build_backbone
from .synergynet import SynergyNet

MAX_BYTES = 1 << 30  # the largest official backbone with the Basel Face Model needs half of it


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
    target = Path(path)
    info.check_face_model(net.face_model, str(target))
    own = net.backbone.name
    if info.architecture != own or not np.array_equal(
        [info.whitening.mean, info.whitening.std], [net.whitening.mean, net.whitening.std]
    ):
        raise SynergyNetError(
            f"{target}: the metadata describe another network ({info.architecture}) than the one "
            f"to be saved ({own}) or another whitening; make them with describe(net, ...)."
        )
    tensors = {key: value.cpu().contiguous() for key, value in _trained(net).items()}
    if half_weights:
        tensors = {k: v.half() if _halves(v) else v for k, v in tensors.items()}
    data = safetensors.torch.save(tensors, info.to_metadata())
    with whole_file(target) as partial:
        partial.write_bytes(data)


def load_checkpoint(
    path: str | Path, face_model: FaceModel, conventions: Conventions | None = None
) -> tuple[SynergyNet, WeightsInfo]:
    """Read a file of :func:`save_checkpoint` into a network in eval mode.

    MAFA and the landmark regressor exist in the network if the file holds them; nothing
    is left at random values.

    Raises SynergyNetError if the file is missing, damaged, incomplete, or was trained with
    another face model.
    """
    source = Path(path)
    tensors, info = read_checkpoint(source)
    info.check_face_model(face_model, str(source))
    net = SynergyNet(
        build_backbone(info.architecture),
        face_model,
        info.whitening,
        conventions,
        regularisers=any(not key.startswith("I2P.") for key in tensors),
    )
    check_state(str(source), _trained(net), tensors)
    net.load_state_dict(tensors, strict=False)  # the face model's buffers are in place already
    return net.eval(), info


def read_checkpoint(source: Path) -> tuple[dict[str, Tensor], WeightsInfo]:
    """Tensors (float16 made float32) and metadata of a file of :func:`save_checkpoint`.

    Raises SynergyNetError if the file is missing, damaged, or not such a checkpoint.
    """
    check_size(source)
    try:
        with safetensors.safe_open(source, framework="pt") as opened:
            metadata = opened.metadata() or {}
        tensors = safetensors.torch.load_file(source)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise SynergyNetError(
            f"{source}: not a complete safetensors file ({error}); copy or download it again"
        ) from error
    whole = {k: v.float() if v.dtype == torch.float16 else v for k, v in tensors.items()}
    return whole, WeightsInfo.from_metadata(metadata, str(source))


def _halves(tensor: Tensor) -> bool:
    """Matrices and kernels; statistics and biases are small and keep their range."""
    return tensor.ndim > 1 and tensor.is_floating_point()


def _trained(net: SynergyNet) -> dict[str, Tensor]:
    """The state dict without the root's buffers (whitening and face model)."""
    return {key: value for key, value in net.state_dict().items() if "." in key}


def check_size(source: Path, limit: int = MAX_BYTES) -> None:
    """Raise SynergyNetError if ``source`` is not a file or larger than any checkpoint."""
    if not source.is_file():
        raise SynergyNetError(f"{source}: no such file; give the path of a checkpoint.")
    if source.stat().st_size > limit:
        raise SynergyNetError(
            f"{source} is larger than {limit >> 20} MiB and cannot be a SynergyNet checkpoint; "
            "give the path of another file."
        )


def check_state(source: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise SynergyNetError naming what is missing, unknown, or of another shape or dtype."""
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    misshapen = [
        f"{key} {_kind(found[key])} instead of {_kind(want)}"
        for key, want in expected.items()
        if key in found and (found[key].shape, found[key].dtype) != (want.shape, want.dtype)
    ]
    faults = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if keys
    ]
    if faults:
        raise SynergyNetError(
            f"{source} does not hold this network's weights ({'; '.join(faults)}); "
            "use a checkpoint of the same architecture."
        )


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
