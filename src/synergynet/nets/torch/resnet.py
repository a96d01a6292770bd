"""ResNet, ResNeXt and Wide ResNet with three parameter heads; names as in torchvision."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import FC_HEADS, ThreeHeadBackbone

STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck's last convolution


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, figure 5 left)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, (grouped) 3x3 that carries the stride, 1x1, and a shortcut."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


@dataclass(frozen=True)
class Variant:
    """Blocks per stage; for bottlenecks the groups of the 3x3 and its channels per group.

    ``group_width`` counts at the first stage; it doubles with every stage.
    """

    blocks: tuple[int, int, int, int]
    groups: int = 1
    group_width: int = 64
    bottleneck: bool = True


VARIANTS = {
    "resnet18": Variant((2, 2, 2, 2), bottleneck=False),
    "resnet34": Variant((3, 4, 6, 3), bottleneck=False),
    "resnet50": Variant((3, 4, 6, 3)),
    "resnet101": Variant((3, 4, 23, 3)),
    "resnet152": Variant((3, 8, 36, 3)),
    "resnext50_32x4d": Variant((3, 4, 6, 3), groups=32, group_width=4),
    "resnext101_32x8d": Variant((3, 4, 23, 3), groups=32, group_width=8),
    "wide_resnet50_2": Variant((3, 4, 6, 3), group_width=128),
    "wide_resnet101_2": Variant((3, 4, 23, 3), group_width=128),
}


class ResNet(ThreeHeadBackbone):
    """One of :data:`VARIANTS`; pooled features are 512 (18, 34) or 2048 wide.

    The parts are torchvision's in name and shape, so its ImageNet state dicts fit them, heads
    apart. This project feeds BGR: reverse the input channels of their ``conv1.weight``.
    """

    def __init__(self, name: str, dropout: float = 0.0) -> None:
        variant = VARIANTS[name]
        parts: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            "bn1": nn.BatchNorm2d(64),
            "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, 2, 1),
        }
        inputs = 64
        for stage, (blocks, base) in enumerate(zip(variant.blocks, STAGE_CHANNELS, strict=True)):
            outputs = base * EXPANSION if variant.bottleneck else base
            width = variant.groups * variant.group_width * base // STAGE_CHANNELS[0]
            layers: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                if variant.bottleneck:
                    layers.append(Bottleneck(inputs, width, outputs, stride, variant.groups))
                else:
                    layers.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
            parts[f"layer{stage + 1}"] = nn.Sequential(*layers)
        super().__init__(name, parts, inputs, dropout, FC_HEADS)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """1x1 convolution and batch norm where the shapes differ, else None."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
