"""MobileNetV1 with three parameter heads: the network of 3DDFA, in five widths."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import SynergyNetError
from ...geometry.params import EXPRESSION, N_PARAMS, POSE, SHAPE
from .blocks import FC_HEADS, N_TEXTURE, ThreeHeadBackbone

WIDTHS = {
    "mobilenet_2": 2.0,
    "mobilenet_1": 1.0,
    "mobilenet_075": 0.75,
    "mobilenet_05": 0.5,
    "mobilenet_025": 0.25,
}

# name, output channels at width 1, stride (Howard et al. 2017, table 1)
BLOCKS = (
    ("dw2_1", 64, 1),
    ("dw2_2", 128, 2),
    ("dw3_1", 128, 1),
    ("dw3_2", 256, 2),
    ("dw4_1", 256, 1),
    ("dw4_2", 512, 2),
    ("dw5_1", 512, 1),
    ("dw5_2", 512, 1),
    ("dw5_3", 512, 1),
    ("dw5_4", 512, 1),
    ("dw5_5", 512, 1),
    ("dw5_6", 1024, 2),
    ("dw6", 1024, 1),
)

JOINT_HEADS = ("fc", "fc_param")  # one layer of 62 outputs: 3DDFA, 3DDFA_V2


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3, then 1x1, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.bn_dw = nn.BatchNorm2d(inputs)
        self.conv_sep = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        x = F.relu(self.bn_dw(self.conv_dw(x)))
        return F.relu(self.bn_sep(self.conv_sep(x)))


class MobileNetV1(ThreeHeadBackbone):
    """One of :data:`WIDTHS`; 3,311,526 parameters at width 1 (unused texture head included)."""

    def __init__(self, name: str, dropout: float = 0.0) -> None:
        width = WIDTHS[name]
        channels = int(32 * width)
        parts: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, channels, 3, 2, 1, bias=False),
            "bn1": nn.BatchNorm2d(channels),
            "relu": nn.ReLU(),
        }
        for block, base, stride in BLOCKS:
            outputs = int(base * width)
            parts[block] = DepthwiseSeparable(channels, outputs, stride)
            channels = outputs
        super().__init__(name, parts, channels, dropout, FC_HEADS)


def load_3ddfa_weights(net: MobileNetV1, file: Path) -> None:
    """Fill ``net`` from a published checkpoint of 3DDFA (``phase1_*.pth.tar``) or 3DDFA_V2.

    What such a network answers is whitened: 3DDFA's by ``param_whitening.pkl``, which is
    SynergyNet's whitening too; 3DDFA_V2's by ``param_mean_std_62d_120x120.pkl``.

    Raises SynergyNetError if the file is no such checkpoint, or one of another width.
    """
    try:
        with file.open("rb") as stream:
            content = torch.load(stream, map_location="cpu", weights_only=True)
        state: Mapping[str, Tensor] = content["state_dict"]
        net.load_state_dict(split_joint_head(state), strict=True)
    except Exception as error:  # torch raises a dozen kinds for damaged or foreign files
        reason = " ".join(str(error).split())
        raise SynergyNetError(
            f"{file} does not hold the 3DDFA weights of {net.name} "
            f"({type(error).__name__}: {reason[:200]}); use a checkpoint of this width."
        ) from error


def split_joint_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A 3DDFA state dict under the names of :class:`MobileNetV1`.

    Drops the ``module.`` prefix and cuts the one layer of 62 outputs, ``fc`` (3DDFA) or
    ``fc_param`` (3DDFA_V2), into the three heads. Other ``fc_*`` layers, which 3DDFA_V2's own
    loader ignores as well, are dropped. Raises KeyError without a joint layer.
    """
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    joint = next((head for head in JOINT_HEADS if f"{head}.weight" in bare), JOINT_HEADS[0])
    split = {name: value for name, value in bare.items() if not name.startswith(("fc.", "fc_"))}
    for leaf in ("weight", "bias"):
        rows = bare[f"{joint}.{leaf}"]
        if len(rows) != N_PARAMS:
            raise ValueError(f"{joint}.{leaf} has {len(rows)} outputs instead of {N_PARAMS}")
        split |= {
            f"fc_ori.{leaf}": rows[POSE],
            f"fc_shape.{leaf}": rows[SHAPE],
            f"fc_exp.{leaf}": rows[EXPRESSION],
            f"fc_tex.{leaf}": rows.new_zeros(N_TEXTURE, *rows.shape[1:]),
        }
    return split
