"""The losses of SynergyNet and those of the shipped recipe: pure functions on tensors.

SynergyNet's five terms (section 3 of the paper, official ``loss_definition.py``) carry the
official names and order; the shipped recipe adds five: mean squared errors of the whitened
pose, shape and expression, a wing loss that trusts z less than x and y, and the mean absolute
error of yaw, pitch and roll.

Two bugs of the official code are mended by default and reproduced under
``Conventions.official()``: the regressor's outputs are compared off by 12, and the square
root has a NaN gradient at zero error.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ...geometry.conventions import Conventions
from ...geometry.params import COEFFICIENTS, EXPRESSION, N_COEFFICIENTS, POSE, SHAPE
from ..loss_terms import NEAR_GIMBAL, WING_EPSILON, WING_OMEGA, Z_WEIGHT, check_losses


def wing_loss(
    landmarks: Tensor,
    target: Tensor,
    z_weight: float = 1.0,
    omega: float = WING_OMEGA,
    epsilon: float = WING_EPSILON,
) -> Tensor:
    """Mean wing loss over all coordinates of (B, 3, K) landmarks, in crop pixels.

    ``omega ln(1 + d / epsilon)`` below ``d = omega``, ``d - C`` above (Feng et al. 2018).
    ``z_weight`` weighs the z coordinate in the mean against 1 for x and y.
    """
    distance = (landmarks - target).abs()
    offset = omega - omega * torch.log1p(distance.new_tensor(omega / epsilon))
    near = omega * torch.log1p(distance / epsilon)
    loss = torch.where(distance < omega, near, distance - offset).mean(dim=(0, 2))
    if z_weight == 1.0:
        return loss.mean()
    weights = loss.new_tensor([1.0, 1.0, z_weight])
    return (loss * weights).sum() / weights.sum()


def param_loss(params: Tensor, target: Tensor, sqrt_epsilon: float = 0.0) -> Tensor:
    """Mean over faces of sqrt(MSE of the 12 pose + MSE of the other 50), whitened (B, 62)."""
    squared = (params - target) ** 2
    pose, coefficients = squared[:, POSE].mean(dim=1), squared[:, COEFFICIENTS].mean(dim=1)
    return torch.sqrt(pose + coefficients + sqrt_epsilon).mean()


def coefficient_loss(coefficients: Tensor, target: Tensor, sqrt_epsilon: float = 0.0) -> Tensor:
    """Mean over faces of sqrt(MSE) of whitened shape and expression coefficients (B, 50)."""
    return torch.sqrt(((coefficients - target) ** 2).mean(dim=1) + sqrt_epsilon).mean()


def angle_loss(camera: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of pitch, yaw and roll between cameras (B, 12), in radians.

    What a squared error of the matrix is not: near yaw = 90 degrees, where small errors of the
    rotation are large ones of pitch and roll, it is least for their median. There the weight of
    these two falls with cos(yaw), which bounds the gradient.
    """
    found, wanted = _euler(camera), _euler(target)
    error = found - wanted
    wrapped = torch.atan2(torch.sin(error), torch.cos(error)).abs()
    trust = (torch.cos(found[:, 1]).detach() / NEAR_GIMBAL).clamp(max=1.0)
    return ((wrapped[:, 0] + wrapped[:, 2]) * trust + wrapped[:, 1]).mean() / 3


def _euler(camera: Tensor) -> Tensor:
    """(B, 12) -> (B, 3) pitch, yaw, roll in radians; the convention of ``pose.euler_exact``."""
    rows = torch.nn.functional.normalize(camera.reshape(-1, 3, 4)[:, :2, :3], dim=2)
    right, up = rows.unbind(1)
    front = torch.linalg.cross(right, up)
    pitch = torch.atan2(up[:, 2], front[:, 2])
    across = torch.sqrt(right[:, 0] ** 2 + right[:, 1] ** 2 + 1e-12)
    yaw = torch.atan2(-right[:, 2], across)
    roll = torch.atan2(right[:, 1], right[:, 0])
    return torch.stack([pitch, yaw, roll], dim=1)


def regressed_coefficients(regressed: Tensor, conventions: Conventions) -> Tensor:
    """The 50 of the regressor's outputs (B, 62) that are compared with shape and expression.

    The official code takes the first 50, so its pose head learns shape coefficients and
    channels 50 to 61 learn nothing.
    """
    if conventions.regressor_slice == "first50":
        return regressed[:, :N_COEFFICIENTS]
    return regressed[:, COEFFICIENTS]


def synergy_losses(
    weights: Mapping[str, float],
    *,
    params: Tensor,
    landmarks: Tensor,
    target_params: Tensor,
    target_landmarks: Tensor,
    refined: Tensor | None = None,
    regressed: Tensor | None = None,
    cameras: tuple[Tensor, Tensor] | None = None,
    conventions: Conventions,
    z_weight: float = Z_WEIGHT,
) -> dict[str, Tensor]:
    """Weighted losses by name; their sum is what training minimises.

    Args:
        weights: name -> weight; a term of weight 0 (or without an entry) is not computed.
        params: (B, 62) whitened prediction of the backbone.
        landmarks: (B, 3, 68) decoded from ``params``, crop1 frame.
        target_params: (B, 62) whitened.
        target_landmarks: (B, 3, 68), crop1 frame.
        refined: (B, 3, 68) MAFA's landmarks; needed by ``MAFA_TERMS``.
        regressed: (B, 62) the regressor's answer; needed by ``REGRESSOR_TERMS``.
        cameras: raw (B, 12) of ``params`` and of ``target_params``; needed by ``loss_angles``.
        conventions: which slice and square root.
        z_weight: weight of z in ``loss_landmarks``; the official terms weigh all axes alike.

    Raises SynergyNetError for a name that is not a loss.
    """
    eps = conventions.sqrt_epsilon

    def mse(part: slice) -> Tensor:
        return ((params[:, part] - target_params[:, part]) ** 2).mean()

    def regressor_loss(target: Tensor) -> Tensor:
        assert regressed is not None
        q = regressed_coefficients(regressed, conventions)
        return coefficient_loss(q, target[:, COEFFICIENTS], eps)

    def refined_loss() -> Tensor:
        assert refined is not None
        return wing_loss(refined, target_landmarks)

    def angles() -> Tensor:
        assert cameras is not None
        return angle_loss(*cameras)

    terms: dict[str, Callable[[], Tensor]] = {
        "loss_LMK_f0": lambda: wing_loss(landmarks, target_landmarks),
        "loss_LMK_pointNet": refined_loss,
        "loss_Param_In": lambda: param_loss(params, target_params, eps),
        "loss_Param_S2": lambda: regressor_loss(target_params),
        "loss_Param_S1S2": lambda: regressor_loss(params),
        "loss_pose": lambda: mse(POSE),
        "loss_shape": lambda: mse(SHAPE),
        "loss_expression": lambda: mse(EXPRESSION),
        "loss_landmarks": lambda: wing_loss(landmarks, target_landmarks, z_weight),
        "loss_angles": angles,
    }
    check_losses(weights)
    used = [name for name in terms if weights.get(name, 0.0) != 0.0]
    return {name: weights[name] * terms[name]() for name in used}
