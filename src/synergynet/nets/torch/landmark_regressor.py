"""The landmark-to-3DMM regressor (official name MLP_rev): refined landmarks back to 62 numbers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.params import N_EXPRESSION, N_POSE, N_SHAPE
from ...weights.architectures import GLOBAL_FEATURES
from .kernels import exact_point_layer, exactly, point_layer, point_rows, pooled_point_layer


class LandmarkRegressor(nn.Module):
    """PointNet over 68 landmarks with three heads; 215,354 parameters.

    Args:
        final_relu: keep the official ReLU after the heads, which confines the whitened
            parameters to values >= 0.
    """

    def __init__(self, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, 64, 1)
        self.conv3 = nn.Conv1d(64, 64, 1)
        self.conv4 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(128, GLOBAL_FEATURES, 1)
        self.conv6_1 = nn.Conv1d(GLOBAL_FEATURES, N_POSE, 1)
        self.conv6_2 = nn.Conv1d(GLOBAL_FEATURES, N_SHAPE, 1)
        self.conv6_3 = nn.Conv1d(GLOBAL_FEATURES, N_EXPRESSION, 1)
        self.bn1 = nn.BatchNorm1d(64)
        self.bn2 = nn.BatchNorm1d(64)
        self.bn3 = nn.BatchNorm1d(64)
        self.bn4 = nn.BatchNorm1d(128)
        self.bn5 = nn.BatchNorm1d(GLOBAL_FEATURES)
        self.bn6_1 = nn.BatchNorm1d(N_POSE)
        self.bn6_2 = nn.BatchNorm1d(N_SHAPE)
        self.bn6_3 = nn.BatchNorm1d(N_EXPRESSION)

    def forward(self, landmarks: Tensor) -> Tensor:
        """(B, 3, 68) refined landmarks in the crop1 frame -> (B, 62) whitened [pose | shape | exp].

        Trained with the official slice (``Conventions.regressor_slice == "first50"``) the
        outputs do not mean that: see :func:`synergynet.nets.torch.losses.regressed_coefficients`.
        """
        x = F.relu(exact_point_layer(point_rows(landmarks), self.conv1, self.bn1), inplace=True)
        x = F.relu(point_layer(x, self.conv2, self.bn2), inplace=True)
        x = F.relu(point_layer(x, self.conv3, self.bn3), inplace=True)
        x = F.relu(point_layer(x, self.conv4, self.bn4), inplace=True)
        x = pooled_point_layer(x, self.conv5, self.bn5).float()
        heads = (
            (self.conv6_1, self.bn6_1),  # pose
            (self.conv6_2, self.bn6_2),  # shape
            (self.conv6_3, self.bn6_3),  # expression
        )
        with exactly(x.device):
            params = torch.cat([n(F.linear(x, c.weight[..., 0], c.bias)) for c, n in heads], dim=1)
        return F.relu(params) if self.final_relu else params
