"""Parameters to points in MindSpore: the twin of ``nets/torch/decode.py``."""

from __future__ import annotations

from mindspore import Tensor, ops

from ...geometry.frames import CROP_FLIP
from ...geometry.params import EXPRESSION, POSE, SHAPE


def decode_points(params: Tensor, mean: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
    """Raw params (B, 62) and a flat basis -> points (B, 3, K) in the crop1 frame.

    Args:
        params: (B, 62) raw (dewhitened) parameters.
        mean: (3K, 1), interleaved x0, y0, z0, x1, ... in the face model's unit.
        identity: (3K, 40) in the same layout.
        expression: (3K, 10) in the same layout.
    """
    camera = params[:, POSE].reshape(-1, 3, 4)
    offsets = ops.matmul(params[:, SHAPE], identity.T)
    offsets = offsets + ops.matmul(params[:, EXPRESSION], expression.T)
    points = (mean.T + offsets).reshape(params.shape[0], -1, 3).swapaxes(1, 2)
    seen = ops.matmul(camera[:, :, :3], points) + camera[:, :, 3:]
    return ops.stack((seen[:, 0], CROP_FLIP - seen[:, 1], seen[:, 2]), axis=1)
