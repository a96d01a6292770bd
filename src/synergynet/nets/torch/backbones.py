"""From a backbone's name to a network."""

from importlib import import_module

from ..backbones import BACKBONES, check_backbone
from .blocks import ThreeHeadBackbone


def build_backbone(name: str, dropout: float | None = None) -> ThreeHeadBackbone:
    """A freshly initialised backbone; ``.feature_dim`` is the width F of its pooled features.

    Calling it maps normalised crops (B, 3, 120, 120) to whitened params (B, 62) and
    pooled features (B, F). ``dropout`` before the heads is the official rate by default: 0.2
    for mobilenet_v2, efficientnet_lite0 and ghostnet, none for the others.

    Raises SynergyNetError for an unknown name, naming the nearest known one.
    """
    check_backbone(name)
    module, _, cls = BACKBONES[name].partition(":")
    build = getattr(import_module(f".{module}", __package__), cls)
    net: ThreeHeadBackbone = build(name) if dropout is None else build(name, dropout)
    return net
