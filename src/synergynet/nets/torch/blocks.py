"""Parts that backbones are assembled from: conv-BN-ReLU6, inverted residuals, three heads."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...weights.architectures import HEADS
from .kernels import SmallMapDepthwise


def conv_bn_relu6(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    bn: tuple[float, float] = (1e-5, 0.1),
) -> nn.Sequential:
    """Bias-free convolution with symmetric padding, batch norm ``(eps, momentum)``, ReLU6."""
    eps, momentum = bn
    small = kernel == 5 and stride == 1 and groups == inputs == outputs
    convolution = SmallMapDepthwise if small else nn.Conv2d
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps, momentum=momentum),
        nn.ReLU6(),
    )


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Bias-free convolution with symmetric padding, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1; identity added when the shapes agree.

    Sandler et al., MobileNetV2, 2018. The same block, with 5x5 kernels in some
    stages, is all that EfficientNet-Lite consists of.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        kernel: int = 3,
        bn: tuple[float, float] = (1e-5, 0.1),
    ) -> None:
        super().__init__()
        self.identity = stride == 1 and inputs == outputs
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_bn_relu6(inputs, hidden, 1, bn=bn))
        layers += [
            conv_bn_relu6(hidden, hidden, kernel, stride, groups=hidden, bn=bn),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, eps=bn[0], momentum=bn[1]),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        return x + self.conv(x) if self.identity else self.conv(x)


@dataclass(frozen=True)
class HeadStyle:
    """How the official state dicts of one family name the linear heads.

    Attributes:
        prefix: before ``_ori``, ``_shape`` and ``_exp``.
        texture: name of a fourth head, for 40 texture coefficients. Official checkpoints hold
            it and no loss ever reads it, so here it is never run: a frozen pair of zero
            tensors that lets those checkpoints load strictly. None where there is none.
        dropout_inside: each head is [dropout, linear], which names its weights ``.1.weight``;
            otherwise one dropout comes before all of them.
    """

    prefix: str
    texture: str | None = None
    dropout_inside: bool = False


DROPOUT_HEADS = HeadStyle("classifier", dropout_inside=True)
FC_HEADS = HeadStyle("fc", texture="fc_tex")
CLASSIFIER_HEADS = HeadStyle("classifier", texture="classifier_texture")

N_TEXTURE = 40


class ThreeHeadBackbone(nn.Module):
    """A chain of named parts, global average pooling, and one linear head per parameter group.

    The names of parts and heads are those of the official checkpoints.

    Args:
        name: under which :data:`synergynet.nets.backbones.BACKBONES` builds this network.
        parts: from normalised crops (B, 3, H, W) to a map (B, F, h, w), run in their order.
        feature_dim: F.
        dropout: rate between the pooled features and the heads.
        heads: the family's names.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, nn.Module],
        feature_dim: int,
        dropout: float,
        heads: HeadStyle = DROPOUT_HEADS,
    ) -> None:
        super().__init__()
        self.name = name
        self.feature_dim = feature_dim
        self.dropout = 0.0 if heads.dropout_inside else dropout
        self._parts = tuple(parts)
        for part, module in parts.items():
            self.add_module(part, module)
        self._heads = tuple(f"{heads.prefix}_{group}" for group in HEADS)
        for head, outputs in zip(self._heads, HEADS.values(), strict=True):
            linear = nn.Linear(feature_dim, outputs)
            inside = nn.Sequential(nn.Dropout(dropout), linear) if heads.dropout_inside else linear
            self.add_module(head, inside)
        self.apply(_initialise)
        if heads.texture is not None:
            unused = nn.Linear(feature_dim, N_TEXTURE).requires_grad_(False)
            nn.init.zeros_(unused.weight)
            nn.init.zeros_(unused.bias)
            self.add_module(heads.texture, unused)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised crops (B, 3, H, W) -> whitened params (B, 62), pooled features (B, F).

        The pooled features are those before dropout.
        """
        x = images
        for part in self._parts:
            x = getattr(self, part)(x)
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        kept = F.dropout(pooled, self.dropout, self.training)
        return torch.cat([getattr(self, head)(kept) for head in self._heads], dim=1), pooled


def _initialise(module: nn.Module) -> None:
    """Official initialisation: He fan-out convolutions, N(0, 0.01) heads (BN starts at 1 and 0)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)
