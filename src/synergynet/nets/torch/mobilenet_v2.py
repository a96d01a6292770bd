"""MobileNetV2 with three parameter heads: the backbone of the SynergyNet paper."""

from torch import nn

from .blocks import InvertedResidual, ThreeHeadBackbone, conv_bn_relu6

FEATURE_DIM = 1280

# expansion, output channels, blocks, stride of the first block (Sandler et al. 2018, table 2)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(ThreeHeadBackbone):
    """Width 1.0, 2,303,294 parameters, 93.2 M multiply-adds on a 120x120 crop.

    State dict names are the official ones: ``features.0`` to ``features.18`` and
    ``classifier_{ori,shape,exp}.1``.
    """

    features: nn.Sequential

    def __init__(self, name: str = "mobilenet_v2", dropout: float = 0.2) -> None:
        layers: list[nn.Module] = [conv_bn_relu6(3, 32, 3, stride=2)]
        channels = 32
        for expansion, outputs, blocks, stride in STAGES:
            for block in range(blocks):
                first = stride if block == 0 else 1
                layers.append(InvertedResidual(channels, outputs, first, expansion))
                channels = outputs
        layers.append(conv_bn_relu6(channels, FEATURE_DIM, 1))
        super().__init__(name, {"features": nn.Sequential(*layers)}, FEATURE_DIM, dropout)
