"""What is exported: the parameters alone, or everything from the pixels to the mesh, as a module.

Both are written, compared and described through :class:`Deployment`, whatever the format.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..face_model.ict import ICT_NAME
from ..face_model.model import FaceModel
from ..face_model.official import OFFICIAL_NAME
from ..face_model.open_head import OPEN_HEAD_NAME
from ..geometry.crops import zero_border
from ..geometry.frames import CROP_FLIP
from ..geometry.params import EXPRESSION, INPUT_MEAN, INPUT_SIZE, INPUT_STD, POSE, SHAPE
from ..geometry.pose import GIMBAL_COSINE
from ..nets.torch.blocks import ThreeHeadBackbone
from ..nets.torch.expected_error import AssessedBackbone, ExpectedError
from ..nets.torch.synergynet import SynergyNet
from ..regression.base import EXPECTED_NME, normalise
from ..weights.info import WeightsInfo
from ..weights.official import flat_basis

Precision = Literal["float32", "float16", "int8"]
"""Of the weights: ``float16`` computes in float32, ``int8`` the backbone in 8 bits."""

CROPS = "crops"
PARAMS = "params"
WHOLE_OUTPUTS = (PARAMS, "landmarks", "vertices", "rotation", "yaw_pitch_roll")

LICENCES = {
    OPEN_HEAD_NAME: "CC0-1.0 (Open Head): may be redistributed",
    ICT_NAME: "MIT (ICT-FaceKit, USC Institute for Creative Technologies): keep its notice",
    OFFICIAL_NAME: "Basel Face Model: non-commercial research only; a file that contains it may "
    "NOT be redistributed",
}
_LICENCE_UNKNOWN = "unknown: ask whoever made the face model before passing this file on"

_FRAME = (
    "0-based pixel centres of the 120x120 crop: x right, y down; z toward the viewer in the same "
    "pixels, arbitrary origin. In a photo whose square [left, left + side) x [top, top + side) "
    "(pixel edges) was resized to the crop: X = left + (x + 0.5) * side / 120, likewise Y with "
    "top, Z = z * side / 120"
)
_EULER = (
    "degrees, in this order: yaw, pitch, roll; R = Rx(pitch) Ry(yaw) Rz(roll) with "
    "Rx = [1 0 0; 0 c s; 0 -s c], Ry = [c 0 -s; 0 1 0; s 0 c], Rz = [c s 0; -s c 0; 0 0 1]; "
    "positive yaw turns the face to the left edge of the picture, positive pitch looks up, "
    "positive roll tilts the head clockwise"
)


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network made ready to be written.

    Attributes:
        module: in eval mode; one input, a tuple of outputs.
        outputs: their names.
        info: of the weights.
        whole: uint8 crops in and everything out, or normalised crops in and parameters out.
        face_model: inside the module; None without ``whole``.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    info: WeightsInfo
    face_model: FaceModel | None

    @property
    def whole(self) -> bool:
        return self.face_model is not None

    def inputs(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, 120, 120, 3) uint8 BGR crops -> what the module is fed."""
        if self.whole:
            return np.ascontiguousarray(crops)
        return normalise(zero_border(crops, self.info.border), self.info.channel_order)

    def example(self, batch: int = 2) -> Tensor:
        """An input to trace with."""
        crops = np.random.default_rng(0).integers(0, 256, (batch, INPUT_SIZE, INPUT_SIZE, 3))
        return torch.from_numpy(self.inputs(crops.astype(np.uint8)))

    @property
    def licence(self) -> str:
        """Of the face model inside, or an empty text."""
        if self.face_model is None:
            return ""
        return LICENCES.get(self.face_model.name, _LICENCE_UNKNOWN)

    def metadata(self, precision: Precision, *, dynamic: str = "N") -> dict[str, str]:
        """Strings for the file: ``WeightsInfo`` (the model card's facts) and the interface."""
        values: dict[str, Any] = {
            "graph": "whole" if self.whole else "params",
            "precision": precision,
            "producer": f"synergynet {_version()}",
            "interface": self._interface(dynamic),
        }
        if self.whole:
            values["face_model_licence"] = self.licence
        return self.info.to_metadata() | {k: json.dumps(v) for k, v in values.items()}

    def _interface(self, batch: str) -> Mapping[str, Mapping[str, Any]]:
        """Name -> shape, type, unit and frame of the input and of each output."""
        size, order, border = INPUT_SIZE, self.info.channel_order, self.info.border
        edge = f"; set the outer {border} pixels of the uint8 crop to 0 first" if border else ""
        plain = {
            CROPS: _port(
                [batch, 3, size, size],
                f"{order} crop, (value - {INPUT_MEAN}) / {INPUT_STD:g}{edge}",
            ),
            PARAMS: _port(
                [batch, 62],
                "whitened: 12 camera (3x4, row-major), 40 identity, 10 expression; "
                "raw = whitened * std + mean with the field 'whitening'",
            ),
        }
        expected = _port([batch], "percent of the face's size: how far off the landmarks may be")
        if self.face_model is None:
            return plain | ({EXPECTED_NME: expected} if EXPECTED_NME in self.outputs else {})
        n = self.face_model.n_vertices
        ports = {
            CROPS: _port([batch, size, size, 3], "BGR pixels as OpenCV reads them", "uint8"),
            PARAMS: _port(
                [batch, 62], "raw: 12 camera [sR | t] (3x4, row-major), 40 identity, 10 expression"
            ),
            "landmarks": _port([batch, 68, 3], f"3D, iBUG 68 order; {_FRAME}"),
            "vertices": _port([batch, n, 3], f"3D mesh of '{self.face_model.name}'; {_FRAME}"),
            "rotation": _port(
                [batch, 3, 3],
                "face model (x to the subject's left, y up, z out of the face) -> camera "
                "(x right, y up, z toward the viewer)",
            ),
            "yaw_pitch_roll": _port([batch, 3], _EULER),
            EXPECTED_NME: expected,
        }
        return {name: ports[name] for name in (CROPS, *self.outputs)}


