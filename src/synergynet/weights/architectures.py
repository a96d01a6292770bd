"""The networks as tables, from which PyTorch and MindSpore build them; neither is needed here."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import SynergyNetError
from ..geometry.params import N_EXPRESSION, N_POSE, N_SHAPE

STEM_CHANNELS = 32
FEATURE_DIM = 1280
HEADS = {"ori": N_POSE, "shape": N_SHAPE, "exp": N_EXPRESSION}
DROPOUT = 0.2

COUNTER = ".num_batches_tracked"
"""End of the name of batch norm's counter, the only entries that are int64."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """One inverted residual."""

    inputs: int
    outputs: int
    stride: int
    expansion: int
    kernel: int


@dataclass(frozen=True)
class Architecture:
    """A stem, inverted residuals, a 1x1 convolution.

    Attributes:
        stages: (expansion, kernel, output channels, blocks, stride of the first block) each.
        epsilon: of batch norm.
        momentum: of batch norm as torch counts it, the weight of the new batch;
            MindSpore's is 1 minus this.
    """

    stages: tuple[tuple[int, int, int, int, int], ...]
    epsilon: float
    momentum: float

    def blocks(self) -> Iterator[Block]:
        """From the stem to the last convolution."""
        inputs = STEM_CHANNELS
        for expansion, kernel, outputs, count, stride in self.stages:
            for index in range(count):
                yield Block(inputs, outputs, stride if index == 0 else 1, expansion, kernel)
                inputs = outputs

    @property
    def last_channels(self) -> int:
        return self.stages[-1][2]


ARCHITECTURES = {
    # Sandler et al. 2018, table 2.
    "mobilenet_v2": Architecture(
        (
            (1, 3, 16, 1, 1),
            (6, 3, 24, 2, 2),
            (6, 3, 32, 3, 2),
            (6, 3, 64, 4, 2),
            (6, 3, 96, 3, 1),
            (6, 3, 160, 3, 2),
            (6, 3, 320, 1, 1),
        ),
        epsilon=1e-5,
        momentum=0.1,
    ),
    "efficientnet_lite0": Architecture(
        (
            (1, 3, 16, 1, 1),
            (6, 3, 24, 2, 2),
            (6, 5, 40, 2, 2),
            (6, 3, 80, 3, 2),
            (6, 5, 112, 3, 1),
            (6, 5, 192, 4, 2),
            (6, 3, 320, 1, 1),
        ),
        epsilon=1e-3,
        momentum=0.01,
    ),
}

Layer = tuple[str, int, int]
"""Name of a 1x1 convolution and its batch norm, inputs, outputs."""

POINT_FEATURES, GLOBAL_FEATURES = 64, 1024
RESIDUAL_SCALE = 0.05
"""Refined landmarks = coarse + 0.05 x MAFA's output (official model_building.py)."""


def mafa_layers(feature_dim: int = FEATURE_DIM) -> tuple[Layer, ...]:
    """Of MAFA; the sixth sees point, global, image, shape and expression features."""
    aggregated = POINT_FEATURES + GLOBAL_FEATURES + feature_dim + N_SHAPE + N_EXPRESSION
    return (*_POINT_LAYERS, ("6", aggregated, 512), ("7", 512, 256), ("8", 256, 128), ("9", 128, 3))


def regressor_layers() -> tuple[Layer, ...]:
    """Of the landmark regressor, whose three heads have the global feature alone."""
    heads = enumerate(HEADS.values(), 1)
    return (*_POINT_LAYERS, *((f"6_{i}", GLOBAL_FEATURES, outputs) for i, outputs in heads))


_POINT_LAYERS: tuple[Layer, ...] = (
    ("1", 3, 64),
    ("2", 64, POINT_FEATURES),
    ("3", POINT_FEATURES, 64),
    ("4", 64, 128),
    ("5", 128, GLOBAL_FEATURES),
)


def check_architecture(name: str) -> Architecture:
    """The table of a backbone.

    Raises SynergyNetError for one that does not exist in MindSpore, naming those that do.
    """
    if name not in ARCHITECTURES:
        nearest = get_close_matches(name.lower(), ARCHITECTURES, n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise SynergyNetError(
            f"backbone {name!r} does not exist in MindSpore{hint}; there are "
            f"{' and '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[name]


def state_shapes(name: str, *, regularisers: bool = True) -> dict[str, Shape]:
    """Entry -> shape of the trained part of a state dict under PyTorch's names and in its order.

    ``num_batches_tracked`` included; face model and whitening are not.
    """
    return dict(_entries(check_architecture(name), regularisers))


def _entries(arch: Architecture, regularisers: bool) -> Iterator[tuple[str, Shape]]:
    at = "I2P.backbone.features"
    yield from _conv_bn(f"{at}.0", (STEM_CHANNELS, 3, 3, 3))
    for index, block in enumerate(arch.blocks(), 1):
        hidden = block.inputs * block.expansion
        parts = f"{at}.{index}.conv"
        number = 0
        if block.expansion != 1:
            yield from _conv_bn(f"{parts}.0", (hidden, block.inputs, 1, 1))
            number = 1
        yield from _conv_bn(f"{parts}.{number}", (hidden, 1, block.kernel, block.kernel))
        yield f"{parts}.{number + 1}.weight", (block.outputs, hidden, 1, 1)
        yield from _norm(f"{parts}.{number + 2}", block.outputs)
    last = sum(stage[3] for stage in arch.stages) + 1
    yield from _conv_bn(f"{at}.{last}", (FEATURE_DIM, arch.last_channels, 1, 1))
    for head, outputs in HEADS.items():
        yield f"I2P.backbone.classifier_{head}.1.weight", (outputs, FEATURE_DIM)
        yield f"I2P.backbone.classifier_{head}.1.bias", (outputs,)
    if regularisers:
        yield from _pointwise("forwardDirection", mafa_layers())
        yield from _pointwise("reverseDirection", regressor_layers())


def _conv_bn(at: str, kernel: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{at}.0.weight", kernel
    yield from _norm(f"{at}.1", kernel[0])


def _norm(at: str, channels: int) -> Iterator[tuple[str, Shape]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{at}.{leaf}", (channels,)
    yield f"{at}.num_batches_tracked", ()


def _pointwise(at: str, layers: tuple[Layer, ...]) -> Iterator[tuple[str, Shape]]:
    for name, inputs, outputs in layers:
        yield f"{at}.conv{name}.weight", (outputs, inputs, 1)
        yield f"{at}.conv{name}.bias", (outputs,)
    for name, _, outputs in layers:
        yield from _norm(f"{at}.bn{name}", outputs)
