"""MobileNetV2 with three parameter heads: the backbone of the SynergyNet paper."""

from torch import nn

from ...weights.architectures import ARCHITECTURES, DROPOUT, FEATURE_DIM, STEM_CHANNELS
from .blocks import InvertedResidual, ThreeHeadBackbone, conv_bn_relu6


class MobileNetV2(ThreeHeadBackbone):
    """Width 1.0, 2,303,294 parameters, 93.2 M multiply-adds on a 120x120 crop.

    State dict names are the official ones: ``features.0`` (stem) to ``features.18`` and
    ``classifier_{ori,shape,exp}.1``.

    Args:
        name: of the table in :data:`~synergynet.weights.architectures.ARCHITECTURES`.
        dropout: before each head.
    """

    features: nn.Sequential

    def __init__(self, name: str = "mobilenet_v2", dropout: float = DROPOUT) -> None:
        table = ARCHITECTURES[name]
        bn = (table.epsilon, table.momentum)
        layers: list[nn.Module] = [conv_bn_relu6(3, STEM_CHANNELS, 3, stride=2, bn=bn)]
        for b in table.blocks():
            layers.append(
                InvertedResidual(b.inputs, b.outputs, b.stride, b.expansion, b.kernel, bn)
            )
        layers.append(conv_bn_relu6(table.last_channels, FEATURE_DIM, 1, bn=bn))
        super().__init__(name, {"features": nn.Sequential(*layers)}, FEATURE_DIM, dropout)
