"""Parts that backbones are assembled from: conv-BN-ReLU6, inverted residuals, three heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.params import N_EXPRESSION, N_POSE, N_SHAPE


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
        groups = {"ori": N_POSE, "shape": N_SHAPE, "exp": N_EXPRESSION}
        self._heads = tuple(f"{heads.prefix}_{group}" for group in groups)
        for head, outputs in zip(self._heads, groups.values(), strict=True):
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
