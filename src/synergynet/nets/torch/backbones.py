"""From a backbone's name, or from weights, to a network."""

from importlib import import_module
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ...weights.tensors import Weights, check_tensors
from ..backbones import BACKBONES, check_backbone
from .blocks import ThreeHeadBackbone

Net = TypeVar("Net", bound=nn.Module)


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


def trained_backbone(weights: Weights) -> ThreeHeadBackbone:
    """The deployed part of a network, in eval mode.

    Raises SynergyNetError if any of its tensors is missing, unknown or misshapen.
    """
    return fill(build_backbone(weights.described().architecture), weights, "I2P.backbone.").eval()


def fill(net: Net, weights: Weights, prefix: str = "") -> Net:
    """Load trained tensors bit for bit; a whole network keeps its face model and whitening.

    Args:
        net: a ``SynergyNet``, or the part of it that is called ``prefix`` there.
        weights: every tensor of ``net``, and no other that starts with ``prefix``.

    Raises SynergyNetError naming what is missing, unknown or misshapen.
    """
    held = {k: tuple(v.shape) for k, v in net.state_dict().items() if "." in k}
    found = {
        name.removeprefix(prefix): array
        for name, array in weights.tensors.items()
        if name.startswith(prefix)
    }
    check_tensors(weights.source, held, found)
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in found.items()}
    net.load_state_dict(tensors, strict=False)  # less the root's buffers, as checked above
    return net
