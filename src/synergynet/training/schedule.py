"""How long a run is and how fast it learns."""

import math

from ..errors import SynergyNetError
from .config import TrainConfig


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
