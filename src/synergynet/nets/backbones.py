"""The backbones by name."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

from ..errors import SynergyNetError
from . import mobilenet_v1, resnest, resnet
from .blocks import ThreeHeadBackbone
from .efficientnet_lite import EfficientNetLite0
from .ghostnet import GhostNet
from .mobilenet_v2 import MobileNetV2

BACKBONES: dict[str, Callable[..., ThreeHeadBackbone]] = {
    "mobilenet_v2": MobileNetV2,
    "efficientnet_lite0": EfficientNetLite0,
    **{name: partial(mobilenet_v1.MobileNetV1, name) for name in mobilenet_v1.WIDTHS},
    **{name: partial(resnet.ResNet, name) for name in resnet.VARIANTS},
    "ghostnet": GhostNet,
    **{name: partial(resnest.ResNeSt, name) for name in resnest.VARIANTS},
}


def build_backbone(name: str, dropout: float | None = None) -> ThreeHeadBackbone:
    """A freshly initialised backbone; ``.feature_dim`` is the width F of its pooled features.

    Calling it maps normalised crops (B, 3, 120, 120) to whitened params (B, 62) and
    pooled features (B, F). ``dropout`` before the heads is the official rate by default: 0.2
    for mobilenet_v2, efficientnet_lite0 and ghostnet, none for the others.

    Raises SynergyNetError for an unknown name, naming the nearest known one.
    """
    check_backbone(name)
    return BACKBONES[name]() if dropout is None else BACKBONES[name](dropout=dropout)


def check_backbone(name: str) -> None:
    """Raise SynergyNetError for an unknown name, naming the nearest known one."""
    if name not in BACKBONES:
        nearest = get_close_matches(name.lower(), BACKBONES, n=1)
        hint = f"did you mean {nearest[0]!r}? Known are" if nearest else "choose from"
        raise SynergyNetError(f"Unknown backbone {name!r}; {hint}: {', '.join(BACKBONES)}.")


def backbone_name(net: ThreeHeadBackbone) -> str:
    """The registry name that builds a backbone like ``net``."""
    return net.name
