"""The backbones as MindSpore cells; attribute names give the parameter names of ``names.py``."""

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Normal, initializer

from ...weights.architectures import (
    FEATURE_DIM,
    HEADS,
    STEM_CHANNELS,
    Architecture,
    Block,
    check_architecture,
)


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1
) -> nn.Conv2d:
    """Bias-free, padded symmetrically as in PyTorch; He fan-out initialisation."""
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, "pad", kernel // 2, group=group, has_bias=False
    )
    conv.weight.set_data(
        initializer(HeNormal(mode="fan_out"), conv.weight.shape, conv.weight.dtype)
    )
    return conv


def batch_norm(channels: int, epsilon: float = 1e-5, momentum: float = 0.1) -> nn.BatchNorm2d:
    """``momentum`` as PyTorch counts it: the weight of the new batch."""
    return nn.BatchNorm2d(channels, eps=epsilon, momentum=1 - momentum)


class ConvBNReLU6(nn.Cell):
    """Convolution, batch norm, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, group: int, arch: Architecture
    ) -> None:
        super().__init__()
        self.features = nn.SequentialCell(
            convolution(inputs, outputs, kernel, stride, group),
            batch_norm(outputs, arch.epsilon, arch.momentum),
            nn.ReLU6(),
        )

    def construct(self, x: Tensor) -> Tensor:
        return self.features(x)


class InvertedResidual(nn.Cell):
    """Expand 1x1, depthwise, project 1x1; identity added when the shapes agree."""

    def __init__(self, block: Block, arch: Architecture) -> None:
        super().__init__()
        self.identity = block.stride == 1 and block.inputs == block.outputs
        hidden = block.inputs * block.expansion
        layers: list[nn.Cell] = []
        if block.expansion != 1:
            layers.append(ConvBNReLU6(block.inputs, hidden, 1, 1, 1, arch))
        layers += [
            ConvBNReLU6(hidden, hidden, block.kernel, block.stride, hidden, arch),
            convolution(hidden, block.outputs, 1),
            batch_norm(block.outputs, arch.epsilon, arch.momentum),
        ]
        self.conv = nn.SequentialCell(*layers)

    def construct(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        return x + self.conv(x) if self.identity else self.conv(x)


class FeatureExtractor(nn.Cell):
    """Stem, inverted residuals, 1x1 convolution, global average pooling."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        layers: list[nn.Cell] = [ConvBNReLU6(3, STEM_CHANNELS, 3, 2, 1, arch)]
        layers += [InvertedResidual(block, arch) for block in arch.blocks()]
        layers.append(ConvBNReLU6(arch.last_channels, FEATURE_DIM, 1, 1, 1, arch))
        self.features = nn.SequentialCell(*layers)

    def construct(self, images: Tensor) -> Tensor:
        """(B, 3, 120, 120) -> (B, 1280)."""
        return self.features(images).mean((2, 3))


class ImageToParams(nn.Cell):
    """Backbone and heads: the deployed part.

    Args:
        name: a key of :data:`~synergynet.weights.architectures.ARCHITECTURES`.

    Raises:
        SynergyNetError: unknown name.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.architecture = name
        self.feature_extractor = FeatureExtractor(check_architecture(name))
        self.classifier_ori = self._head(HEADS["ori"])
        self.classifier_shape = self._head(HEADS["shape"])
        self.classifier_exp = self._head(HEADS["exp"])

    @staticmethod
    def _head(outputs: int) -> nn.SequentialCell:
        dense = nn.Dense(FEATURE_DIM, outputs, weight_init=Normal(0.01), bias_init="zeros")
        return nn.SequentialCell(nn.Identity(), dense)  # dropout's place; it keeps the names

    def construct(self, images: Tensor, dropout: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised crops (B, 3, 120, 120) -> whitened params (B, 62), pooled features (B, F).

        Args:
            images: the crops.
            dropout: (3, B, F) factors of the features before each head, only in training.
        """
        pooled = self.feature_extractor(images)
        ori, shape, exp = pooled, pooled, pooled
        if dropout is not None:
            ori, shape, exp = pooled * dropout[0], pooled * dropout[1], pooled * dropout[2]
        heads = (self.classifier_ori(ori), self.classifier_shape(shape), self.classifier_exp(exp))
        return ops.cat(heads, axis=1), pooled
