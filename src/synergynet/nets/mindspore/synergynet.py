"""SynergyNet in MindSpore: the twin of ``nets/torch/synergynet.py``, answers included."""

from collections.abc import Mapping

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.conventions import Conventions
from ...geometry.frames import CROP_FLIP
from ...geometry.params import EXPRESSION, POSE, SHAPE, Whitening
from ...weights.architectures import COUNTER, FEATURE_DIM, RESIDUAL_SCALE
from ...weights.names import mindspore_names, to_mindspore, to_torch
from ...weights.official import face_buffers
from ...weights.tensors import Arrays, Weights
from ..loss_terms import MAFA_TERMS, OFFICIAL_WEIGHTS, REGRESSOR_TERMS, Z_WEIGHT, needs
from .backbones import ImageToParams
from .losses import SynergyLosses
from .pointnets import MAFA, LandmarkRegressor


class SynergyNet(nn.Cell):
    """Image -> 3DMM parameters -> landmarks -> refined landmarks -> parameters again.

    Args:
        architecture: ``mobilenet_v2`` or ``efficientnet_lite0``.
        face_model: whose landmarks the parameters decode to.
        whitening: of the parameters that the backbone answers in.
        conventions: mended (default) or official behaviour of regularisers and losses.
        regularisers: without them, losses that need MAFA or the regressor cannot be computed.

    Raises:
        SynergyNetError: the architecture does not exist in MindSpore.
    """

    def __init__(
        self,
        architecture: str,
        face_model: FaceModel,
        whitening: Whitening,
        conventions: Conventions | None = None,
        *,
        regularisers: bool = True,
    ) -> None:
        super().__init__()
        self.architecture, self.regularisers = architecture, regularisers
        self.conventions = conventions or Conventions.exact()
        self.face_model = face_model
        # Constants of the graph: as in the published port, no parameters of a .ckpt.
        self.set_whitening(whitening)
        buffers = face_buffers(face_model, dense=False).values()
        self._points, self._identity, self._expression = map(Tensor, buffers)
        self.I2P = ImageToParams(architecture)
        if regularisers:
            self.forwardDirection = MAFA(FEATURE_DIM, self.conventions.mafa_final_relu)
            self.reverseDirection = LandmarkRegressor(self.conventions.regressor_final_relu)

    def set_whitening(self, whitening: Whitening) -> None:
        """Before the network is run for the first time."""
        self.whitening = whitening
        self._mean, self._std = Tensor(whitening.mean), Tensor(whitening.std)

    def construct(self, images: Tensor) -> Tensor:
        """The deployed graph: normalised crops (B, 3, 120, 120) -> whitened params (B, 62)."""
        params, _ = self.I2P(images)
        return params

    def dewhiten(self, params: Tensor) -> Tensor:
        """Whitened (B, 62) -> raw (B, 62)."""
        return params * self._std + self._mean

    def landmarks(self, params: Tensor) -> Tensor:
        """Whitened params (B, 62) -> landmarks (B, 3, 68), crop1 frame (1-based, y down)."""
        return decode_points(self.dewhiten(params), self._points, self._identity, self._expression)

    def refine(self, params: Tensor, landmarks: Tensor, feature: Tensor) -> Tensor:
        """Params (B, 62), their landmarks (B, 3, 68), features (B, F) -> MAFA's landmarks."""
        shape, expression = params[:, SHAPE], params[:, EXPRESSION]
        residual = self.forwardDirection(landmarks, feature, shape, expression)
        return landmarks + RESIDUAL_SCALE * residual


