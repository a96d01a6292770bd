"""MAFA and the landmark-to-3DMM regressor as MindSpore cells: PointNets over 68 landmarks.

Points lie along the third axis of (B, C, 68, 1), so that 1x1 convolutions and ``BatchNorm2d``
act on them as PyTorch's ``Conv1d`` and ``BatchNorm1d`` do.
"""

import math

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Uniform

from ...weights.architectures import (
    FEATURE_DIM,
    POINT_FEATURES,
    Layer,
    mafa_layers,
    regressor_layers,
)
from .backbones import batch_norm


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """1x1 with a bias; both start as PyTorch starts them."""
    start = Uniform(1 / math.sqrt(inputs))
    return nn.Conv2d(inputs, outputs, 1, has_bias=True, weight_init=start, bias_init=start)


def add_layers(cell: nn.Cell, layers: tuple[Layer, ...]) -> None:
    """``conv1, bn1, ...`` out of a table of ``weights.architectures``."""
    for name, inputs, outputs in layers:
        setattr(cell, f"conv{name}", pointwise(inputs, outputs))
        setattr(cell, f"bn{name}", batch_norm(outputs))


class MAFA(nn.Cell):
    """Multi-attribute feature aggregation (official name MLP_for).

    Args:
        feature_dim: width F of the backbone's pooled features.
        final_relu: keep the official ReLU after the last layer.
    """

    def __init__(self, feature_dim: int = FEATURE_DIM, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        add_layers(self, mafa_layers(feature_dim))

    def construct(
        self, landmarks: Tensor, feature: Tensor, shape: Tensor, expression: Tensor
    ) -> Tensor:
        """Residual (B, 3, 68) in units of 1 / RESIDUAL_SCALE crop pixels.

        Args:
            landmarks: (B, 3, 68) coarse landmarks, crop1 frame (1-based pixels, y down).
            feature: (B, F) pooled image features.
            shape: (B, 40) whitened identity coefficients.
            expression: (B, 10) whitened expression coefficients.
        """
        x = ops.relu(self.bn1(self.conv1(landmarks.expand_dims(3))))
        points = ops.relu(self.bn2(self.conv2(x)))
        x = ops.relu(self.bn3(self.conv3(points)))
        x = ops.relu(self.bn4(self.conv4(x)))
        x = ops.relu(self.bn5(self.conv5(x)))
        codes = ops.cat((ops.amax(x, (2, 3)), feature, shape, expression), axis=1)
        x = ops.relu(self.bn6(self._aggregate(points, codes)))
        x = ops.relu(self.bn7(self.conv7(x)))
        x = ops.relu(self.bn8(self.conv8(x)))
        x = self.bn9(self.conv9(x)).squeeze(3)
        return ops.relu(x) if self.final_relu else x

    def _aggregate(self, points: Tensor, codes: Tensor) -> Tensor:
        """``conv6`` on [points (B, 64, 68, 1) | codes (B, C) for each point].

        The repeated part is multiplied once per face instead of once per point.
        """
        weight = self.conv6.weight[:, :, 0, 0]
        per_point = ops.matmul(weight[:, :POINT_FEATURES], points.squeeze(3))
        per_face = ops.matmul(codes, weight[:, POINT_FEATURES:].T) + self.conv6.bias
        return (per_point + per_face.expand_dims(2)).expand_dims(3)


class LandmarkRegressor(nn.Cell):
    """Refined landmarks back to 62 numbers (official name MLP_rev).

    Args:
        final_relu: keep the official ReLU after the heads.
    """

    def __init__(self, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        add_layers(self, regressor_layers())

    def construct(self, landmarks: Tensor) -> Tensor:
        """(B, 3, 68) refined landmarks, crop1 frame -> (B, 62) whitened [pose | shape | exp]."""
        x = ops.relu(self.bn1(self.conv1(landmarks.expand_dims(3))))
        x = ops.relu(self.bn2(self.conv2(x)))
        x = ops.relu(self.bn3(self.conv3(x)))
        x = ops.relu(self.bn4(self.conv4(x)))
        x = ops.relu(self.bn5(self.conv5(x)))
        x = ops.amax(x, (2, 3), True)
        pose = self.bn6_1(self.conv6_1(x))
        shape = self.bn6_2(self.conv6_2(x))
        expression = self.bn6_3(self.conv6_3(x))
        params = ops.cat((pose, shape, expression), axis=1).flatten(start_dim=1)
        return ops.relu(params) if self.final_relu else params