def deployment(net: SynergyNet, info: WeightsInfo, *, whole: bool = False) -> Deployment:
    """What of ``net`` is deployed; see :func:`backbone_deployment`."""
    return backbone_deployment(net.backbone, info, net.face_model if whole else None)


def backbone_deployment(
    backbone: ThreeHeadBackbone, info: WeightsInfo, face_model: FaceModel | None = None
) -> Deployment:
    """A network's deployed part; MAFA and the landmark regressor are not.

    Args:
        backbone: the trained part.
        info: of its weights.
        face_model: also normalise, dewhiten and decode, with this face model inside.
    """
    head = info.error_head
    module: nn.Module
    outputs: tuple[str, ...]
    if face_model is not None:
        module, outputs = WholeFace(backbone, info, face_model), WHOLE_OUTPUTS
    elif head is not None:
        module, outputs = AssessedBackbone(backbone, head), (PARAMS,)
    else:
        module, outputs = ParamsOnly(backbone), (PARAMS,)
    outputs += () if head is None else (EXPECTED_NME,)
    return Deployment(module.eval(), outputs, info, face_model)


class ParamsOnly(nn.Module):
    """The deployed graph of weights without an error head."""

    def __init__(self, backbone: ThreeHeadBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 3, 120, 120) -> whitened params (B, 62)."""
        return (self.backbone(images)[0],)


class WholeFace(nn.Module):
    """Pixels to mesh in one graph: normalisation, backbone, dewhitening, face model, pose."""

    def __init__(self, backbone: ThreeHeadBackbone, info: WeightsInfo, model: FaceModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.expected_error = None if info.error_head is None else ExpectedError(info.error_head)
        self.reverse_channels = info.channel_order == "RGB"
        # To 0-based pixels of the crop. ``pixel`` answers are those, counted from 1; ``protocol``
        # ones run from 0 to 120 between the first and the last pixel centre of the box
        # (``frames.x120_to_photo1``).
        pixel = info.frame == "pixel"
        self.scale = 1.0 if pixel else (INPUT_SIZE - 1) / INPUT_SIZE
        self.offset = -1.0 if pixel else 0.0
        arrays = {
            "param_mean": info.whitening.mean,
            "param_std": info.whitening.std,
            "landmark_mean": model.landmark_mean,
            "landmark_identity": flat_basis(model.landmark_identity).T,
            "landmark_expression": flat_basis(model.landmark_expression).T,
            "dense_mean": model.mean,
            "dense_identity": flat_basis(model.identity_basis).T,
            "dense_expression": flat_basis(model.expression_basis).T,
        }
        self.has_border = info.border > 0
        if self.has_border:
            ones = np.ones((1, INPUT_SIZE, INPUT_SIZE, 1), np.uint8)
            arrays["border"] = zero_border(ones, info.border).astype(np.float32)
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.array(array, order="C")))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 120, 120, 3) uint8 BGR -> the tensors that ``Deployment.outputs`` names."""
        held = dict(self.named_buffers(recurse=False))
        pixels = crops.to(torch.float32)
        if self.has_border:
            pixels = pixels * held["border"]
        if self.reverse_channels:
            pixels = pixels[..., [2, 1, 0]]
        planes = (pixels.permute(0, 3, 1, 2) - INPUT_MEAN) / INPUT_STD
        whitened, pooled = self.backbone(planes)
        raw = whitened * held["param_std"] + held["param_mean"]
        camera = raw[:, POSE].reshape(-1, 3, 4)
        rotation = nearest_rotation(camera)
        answers = (
            raw,
            self._decode(raw, camera, "landmark"),
            self._decode(raw, camera, "dense"),
            rotation,
            yaw_pitch_roll(rotation),
        )
        if self.expected_error is None:
            return answers
        return (*answers, self.expected_error(pooled))

    def _decode(self, raw: Tensor, camera: Tensor, part: str) -> Tensor:
        """Raw params (B, 62) -> (B, n, 3) 0-based pixels of the crop, y down.

        The twin of ``FaceModel.decode_vertices``, in the shape that is answered in, and without a
        batch size that a tracer would take for a constant.
        """
        held = dict(self.named_buffers(recurse=False))
        mean = held[f"{part}_mean"]
        identity, expression = held[f"{part}_identity"], held[f"{part}_expression"]
        offsets = raw[:, SHAPE] @ identity + raw[:, EXPRESSION] @ expression
        points = mean + offsets.reshape(-1, mean.shape[0], 3)
        moved = points @ camera[:, :, :3].transpose(1, 2) + camera[:, :, 3].unsqueeze(1)
        x, y, z = moved.unbind(2)
        first, scale = self.offset, self.scale
        return torch.stack([x * scale + first, (CROP_FLIP - y) * scale + first, z * scale], dim=2)


