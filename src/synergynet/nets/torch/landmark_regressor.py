"""The landmark-to-3DMM regressor (official name MLP_rev): refined landmarks back to 62 numbers."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ...weights.architectures import regressor_layers
from .kernels import (
    exact_point_layer,
    exactly,
    point_layer,
    point_rows,
    pooled_point_layer,
)
from .mafa import PointNet


class LandmarkRegressor(PointNet):
    """PointNet over 68 landmarks with three heads; 215,354 parameters.

    Args:
        final_relu: keep the official ReLU after the heads, which confines the whitened
            parameters to values >= 0.
    """

    def __init__(self, final_relu: bool = False) -> None:
        super().__init__(regressor_layers())
        self.final_relu = final_relu

    def forward(self, landmarks: Tensor) -> Tensor:
        """(B, 3, 68) refined landmarks in the crop1 frame -> (B, 62) whitened [pose | shape | exp].

        Trained with the official slice (``Conventions.regressor_slice == "first50"``) the
        outputs do not mean that: see :func:`synergynet.nets.torch.losses.regressed_coefficients`.
        """
        x = F.relu(exact_point_layer(point_rows(landmarks), *self.layer("1")), inplace=True)
        x = F.relu(point_layer(x, *self.layer("2")), inplace=True)
        x = F.relu(point_layer(x, *self.layer("3")), inplace=True)
        x = F.relu(point_layer(x, *self.layer("4")), inplace=True)
        x = pooled_point_layer(x, *self.layer("5")).float()
        heads = [self.layer(name) for name in ("6_1", "6_2", "6_3")]  # pose, shape, expression
        with exactly(x.device):
            params = torch.cat([n(F.linear(x, c.weight[..., 0], c.bias)) for c, n in heads], dim=1)
        return F.relu(params) if self.final_relu else params
