"""The network of a run: built, averaged over time, and its losses as one module."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.params import INPUT_MEAN, INPUT_STD, FloatArray, Whitening
from ...nets.loss_terms import MAFA_TERMS, REGRESSOR_TERMS, needs
from ...nets.torch.backbones import build_backbone
from ...nets.torch.checkpoints import load_checkpoint
from ...nets.torch.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from ...nets.torch.synergynet import SynergyNet
from ..backend import average_decay, check_initial, conventions_of, has_regularisers
from ..config import OptimizerConfig, TrainConfig


def build_network(config: TrainConfig, model: FaceModel, whitening: Whitening) -> SynergyNet:
    """A new network, one with ImageNet weights, or the one of ``config.initial``."""
    conventions = conventions_of(config)
    if config.initial is not None:
        net, info = load_checkpoint(config.initial, model, conventions)
        check_initial(config, info, regularisers=net.forwardDirection is not None)
        if not has_regularisers(config):
            net.forwardDirection = net.reverseDirection = None
        return channels_last(net)
    backbone = build_backbone(config.backbone)
    if config.pretrained and isinstance(backbone, EfficientNetLite0):
        load_imagenet_weights(backbone)
    regularisers = has_regularisers(config)
    net = SynergyNet(backbone, model, whitening, conventions, regularisers=regularisers)
    return channels_last(net)


def build_optimizer(net: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """SGD decays every parameter, as the official one; AdamW only matrices and kernels."""
    # ``fused`` updates all parameters in one pass over memory.
    if config.name == "sgd":
        return torch.optim.SGD(
            net.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.momentum > 0,
            fused=True,
        )
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def to_input(
    images: NDArray[np.uint8], std: float = INPUT_STD, device: torch.device | None = None
) -> Tensor:
    """(B, 120, 120, 3) uint8 BGR -> (B, 3, 120, 120) float32 normalised, channels last.

    They go over to ``device`` as bytes.
    """
    tensor = torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    return tensor.sub_(INPUT_MEAN).div_(std).contiguous(memory_format=torch.channels_last)


def predict(net: SynergyNet, images: NDArray[np.uint8], batch: int = 128) -> FloatArray:
    """(N, 120, 120, 3) uint8 BGR -> raw parameters (N, 62) float32; ``net`` in eval mode."""
    out = []
    std = net.conventions.validation_std
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            out.append(net.dewhiten(net(to_input(images[start : start + batch], std))).numpy())
    return np.concatenate(out)


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
        part.forward = nn.Identity().forward  # type: ignore[method-assign]
    folded: list[nn.Module] = []

    def forward(images: Tensor) -> Tensor:
        if not folded:  # by now the weights of a continued run are in place
            folded.append(_folded(nn.Sequential(*(_unpatched(part) for part in frozen))))
        # Half precision would not pay: without a backward pass, these layers wait for memory.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            answer: Tensor = folded[0](images)
        return answer

    frozen[0].forward = forward  # type: ignore[method-assign]


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
        """Whether the network has MAFA and a regressor of which no loss needs one."""
        used = needs(MAFA_TERMS, self._weights) and needs(REGRESSOR_TERMS, self._weights)
        return self.net.forwardDirection is not None and not used

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
        torch._foreach_lerp_(self._average, self._live, 1 - average_decay(self._decay, step))
        for live, average in self._counts:
            average.copy_(live)
