"""The network of a run: built, averaged over time, and its losses as one module."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ...datasets.readers.crop_list import LabelledCrops, label_whitening
from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.conventions import Conventions
from ...nets.loss_terms import MAFA_TERMS, REGRESSOR_TERMS, needs
from ...nets.torch.backbones import build_backbone
from ...nets.torch.checkpoints import load_checkpoint
from ...nets.torch.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from ...nets.torch.synergynet import SynergyNet
from ..config import TrainConfig


def build_network(config: TrainConfig, model: FaceModel, crops: LabelledCrops) -> SynergyNet:
    """A new network, one with ImageNet weights, or the one of ``config.initial``."""
    official = config.conventions == "official"
    conventions = Conventions.official() if official else Conventions.exact()
    if config.initial is not None:
        net, info = load_checkpoint(config.initial, model, conventions)
        if info.architecture != config.backbone or info.frame != config.frame:
            raise SynergyNetError(
                f"{config.initial}: a {info.architecture} of frame '{info.frame}', but the run "
                f"trains a {config.backbone} of frame '{config.frame}'"
            )
        if info.channel_order != "BGR":
            raise SynergyNetError(
                f"{config.initial}: weights of {info.channel_order} crops, but training feeds BGR; "
                "give weights of BGR crops"
            )
        if net.forwardDirection is None:
            raise SynergyNetError(f"{config.initial}: holds no MAFA and regressor to train on with")
        return channels_last(net)
    backbone = build_backbone(config.backbone)
    if config.pretrained and isinstance(backbone, EfficientNetLite0):
        load_imagenet_weights(backbone)
    return channels_last(SynergyNet(backbone, model, label_whitening(crops.params), conventions))


def channels_last(net: SynergyNet) -> SynergyNet:
    """Convolutions are fastest in this layout, on CPUs and GPUs."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def freeze(net: SynergyNet, parts: int) -> None:
    """Leave the first ``parts`` of the backbone's ``features`` as they are from now on.

    They run with their batch norms folded into their convolutions, which halves their time.

    Raises SynergyNetError if it has no such chain, or a shorter one.
    """
    frozen = _frozen(net, parts)
    if not frozen:
        return
    for part in frozen:
        part.requires_grad_(False)
        part.forward = _handed_on  # type: ignore[method-assign,assignment]
    folded: list[nn.Module] = []

    def forward(images: Tensor) -> Tensor:
        if not folded:  # by now the weights of a continued run are in place
            folded.append(_folded(nn.Sequential(*(_unpatched(part) for part in frozen))))
        # Half precision would not pay: without a backward pass, these layers wait for memory.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            answer: Tensor = folded[0](images)
        return answer

    frozen[0].forward = forward  # type: ignore[method-assign]


def _handed_on(x: Tensor) -> Tensor:
    return x


def _unpatched(part: nn.Module) -> nn.Module:
    """A copy that runs as its classes do."""
    copied = copy.deepcopy(part)
    for module in copied.modules():
        module.__dict__.pop("forward", None)
    return copied


def _folded(module: nn.Module) -> nn.Module:
    """``module`` in eval mode, each batch norm folded into the convolution before it."""
    module.eval()
    for child in module.children():
        _folded(child)
    if isinstance(module, nn.Sequential):
        for i in range(1, len(module)):
            conv, norm = module[i - 1], module[i]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[i - 1], module[i] = fuse_conv_bn_eval(conv, norm), nn.Identity()
            elif isinstance(norm, nn.ReLU6):
                norm.inplace = True
    return module


def _frozen(net: SynergyNet, parts: int) -> list[nn.Module]:
    if parts == 0:
        return []
    chain = getattr(net.backbone, "features", None)
    if not isinstance(chain, nn.Sequential) or parts > len(chain):
        held = len(chain) if isinstance(chain, nn.Sequential) else 0
        raise SynergyNetError(
            f"freeze: {parts} parts, but {net.backbone.name} has {held} parts in a chain"
        )
    return list(chain)[:parts]


def train_mode(net: SynergyNet, *, freeze_batch_norm: bool, frozen_parts: int = 0) -> None:
    """``net.train()``; batch norm may go on with its running statistics.

    So it does in the first ``frozen_parts`` of the backbone.
    """
    net.train()
    for part in _frozen(net, frozen_parts):
        part.eval()
    if freeze_batch_norm:
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


class Objective(nn.Module):
    """Batch -> losses: what several processes have to run together."""

    def __init__(self, net: SynergyNet, config: TrainConfig) -> None:
        super().__init__()
        self.net = net
        self._weights, self._z_weight = config.losses, config.z_weight

    @property
    def leaves_parameters_unused(self) -> bool:
        """Whether no loss needs MAFA, or none the regressor."""
        return not (needs(MAFA_TERMS, self._weights) and needs(REGRESSOR_TERMS, self._weights))

    def forward(self, images: Tensor, params: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """Normalised (B, 3, 120, 120), whitened (B, 62), crop1 (B, 3, 68) -> losses by name."""
        return self.net.training_losses(images, params, landmarks, self._weights, self._z_weight)


class MovingAverage:
    """Exponential moving average of weights and statistics, with a short memory at the start.

    Attributes:
        values: the averages, by their names in ``net``'s state dict.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        live = net.state_dict()
        self.values = {k: v.detach().clone() for k, v in live.items()}
        self._decay = decay
        moving = [k for k, v in live.items() if v.is_floating_point()]
        self._live, self._average = [live[k] for k in moving], [self.values[k] for k in moving]
        self._counts = [(v, self.values[k]) for k, v in live.items() if not v.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number ``step``."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)
        for live, average in self._counts:
            average.copy_(live)
