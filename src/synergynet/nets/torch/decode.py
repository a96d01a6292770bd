"""Parameters to points in torch: the twin of the NumPy camera in ``face_model``."""

import torch
from torch import Tensor

from ...geometry.frames import CROP_FLIP
from ...geometry.params import EXPRESSION, POSE, SHAPE


def decode_points(params: Tensor, mean: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
    """Raw params (B, 62) and a flat basis -> points (B, 3, K) in the crop1 frame.

    ``v = P[:, :3] (mean + identity a + expression e) + P[:, 3]`` in the camera frame, then
    y is flipped (SynergyNet, section 3.1).

    Args:
        params: (B, 62) raw (dewhitened) parameters.
        mean: (3K, 1), interleaved x0, y0, z0, x1, ... in the face model's unit.
        identity: (3K, 40) in the same layout.
        expression: (3K, 10) in the same layout.
    """
    camera = params[:, POSE].reshape(-1, 3, 4)
    offsets = params[:, SHAPE] @ identity.T + params[:, EXPRESSION] @ expression.T
    points = (mean.T + offsets).reshape(len(params), -1, 3).transpose(1, 2)
    return camera_to_crop1(camera[:, :, :3] @ points + camera[:, :, 3:])


def camera_to_crop1(points: Tensor) -> Tensor:
    """(B, 3, K) camera frame (1-based pixels, y up) -> crop1 frame (y down); its own inverse."""
    x, y, z = points.unbind(1)
    return torch.stack([x, CROP_FLIP - y, z], dim=1)
