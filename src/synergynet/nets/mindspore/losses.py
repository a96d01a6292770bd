"""The losses in MindSpore: the twins of ``nets/torch/losses.py``, where each is explained."""

import math
from collections.abc import Mapping

from mindspore import Tensor, nn, ops

from ...geometry.conventions import Conventions
from ...geometry.params import COEFFICIENTS, EXPRESSION, N_COEFFICIENTS, POSE, SHAPE
from ..loss_terms import (
    LOSS_NAMES,
    NEAR_GIMBAL,
    WING_EPSILON,
    WING_OMEGA,
    Z_WEIGHT,
    check_losses,
)

_WING_STEP = WING_OMEGA * math.log1p(WING_OMEGA / WING_EPSILON) - WING_OMEGA


def wing_loss(landmarks: Tensor, target: Tensor, z_weight: float = 1.0) -> Tensor:
    """Mean wing loss over (B, 3, K) landmarks in crop pixels; ``z_weight`` of z against x, y."""
    distance = ops.abs(landmarks - target)
    near = WING_OMEGA * ops.log1p(distance / WING_EPSILON)
    loss = ops.where(distance < WING_OMEGA, near, distance + _WING_STEP).mean((0, 2))
    return (loss[0] + loss[1] + loss[2] * z_weight) / (2.0 + z_weight)


def param_loss(params: Tensor, target: Tensor, sqrt_epsilon: float = 0.0) -> Tensor:
    """Mean over faces of sqrt(MSE of the 12 pose + MSE of the other 50), whitened (B, 62)."""
    squared = ops.square(params - target)
    pose, coefficients = squared[:, POSE].mean(1), squared[:, COEFFICIENTS].mean(1)
    return ops.sqrt(pose + coefficients + sqrt_epsilon).mean()


def coefficient_loss(coefficients: Tensor, target: Tensor, sqrt_epsilon: float = 0.0) -> Tensor:
    """Mean over faces of sqrt(MSE) of whitened shape and expression coefficients (B, 50)."""
    return ops.sqrt(ops.square(coefficients - target).mean(1) + sqrt_epsilon).mean()


def angle_loss(camera: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of pitch, yaw and roll between raw cameras (B, 12), in radians."""
    found, wanted = _euler(camera), _euler(target)
    errors = [ops.abs(ops.atan2(ops.sin(a - b), ops.cos(a - b))) for a, b in zip(found, wanted)]  # noqa: B905
    trust = ops.minimum(ops.stop_gradient(ops.cos(found[1])) / NEAR_GIMBAL, Tensor(1.0))
    return ((errors[0] + errors[2]) * trust + errors[1]).mean() / 3


def _euler(camera: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 12) -> pitch, yaw and roll (B,) in radians; the convention of ``pose.euler_exact``."""
    right, up = _direction(camera[:, 0:3]), _direction(camera[:, 4:7])
    front = right[:, 0] * up[:, 1] - right[:, 1] * up[:, 0]
    across = ops.sqrt(ops.square(right[:, 0]) + ops.square(right[:, 1]) + 1e-12)
    pitch = ops.atan2(up[:, 2], front)
    yaw = ops.atan2(-right[:, 2], across)
    roll = ops.atan2(right[:, 1], right[:, 0])
    return pitch, yaw, roll


def _direction(rows: Tensor) -> Tensor:
    return rows / ops.sqrt(ops.square(rows).sum(1, keepdims=True))


class SynergyLosses(nn.Cell):
    """Weighted losses, whose sum is what training minimises.

    Attributes:
        names: of the losses that are computed, in the order of the answers.

    Raises:
        SynergyNetError: a name that is not a loss.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        conventions: Conventions,
        z_weight: float = Z_WEIGHT,
    ) -> None:
        super().__init__()
        check_losses(weights)
        self.names = tuple(name for name in LOSS_NAMES if weights.get(name, 0.0) != 0.0)
        self.scales = tuple(float(weights[name]) for name in self.names)
        self.z_weight, self.sqrt_epsilon = z_weight, conventions.sqrt_epsilon
        first = conventions.regressor_slice == "first50"
        self.regressed = slice(0, N_COEFFICIENTS) if first else COEFFICIENTS

    def construct(
        self,
        params: Tensor,
        landmarks: Tensor,
        target_params: Tensor,
        target_landmarks: Tensor,
        refined: Tensor,
        regressed: Tensor,
        camera: Tensor,
        target_camera: Tensor,
    ) -> tuple[Tensor, ...]:
        """Scalars by :attr:`names`.

        Args:
            params: (B, 62) whitened prediction of the backbone.
            landmarks: (B, 3, 68) decoded from ``params``, crop1 frame.
            target_params: (B, 62) whitened.
            target_landmarks: (B, 3, 68), crop1 frame.
            refined: (B, 3, 68) MAFA's landmarks; anything if no term needs them.
            regressed: (B, 62) the regressor's answer; anything if no term needs it.
            camera: (B, 12) raw, of ``params``.
            target_camera: (B, 12) raw, of ``target_params``.
        """
        out = []
        for name, scale in zip(self.names, self.scales):  # noqa: B905  (graph mode knows no strict)
            if name == "loss_LMK_f0":
                term = wing_loss(landmarks, target_landmarks)
            elif name == "loss_LMK_pointNet":
                term = wing_loss(refined, target_landmarks)
            elif name == "loss_Param_In":
                term = param_loss(params, target_params, self.sqrt_epsilon)
            elif name == "loss_Param_S2":
                q, target = regressed[:, self.regressed], target_params[:, COEFFICIENTS]
                term = coefficient_loss(q, target, self.sqrt_epsilon)
            elif name == "loss_Param_S1S2":
                q, target = regressed[:, self.regressed], params[:, COEFFICIENTS]
                term = coefficient_loss(q, target, self.sqrt_epsilon)
            elif name == "loss_pose":
                term = ops.square(params[:, POSE] - target_params[:, POSE]).mean()
            elif name == "loss_shape":
                term = ops.square(params[:, SHAPE] - target_params[:, SHAPE]).mean()
            elif name == "loss_expression":
                term = ops.square(params[:, EXPRESSION] - target_params[:, EXPRESSION]).mean()
            elif name == "loss_landmarks":
                term = wing_loss(landmarks, target_landmarks, self.z_weight)
            else:
                term = angle_loss(camera, target_camera)
            out.append(scale * term)
        return tuple(out)
