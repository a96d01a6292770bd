"""MAFA, the landmark refiner (official name MLP_for): a PointNet over the coarse landmarks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...weights.architectures import FEATURE_DIM, POINT_FEATURES, Layer, mafa_layers
from .kernels import (
    convolve,
    exact_point_layer,
    normalise,
    point_layer,
    point_rows,
    pooled_point_layer,
)


class PointNet(nn.Module):
    """1x1 convolutions over points, each with its batch norm, under their official names.

    Args:
        layers: of ``weights.architectures``.
    """

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        for name, inputs, outputs in layers:
            self.add_module(f"conv{name}", nn.Conv1d(inputs, outputs, 1))
        for name, _, outputs in layers:
            self.add_module(f"bn{name}", nn.BatchNorm1d(outputs))

    def layer(self, name: str) -> tuple[nn.Conv1d, nn.BatchNorm1d]:
        """Its convolution and its batch norm."""
        return getattr(self, f"conv{name}"), getattr(self, f"bn{name}")


class MAFA(PointNet):
    """Multi-attribute feature aggregation: landmark, image and 3DMM features per point.

    1,556,617 parameters with the paper's 1280-wide image feature.

    Args:
        feature_dim: width F of the backbone's pooled features.
        final_relu: keep the official ReLU after the last layer, which confines the
            residual to values >= 0.
    """

    def __init__(self, feature_dim: int = FEATURE_DIM, final_relu: bool = False) -> None:
        super().__init__(mafa_layers(feature_dim))
        self.final_relu = final_relu

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
        x = F.relu(exact_point_layer(rows, *self.layer("1")), inplace=True)
        points = F.relu(point_layer(x, *self.layer("2")))
        x = F.relu(point_layer(points, *self.layer("3")), inplace=True)
        x = F.relu(point_layer(x, *self.layer("4")), inplace=True)
        pooled = pooled_point_layer(x, *self.layer("5"))
        codes = torch.cat([pooled, feature, shape, expression], dim=1)
        x = F.relu(self._aggregate(points, codes), inplace=True)
        x = F.relu(point_layer(x, *self.layer("7")), inplace=True)
        x = F.relu(point_layer(x, *self.layer("8")), inplace=True)
        x = exact_point_layer(x, *self.layer("9")).transpose(1, 2)
        return F.relu(x) if self.final_relu else x

    def _aggregate(self, points: Tensor, codes: Tensor) -> Tensor:
        """Layer 6 on [points (B, 68, 64) | codes (B, C) for each point] -> (B, 68, 512).

        The repeated part is multiplied once per face instead of once per point, which
        leaves 3.4 of 84 M multiply-adds.
        """
        conv, norm = self.layer("6")
        weight = conv.weight
        per_point = convolve(points, weight[:, :POINT_FEATURES], None)
        per_face = F.linear(codes, weight[:, POINT_FEATURES:, 0], conv.bias)
        return normalise(per_point + per_face[:, None], norm)
