"""The network of a run: built, averaged over time, and its losses as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..datasets.crop_list import LabelledCrops, label_whitening
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.conventions import Conventions
from ..nets.backbones import build_backbone
from ..nets.checkpoints import load_checkpoint
from ..nets.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from ..nets.losses import MAFA_TERMS, REGRESSOR_TERMS, needs
from ..nets.synergynet import SynergyNet
from .config import TrainConfig


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


def train_mode(net: nn.Module, *, freeze_batch_norm: bool) -> None:
    """``net.train()``; batch norm may go on with its running statistics."""
    net.train()
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
