"""Parts that both backbones are assembled from: conv-BN-ReLU6, inverted residuals, three heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..geometry.params import N_EXPRESSION, N_POSE, N_SHAPE


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
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=eps, momentum=momentum),
        nn.ReLU6(inplace=True),
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


class ThreeHeadBackbone(nn.Module):
    """Image features, global average pooling, and one linear head per parameter group.

    Subclasses build ``features``; the names of the heads are those of the
    official checkpoints.
    """

    def __init__(self, features: nn.Sequential, feature_dim: int, dropout: float) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.features = features
        self.classifier_ori = nn.Sequential(nn.Dropout(dropout), nn.Linear(feature_dim, N_POSE))
        self.classifier_shape = nn.Sequential(nn.Dropout(dropout), nn.Linear(feature_dim, N_SHAPE))
        self.classifier_exp = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(feature_dim, N_EXPRESSION)
        )
        self.apply(_initialise)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised crops (B, 3, H, W) -> whitened params (B, 62), pooled features (B, F).

        The pooled features are those before dropout.
        """
        pooled = F.adaptive_avg_pool2d(self.features(images), 1).flatten(1)
        heads = (self.classifier_ori, self.classifier_shape, self.classifier_exp)
        return torch.cat([head(pooled) for head in heads], dim=1), pooled


def _initialise(module: nn.Module) -> None:
    """Official initialisation: He fan-out convolutions, N(0, 0.01) heads (BN starts at 1 and 0)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)
