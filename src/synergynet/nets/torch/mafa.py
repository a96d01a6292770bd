"""MAFA, the landmark refiner (official name MLP_for): a PointNet over the coarse landmarks."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.params import N_EXPRESSION, N_SHAPE

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


def point_rows(points: Tensor) -> Tensor:
    """(B, C, K) -> (B, K, C) with the channels of a point side by side in memory.

    Convolutions and batch norm over points take 25 % less time in this layout than in (B, C, K).
    """
    return points.transpose(1, 2).contiguous()


def point_layer(rows: Tensor, conv: nn.Conv1d, norm: nn.BatchNorm1d) -> Tensor:
    """``norm(conv(...))`` with a kernel of 1 on rows (B, K, C) -> (B, K, C')."""
    return normalise(convolve(rows, conv.weight, conv.bias), norm)


def pooled_point_layer(rows: Tensor, conv: nn.Conv1d, norm: nn.BatchNorm1d) -> Tensor:
    """The largest ``relu(norm(conv(...)))`` of all points: rows (B, K, C) -> (B, C').

    In training, of the (B, K, C') numbers that these layers are as wide as, only the largest
    of each channel is normalised, and only from there do gradients go back. What batch norm needs
    of the others, their mean and variance, follows from the mean and covariance of ``rows``.
    """
    elsewhere = rows.device.type not in ("cpu", "cuda")  # no sparse matrices there
    if elsewhere or type(norm) is not nn.BatchNorm1d or not norm.training:
        return F.relu(point_layer(rows, conv, norm)).amax(dim=1)
    weight, gain = conv.weight[..., 0], norm.weight
    with exactly(rows.device):
        inputs = rows.flatten(0, 1).float()
        count, centre = len(inputs), inputs.mean(dim=0)
        inputs = inputs - centre
        variance = ((weight @ (inputs.T @ inputs)) * weight).sum(dim=1) / count
        mean = F.linear(centre, weight, conv.bias)
        _track(norm, mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        # A channel of negative gain is largest where the convolution is least.
        sign = torch.where(gain.detach() < 0, -1.0, 1.0)
        farthest = sign * _LargestAnswer.apply(rows, weight * sign[:, None])
        normalised = (farthest + conv.bias - mean) * torch.rsqrt(variance + norm.eps)
        return F.relu(normalised * gain + norm.bias)


@torch.no_grad()
def _track(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics as batch norm does in training."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.momentum is not None and norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance, norm.momentum)
    norm.num_batches_tracked.add_(1)


class _LargestAnswer(torch.autograd.Function):
    """``(rows @ weight.T).amax(dim=1)`` whose gradients touch the largest points alone."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        """(B, K, C), (C', C) -> (B, C') float32."""
        whole = weight.to(rows.dtype).expand(len(rows), -1, -1)
        answers = torch.bmm(whole, rows.transpose(1, 2))
        largest, point = answers.max(dim=2)
        ctx.save_for_backward(rows, weight, point)
        return largest.float()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor]:
        (slope,) = slopes
        rows, weight, point = ctx.saved_tensors
        batch, points, _ = rows.shape
        shape = (batch * points, len(weight))
        # One slope per face and channel; the same numbers by row of points, and by channel.
        row = point + points * torch.arange(batch, device=point.device)[:, None]
        order = row.flatten().argsort(stable=True)
        starts = F.pad(row.flatten().bincount(minlength=shape[0]).cumsum(0), (1, 0))
        by_row = _sparse(starts, order % shape[1], slope.flatten()[order], shape)
        starts = torch.arange(0, row.numel() + 1, batch, device=point.device)
        by_channel = _sparse(starts, row.T.flatten(), slope.T.flatten(), shape[::-1])
        to_rows = (by_row @ weight).view_as(rows).to(rows.dtype)
        return to_rows, by_channel @ rows.flatten(0, 1).float()


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def exact_point_layer(rows: Tensor, conv: nn.Conv1d, norm: nn.BatchNorm1d) -> Tensor:
    """:func:`point_layer` in float32, whatever autocast asks for: pixels come in or go out here."""
    with exactly(rows.device):
        return point_layer(rows.float(), conv, norm)


def exactly(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast within; there is none on some devices, such as ``meta``."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def convolve(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(B, K, C), weight (C', C, 1) -> (B, K, C'), as a channels-last convolution."""
    image = rows[:, :, None].permute(0, 3, 1, 2)
    return F.conv2d(image, weight[..., None], bias).permute(0, 2, 3, 1).squeeze(2)


def normalise(rows: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Batch norm over faces and points of (B, K, C)."""
    out: Tensor = norm(rows.flatten(0, 1))
    return out.view(rows.shape)
