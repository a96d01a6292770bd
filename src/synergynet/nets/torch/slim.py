"""The student: a network of 38 million multiply-adds for ``--quality fast``.

Most of MobileNet's time goes into its large maps. Here three dense convolutions with stride 2,
which processors run faster than depthwise ones of the same work, bring 120 pixels to 15; depthwise
separable residual blocks follow on small maps. Landmarks are about places, so the last map of 4x4
is not averaged: a learned weight per channel and place (the global depthwise convolution of
MobileFaceNet, Chen et al. 2018) reduces it.
"""

from torch import Tensor, nn

from ...geometry.params import INPUT_SIZE
from .blocks import ThreeHeadBackbone, conv_bn_relu

STEM = (16, 32, 64)
"""Channels of the dense convolutions."""

STAGES = ((64, 4), (192, 6), (320, 3))
"""Channels and residual blocks on maps of 15, 8 and 4 pixels."""

FEATURES = 512
LAST_MAP = INPUT_SIZE // 32 + 1


class SeparableResidual(nn.Module):
    """Depthwise 3x3 and 1x1, each with batch norm and ReLU; the input is added if shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.identity = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            conv_bn_relu(inputs, inputs, 3, stride, groups=inputs),
            conv_bn_relu(inputs, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        return x + self.conv(x) if self.identity else self.conv(x)


class SlimNet(ThreeHeadBackbone):
    """882,702 parameters, 38.4 M multiply-adds; ``features``: stem, stages and head in order."""

    features: nn.Sequential

    def __init__(self, name: str = "slim", dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for outputs in STEM:
            layers.append(conv_bn_relu(channels, outputs, 3, 2))
            channels = outputs
        for outputs, blocks in STAGES:
            if outputs != channels:
                layers.append(SeparableResidual(channels, outputs, 2))
            layers += [SeparableResidual(outputs, outputs) for _ in range(blocks)]
            channels = outputs
        layers += [
            conv_bn_relu(channels, FEATURES, 1),
            nn.Conv2d(FEATURES, FEATURES, LAST_MAP, groups=FEATURES, bias=False),
            nn.BatchNorm2d(FEATURES),
        ]
        super().__init__(name, {"features": nn.Sequential(*layers)}, FEATURES, dropout)
