"""GhostNet with three parameter heads: half of every map comes from cheap depthwise filters.

Han et al., GhostNet: More Features from Cheap Operations, 2020, table 1, width 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import CLASSIFIER_HEADS, ThreeHeadBackbone

STEM_CHANNELS = 16
LAST_CHANNELS = 960
FEATURE_DIM = 1280

# Stages of bottlenecks: kernel, hidden channels, output channels, squeeze-and-excite, stride
STAGES = (
    ((3, 16, 16, False, 1),),
    ((3, 48, 24, False, 2),),
    ((3, 72, 24, False, 1),),
    ((5, 72, 40, True, 2),),
    ((5, 120, 40, True, 1),),
    ((3, 240, 80, False, 2),),
    (
        (3, 200, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 480, 112, True, 1),
        (3, 672, 112, True, 1),
    ),
    ((5, 672, 160, True, 2),),
    (
        (5, 960, 160, False, 1),
        (5, 960, 160, True, 1),
        (5, 960, 160, False, 1),
        (5, 960, 160, True, 1),
    ),
)


class GhostModule(nn.Module):
    """A 1x1 convolution for half of the channels, a depthwise 3x3 of those for the others."""

    def __init__(self, inputs: int, outputs: int, relu: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.primary_conv = nn.Sequential(
            nn.Conv2d(inputs, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU() if relu else nn.Identity(),
        )
        self.cheap_operation = nn.Sequential(
            nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU() if relu else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        primary = self.primary_conv(x)
        return torch.cat([primary, self.cheap_operation(primary)], dim=1)


class SqueezeExcite(nn.Module):
    """Channels weighed by a hard sigmoid of their global averages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = (channels // 4 + 2) // 4 * 4  # a quarter, rounded to a multiple of 4
        self.conv_reduce = nn.Conv2d(channels, hidden, 1)
        self.conv_expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        pooled = F.adaptive_avg_pool2d(x, 1)
        return x * F.hardsigmoid(self.conv_expand(F.relu(self.conv_reduce(pooled))))


class GhostBottleneck(nn.Module):
    """Ghost module, depthwise convolution if it strides, attention, linear ghost module."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, squeeze: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.ghost1 = GhostModule(inputs, hidden, relu=True)
        if stride > 1:
            self.conv_dw = _depthwise(hidden, kernel, stride)
            self.bn_dw = nn.BatchNorm2d(hidden)
        self.se = SqueezeExcite(hidden) if squeeze else None
        self.ghost2 = GhostModule(hidden, outputs, relu=False)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _depthwise(inputs, kernel, stride),
                nn.BatchNorm2d(inputs),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        residual = self.ghost1(x)
        if self.stride > 1:
            residual = self.bn_dw(self.conv_dw(residual))
        if self.se is not None:
            residual = self.se(residual)
        return self.ghost2(residual) + self.shortcut(x)


class LastBlock(nn.Module):
    """The 1x1 convolution after the bottlenecks, with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return F.relu(self.bn1(self.conv(x)))


class GhostNet(ThreeHeadBackbone):
    """Width 1.0, 4,032,170 parameters (unused texture head included)."""

    def __init__(self, name: str = "ghostnet", dropout: float = 0.2) -> None:
        channels = STEM_CHANNELS
        stages: list[nn.Module] = []
        for stage in STAGES:
            blocks = []
            for kernel, hidden, outputs, squeeze, stride in stage:
                blocks.append(GhostBottleneck(channels, hidden, outputs, kernel, stride, squeeze))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        stages.append(nn.Sequential(LastBlock(channels, LAST_CHANNELS)))
        parts: dict[str, nn.Module] = {
            "conv_stem": nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False),
            "bn1": nn.BatchNorm2d(STEM_CHANNELS),
            "act1": nn.ReLU(),
            "blocks": nn.Sequential(*stages),
            "global_pool": nn.AdaptiveAvgPool2d(1),
            "conv_head": nn.Conv2d(LAST_CHANNELS, FEATURE_DIM, 1),
            "act2": nn.ReLU(),
        }
        super().__init__(name, parts, FEATURE_DIM, dropout, CLASSIFIER_HEADS)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
