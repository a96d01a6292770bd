"""How long a run is, how fast it learns, and who applies the gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import SynergyNetError
from .config import OptimizerConfig, TrainConfig

if TYPE_CHECKING:
    import torch
    from torch import nn


class Schedule:
    """The length of a run and its learning rate, both counted in optimizer steps.

    An epoch has ``crops // batch_size`` steps: the official loader drops the last, smaller batch.
    """

    def __init__(self, config: TrainConfig, crops: int) -> None:
        self._config, self._base = config.schedule, config.optimizer.learning_rate
        per_epoch = crops // config.batch_size
        if per_epoch == 0:
            raise SynergyNetError(
                f"batch_size {config.batch_size} is more than the {crops} crops to train on"
            )
        self.steps = config.steps or (config.epochs or 0) * per_epoch
        warmup_epochs = config.schedule.warmup_epochs
        self._warmup = config.schedule.warmup_steps
        if warmup_epochs is not None:
            self._warmup = round(warmup_epochs * per_epoch)

    def learning_rate(self, step: int) -> float:
        """For step number ``step``, from 0."""
        c = self._config
        if step < self._warmup:
            return self._base * (c.factor if c.warmup == "constant" else (step + 1) / self._warmup)
        if c.name == "cosine":
            done = (step - self._warmup) / max(1, self.steps - self._warmup)
            return self._base * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self._base * c.factor ** sum(step / self.steps >= m for m in c.milestones)


def build_optimizer(net: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """SGD decays every parameter, as the official one; AdamW only matrices and kernels."""
    import torch

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
    groups = [
        {
            "params": [p for p in net.parameters() if p.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