def nearest_rotation(camera: Tensor) -> Tensor:
    """``P`` (B, 3, 4) -> (B, 3, 3): the twin of ``pose.decompose_exact`` without an SVD.

    The polar factor of two unit rows and their cross product has a closed form: the rows'
    sum and difference are at right angles already and keep their directions.
    """
    first = _unit(camera[:, 0, :3])
    second = _unit(camera[:, 1, :3])
    along, across = _unit(first + second), _unit(first - second)
    x, y = (along + across) * 0.5**0.5, (along - across) * 0.5**0.5
    return torch.stack([x, y, _cross(x, y)], dim=1)


def _unit(rows: Tensor) -> Tensor:
    return rows / torch.clamp((rows * rows).sum(dim=1, keepdim=True).sqrt(), min=1e-20)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """(B, 3) x (B, 3); written out, because not every format knows a cross product."""
    (a0, a1, a2), (b0, b1, b2) = a.unbind(1), b.unbind(1)
    return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim=1)


def yaw_pitch_roll(rotation: Tensor) -> Tensor:
    """Rotations (B, 3, 3) -> (B, 3) degrees: the twin of ``pose.euler_exact``, yaw first."""
    r = rotation
    yaw = torch.asin(torch.clamp(-r[:, 0, 2], -1.0, 1.0))
    locked = (r[:, 0, 0] ** 2 + r[:, 0, 1] ** 2) < GIMBAL_COSINE**2
    pitch = torch.where(
        locked, torch.atan2(-r[:, 2, 1], r[:, 1, 1]), torch.atan2(r[:, 1, 2], r[:, 2, 2])
    )
    roll = torch.where(locked, torch.zeros_like(yaw), torch.atan2(r[:, 0, 1], r[:, 0, 0]))
    return torch.stack([yaw, pitch, roll], dim=1) * (180 / torch.pi)


def _port(shape: list[Any], meaning: str, kind: str = "float32") -> dict[str, Any]:
    return {"shape": shape, "type": kind, "meaning": meaning}


def _version() -> str:
    try:
        return version("synergynet")
    except PackageNotFoundError:
        return "(not installed)"
