"""ResNeSt with three parameter heads: bottlenecks whose 3x3 attends over two splits.

Zhang et al., ResNeSt: Split-Attention Networks, 2020; radix 2, cardinality 1, a stem of
three 3x3 convolutions, and average pooling wherever a ResNet would stride.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import FC_HEADS, ThreeHeadBackbone
from .resnet import EXPANSION, STAGE_CHANNELS

RADIX = 2

# name -> blocks per stage, channels of the stem's first two convolutions
VARIANTS = {
    "resnest50": ((3, 4, 6, 3), 32),
    "resnest101": ((3, 4, 23, 3), 64),
}


class SplitAttention(nn.Module):
    """A 3x3 convolution to ``RADIX`` groups of channels, mixed by softmax weights per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels * RADIX // 4, 32)
        splits = channels * RADIX
        self.conv = nn.Conv2d(channels, splits, 3, 1, 1, groups=RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(splits)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, splits, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        splits = F.relu(self.bn0(self.conv(x))).unflatten(1, (RADIX, -1))
        pooled = F.adaptive_avg_pool2d(splits.sum(dim=1), 1)
        scores = self.fc2(F.relu(self.bn1(self.fc1(pooled))))
        weights = scores.unflatten(1, (RADIX, -1)).softmax(dim=1)
        return (weights * splits).sum(dim=1)


class SplitAttentionBottleneck(nn.Module):
    """1x1, split attention, average pooling where the stride is 2, 1x1, and a shortcut."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = SplitAttention(width)
        self.avd_layer = nn.AvgPool2d(3, stride, 1) if stride > 1 else None
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        residual = self.conv2(F.relu(self.bn1(self.conv1(x))))
        if self.avd_layer is not None:
            residual = self.avd_layer(residual)
        residual = self.bn3(self.conv3(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


class ResNeSt(ThreeHeadBackbone):
    """One of :data:`VARIANTS`; pooled features are 2048 wide."""

    def __init__(self, name: str, dropout: float = 0.0) -> None:
        depths, stem = VARIANTS[name]
        inputs = 2 * stem
        parts: dict[str, nn.Module] = {
            "conv1": nn.Sequential(
                nn.Conv2d(3, stem, 3, 2, 1, bias=False),
                nn.BatchNorm2d(stem),
                nn.ReLU(),
                nn.Conv2d(stem, stem, 3, 1, 1, bias=False),
                nn.BatchNorm2d(stem),
                nn.ReLU(),
                nn.Conv2d(stem, inputs, 3, 1, 1, bias=False),
            ),
            "bn1": nn.BatchNorm2d(inputs),
            "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, 2, 1),
        }
        for stage, (blocks, width) in enumerate(zip(depths, STAGE_CHANNELS, strict=True)):
            layers = []
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                layers.append(SplitAttentionBottleneck(inputs, width, width * EXPANSION, stride))
                inputs = width * EXPANSION
            parts[f"layer{stage + 1}"] = nn.Sequential(*layers)
        super().__init__(name, parts, inputs, dropout, FC_HEADS)
