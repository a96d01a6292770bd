"""Layers written by hand because PyTorch's own are slow on such shapes; the answers are the same.

Two shapes: depthwise convolutions on maps of few pixels, and 1x1 convolutions over 68 points.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL_MAP = 16
"""Pixels of a map whose weight gradient :class:`SmallMapDepthwise` finds itself: 4 x 4."""


class SmallMapDepthwise(nn.Conv2d):
    """A depthwise 5x5 convolution that is no slower to train on tiny maps than on large ones.

    Of such a layer with 1152 channels on 64 maps of 4 x 4, PyTorch's CPU code takes 66 ms for the
    gradient of the weights and 1.4 ms for the answer. The weights and all answers are
    those of ``nn.Conv2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if (
            self.training
            and x.shape[2] * x.shape[3] <= SMALL_MAP
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
        ):
            answer: Tensor = _SmallMapDepthwise.apply(x, self.weight)
            return answer
        return super().forward(x)


class _SmallMapDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _depthwise(x, weight)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor]:
        (slope,) = slopes
        x, weight = ctx.saved_tensors
        _, channels, height, width = x.shape
        kernel = weight.shape[-1]
        # Correlations of every pixel of the slope with every one of the input, then their sum
        # over pairs that are equally far apart: rows of channels side by side in memory.
        slope_rows = slope.permute(0, 2, 3, 1).flatten(1, 2)
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)
        pairs = torch.stack([(slope_rows * r[:, None]).sum(dim=0) for r in rows.unbind(1)], dim=1)
        taps = _taps(height, width, kernel).to(pairs)
        to_weight = (taps @ pairs.flatten(0, 1)).T.reshape(channels, 1, kernel, kernel)
        return _depthwise(slope, weight.flip(2, 3)), to_weight


def _depthwise(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))


@lru_cache
def _taps(height: int, width: int, kernel: int) -> Tensor:
    """(kernel^2, P * P): 1 where an output pixel reads an input pixel through that tap, else 0."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixel = torch.stack([y.flatten(), x.flatten()], dim=1)
    apart = pixel[None] - pixel[:, None] + kernel // 2
    inside = ((apart >= 0) & (apart < kernel)).all(dim=2)
    tap = torch.where(inside, apart[..., 0] * kernel + apart[..., 1], kernel * kernel)
    return F.one_hot(tap.flatten(), kernel * kernel + 1)[:, :-1].T.float()


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
