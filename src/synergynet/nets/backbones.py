"""The backbones by name."""

from collections.abc import Callable

from ..errors import SynergyNetError
from .blocks import ThreeHeadBackbone
from .efficientnet_lite import EfficientNetLite0
from .mobilenet_v2 import MobileNetV2

BACKBONES: dict[str, Callable[..., ThreeHeadBackbone]] = {
    "mobilenet_v2": MobileNetV2,
    "efficientnet_lite0": EfficientNetLite0,
}


def build_backbone(name: str, dropout: float = 0.2) -> ThreeHeadBackbone:
    """A freshly initialised backbone; ``.feature_dim`` is the width F of its pooled features.

    Calling it maps normalised crops (B, 3, 120, 120) to whitened params (B, 62) and
    pooled features (B, F). Raises SynergyNetError for an unknown name.
    """
    if name not in BACKBONES:
        raise SynergyNetError(f"Unknown backbone {name!r}; choose from: {', '.join(BACKBONES)}.")
    return BACKBONES[name](dropout=dropout)


def backbone_name(net: ThreeHeadBackbone) -> str:
    """The registry name that builds a backbone of this class."""
    return next(name for name, cls in BACKBONES.items() if type(net) is cls)
