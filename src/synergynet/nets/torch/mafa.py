"""MAFA, the landmark refiner (official name MLP_for): a PointNet over the coarse landmarks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...weights.architectures import FEATURE_DIM, GLOBAL_FEATURES, POINT_FEATURES, mafa_inputs
from .kernels import (
    convolve,
    exact_point_layer,
    normalise,
    point_layer,
    point_rows,
    pooled_point_layer,
)


class MAFA(nn.Module):
    """Multi-attribute feature aggregation: landmark, image and 3DMM features per point.

    1,556,617 parameters with the paper's 1280-wide image feature.

    Args:
        feature_dim: width F of the backbone's pooled features.
        final_relu: keep the official ReLU after the last layer, which confines the
            residual to values >= 0.
    """

    def __init__(self, feature_dim: int = FEATURE_DIM, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, POINT_FEATURES, 1)
        self.conv3 = nn.Conv1d(POINT_FEATURES, 64, 1)
        self.conv4 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(128, GLOBAL_FEATURES, 1)
        self.conv6 = nn.Conv1d(mafa_inputs(feature_dim), 512, 1)
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
        rows = point_rows(landmarks)
        x = F.relu(exact_point_layer(rows, self.conv1, self.bn1), inplace=True)
        points = F.relu(point_layer(x, self.conv2, self.bn2))
        x = F.relu(point_layer(points, self.conv3, self.bn3), inplace=True)
        x = F.relu(point_layer(x, self.conv4, self.bn4), inplace=True)
        pooled = pooled_point_layer(x, self.conv5, self.bn5)
        codes = torch.cat([pooled, feature, shape, expression], dim=1)
        x = F.relu(normalise(self._aggregate(points, codes), self.bn6), inplace=True)
        x = F.relu(point_layer(x, self.conv7, self.bn7), inplace=True)
        x = F.relu(point_layer(x, self.conv8, self.bn8), inplace=True)
        x = exact_point_layer(x, self.conv9, self.bn9).transpose(1, 2)
        return F.relu(x) if self.final_relu else x

    def _aggregate(self, points: Tensor, codes: Tensor) -> Tensor:
        """``conv6`` on [points (B, 68, 64) | codes (B, C) for each point] -> (B, 68, 512).

        The repeated part is multiplied once per face instead of once per point, which
        leaves 3.4 of 84 M multiply-adds.
        """
        weight = self.conv6.weight
        per_point = convolve(points, weight[:, :POINT_FEATURES], None)
        per_face = F.linear(codes, weight[:, POINT_FEATURES:, 0], self.conv6.bias)
        return per_point + per_face[:, None]
