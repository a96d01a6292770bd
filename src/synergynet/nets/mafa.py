"""MAFA, the landmark refiner (official name MLP_for): a PointNet over the coarse landmarks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..geometry.params import N_EXPRESSION, N_SHAPE

RESIDUAL_SCALE = 0.05  # refined landmarks = coarse + 0.05 * output (official model_building.py)
POINT_FEATURES = 64
GLOBAL_FEATURES = 1024


class MAFA(nn.Module):
    """Multi-attribute feature aggregation: landmark, image and 3DMM features per point.

    1,556,617 parameters with the paper's 1280-wide image feature.

    Args:
        feature_dim: width F of the backbone's pooled features.
        final_relu: keep the official ReLU after the last layer, which confines the
            residual to values >= 0.
    """

    def __init__(self, feature_dim: int = 1280, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        codes = GLOBAL_FEATURES + feature_dim + N_SHAPE + N_EXPRESSION
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, POINT_FEATURES, 1)
        self.conv3 = nn.Conv1d(POINT_FEATURES, 64, 1)
        self.conv4 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(128, GLOBAL_FEATURES, 1)
        self.conv6 = nn.Conv1d(POINT_FEATURES + codes, 512, 1)
        self.conv7 = nn.Conv1d(512, 256, 1)
        self.conv8 = nn.Conv1d(256, 128, 1)
        self.conv9 = nn.Conv1d(128, 3, 1)
        self.bn1 = nn.BatchNorm1d(64)
        self.bn2 = nn.BatchNorm1d(POINT_FEATURES)
        self.bn3 = nn.BatchNorm1d(64)
        self.bn4 = nn.BatchNorm1d(128)
        self.bn5 = nn.BatchNorm1d(GLOBAL_FEATURES)
        self.bn6 = nn.BatchNorm1d(512)
        self.bn7 = nn.BatchNorm1d(256)
        self.bn8 = nn.BatchNorm1d(128)
        self.bn9 = nn.BatchNorm1d(3)

    def forward(
        self, landmarks: Tensor, feature: Tensor, shape: Tensor, expression: Tensor
    ) -> Tensor:
        """Residual (B, 3, 68) in units of 1 / RESIDUAL_SCALE crop pixels.

        Args:
            landmarks: (B, 3, 68) coarse landmarks, crop1 frame (1-based pixels, y down).
            feature: (B, F) pooled image features.
            shape: (B, 40) whitened identity coefficients.
            expression: (B, 10) whitened expression coefficients.
        """
        x = F.relu(self.bn1(self.conv1(landmarks)))
        points = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(points)))
        x = F.relu(self.bn4(self.conv4(x)))
        x = F.relu(self.bn5(self.conv5(x)))
        codes = torch.cat([x.amax(dim=2), feature, shape, expression], dim=1)
        x = F.relu(self.bn6(self._aggregate(points, codes)))
        x = F.relu(self.bn7(self.conv7(x)))
        x = F.relu(self.bn8(self.conv8(x)))
        x = self.bn9(self.conv9(x))
        return F.relu(x) if self.final_relu else x

    def _aggregate(self, points: Tensor, codes: Tensor) -> Tensor:
        """``conv6`` on [points (B, 64, 68) | codes (B, C) for each point] -> (B, 512, 68).

        The repeated part is multiplied once per face instead of once per point, which
        leaves 3.4 of 84 M multiply-adds.
        """
        weight = self.conv6.weight
        per_point = F.conv1d(points, weight[:, :POINT_FEATURES])
        per_face = F.linear(codes, weight[:, POINT_FEATURES:, 0], self.conv6.bias)
        return per_point + per_face[:, :, None]