class Objective(nn.Cell):
    """Batch -> weighted losses; parts of the network that no term needs are not run.

    Args:
        net: the network, which is trained in place.
        weights: loss name -> weight.
        z_weight: weight of z in ``loss_landmarks``.

    Attributes:
        names: of the losses, in the order of the answers.

    Raises:
        SynergyNetError: a name that is not a loss, or a network without the needed parts.
    """

    def __init__(
        self,
        net: SynergyNet,
        weights: Mapping[str, float] = OFFICIAL_WEIGHTS,
        z_weight: float = Z_WEIGHT,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.net = net
        self.losses = SynergyLosses(weights, net.conventions, z_weight)
        self.names = self.losses.names
        self.refines = needs(MAFA_TERMS, weights)
        self.regresses = needs(REGRESSOR_TERMS, weights)
        if self.refines and not net.regularisers:
            raise SynergyNetError("these losses need MAFA, but the network has no regularisers")

    def construct(
        self,
        images: Tensor,
        target_params: Tensor,
        target_landmarks: Tensor,
        dropout: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Normalised (B, 3, 120, 120), whitened (B, 62), crop1 (B, 3, 68) -> scalars.

        ``dropout``: (3, B, F) factors of the features before each head.
        """
        params, feature = self.net.I2P(images, dropout)
        landmarks = self.net.landmarks(params)
        refined, regressed = landmarks, params
        if self.refines:
            refined = self.net.refine(params, landmarks, feature)
        if self.regresses:
            regressed = self.net.reverseDirection(refined)
        return self.losses(
            params,
            landmarks,
            target_params,
            target_landmarks,
            refined,
            regressed,
            self.net.dewhiten(params)[:, POSE],
            self.net.dewhiten(target_params)[:, POSE],
        )


def trained_backbone(weights: Weights) -> ImageToParams:
    """The deployed part of a network, not in training mode.

    Raises SynergyNetError if any of its tensors is missing.
    """
    network = ImageToParams(weights.described().architecture)
    load_tensors(network, weights.tensors, "I2P.")
    network.set_train(False)
    return network


def load_tensors(net: nn.Cell, tensors: Arrays, prefix: str = "") -> None:
    """Fill a network with NumPy arrays under PyTorch's names, bit for bit.

    Args:
        net: a :class:`SynergyNet`, or a part of it that is called ``prefix`` there.
        tensors: every parameter of ``net``; counters are passed over.
    """
    parameters = _parameters(net, prefix)
    shapes = {name: array.shape for name, array in tensors.items()}
    names = {ours: name for ours, name in mindspore_names(shapes).items() if name in parameters}
    if set(names.values()) != set(parameters):
        lost = sorted(set(parameters) - set(names.values()))
        raise SynergyNetError(f"these weights lack {len(lost)} tensors, {lost[0]} among them")
    for ours, name in names.items():
        parameters[name].set_data(Tensor(to_mindspore(ours, tensors[ours])))


def read_tensors(net: SynergyNet, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Inverse of :func:`load_tensors`; counters become 0.

    Args:
        net: the network.
        shapes: of :func:`~synergynet.weights.architectures.state_shapes`.
    """
    parameters, names = _parameters(net, ""), mindspore_names(shapes)
    return {
        name: np.zeros((), np.int64)
        if name.endswith(COUNTER)
        else to_torch(name, parameters[names[name]].asnumpy().copy())
        for name in shapes
    }


def _parameters(net: nn.Cell, prefix: str) -> dict[str, Parameter]:
    return {prefix + parameter.name: parameter for parameter in net.get_parameters()}


def decode_points(params: Tensor, mean: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
    """Raw params (B, 62) and a flat basis -> points (B, 3, K) in the crop1 frame."""
    camera = params[:, POSE].reshape(-1, 3, 4)
    offsets = ops.matmul(params[:, SHAPE], identity.T)
    offsets = offsets + ops.matmul(params[:, EXPRESSION], expression.T)
    points = (mean.T + offsets).reshape(params.shape[0], -1, 3).swapaxes(1, 2)
    seen = ops.matmul(camera[:, :, :3], points) + camera[:, :, 3:]
    return ops.stack((seen[:, 0], CROP_FLIP - seen[:, 1], seen[:, 2]), axis=1)
