"""The training loop's backend in PyTorch."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.params import FloatArray, Whitening
from ...nets.torch.backbones import build_backbone
from ...nets.torch.checkpoints import save_checkpoint
from ...nets.torch.synergynet import SynergyNet
from ...weights.info import WeightsInfo
from ..backend import Backend, Standing, check_finite
from ..config import TrainConfig
from ..feed import Batch
from ..logs import PhaseClock
from .distributed import TorchWorld, join_world
from .memory import keep_freed_memory
from .network import (
    MovingAverage,
    Objective,
    build_network,
    build_optimizer,
    channels_last,
    freeze,
    predict,
    to_input,
    train_mode,
)
from .precision import autocast_network, check_precision, slow_precision
from .state import load_state, save_state


class TorchBackend(Backend):
    """On the CPU or a GPU, in each of the processes that ``torchrun`` starts."""

    world: TorchWorld
    net: SynergyNet
    average: MovingAverage
    optimizer: torch.optim.Optimizer

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        keep_freed_memory()
        torch.set_num_threads(config.threads)
        self.world = join_world(config.device)
        self.device = self.world.device
        check_precision(config.precision, self.device)
        self.advice = slow_precision(config.precision, self.device)
        self._part = _rows_at_once(config, self.world.size)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")

    def build(self, model: FaceModel, whitening: Whitening) -> None:
        config = self._config
        torch.manual_seed(config.seed)
        self.net = build_network(config, model, whitening).to(self.device)
        freeze(self.net, config.freeze)
        autocast_network(self.net, config.precision, self.device)
        if self.world.size > 1 and self.device.type == "cuda":
            self.net = nn.SyncBatchNorm.convert_sync_batchnorm(self.net)
        self.average = MovingAverage(self.net, config.ema_decay)
        self.optimizer = build_optimizer(self.net, config.optimizer)

    def load_state(self, path: Path, fingerprint: str) -> Standing:
        standing = load_state(
            path, fingerprint, self.net, self.average.values, self.optimizer, self._scaler
        )
        # A run that began from another checkpoint goes on in that one's units.
        mean, std = self.net.param_mean.cpu().numpy(), self.net.param_std.cpu().numpy()
        self.net.whitening = Whitening(mean, std)
        return standing

    def save_state(self, path: Path, standing: Standing) -> None:
        save_state(path, standing, self.net, self.average.values, self.optimizer, self._scaler)

    def start(self) -> None:
        config, objective = self._config, Objective(self.net, self._config)
        self._objective = self.world.wrap(objective, unused=objective.leaves_parameters_unused)
        train_mode(self.net, freeze_batch_norm=config.freeze_batch_norm, frozen_parts=config.freeze)

    def step(self, batch: Batch, rate: float, step: int, clock: PhaseClock) -> dict[str, Tensor]:
        config = self._config
        images = to_input(batch.images, device=self.device)
        params, landmarks = (
            torch.from_numpy(array).to(self.device, non_blocking=True)
            for array in (batch.params, batch.landmarks)
        )
        clock.lap("input")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # For dropout: a continued run draws what an undisturbed one does, each process its own.
        seeds = np.random.SeedSequence([config.seed, 3, step, self.world.rank])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for start in range(0, len(images), self._part):
            rows = slice(start, start + self._part)
            with self._communication(last=rows.stop == len(images)):
                losses = self._objective(images[rows], params[rows], landmarks[rows])
                total = torch.stack(list(losses.values())).sum() / config.accumulate
                clock.lap("forward")
                self._scaler.scale(total).backward()
                clock.lap("backward")
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach() / config.accumulate
        sums["loss_total"] = torch.stack(list(sums.values())).sum()
        check_finite(float(sums["loss_total"]), step)
        clock.lap("backward")  # a GPU had to finish to tell
        self._scaler.unscale_(self.optimizer)
        if config.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), config.optimizer.clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.average.update(step)
        clock.lap("update")
        clock.end_step()
        return sums

    def _communication(self, *, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, after the last part of the batch."""
        if last or not isinstance(self._objective, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self._objective.no_sync()

    def numbers(self, losses: dict[str, Tensor]) -> dict[str, float]:
        means = self.world.mean(torch.stack(list(losses.values()))).tolist()
        return dict(zip(losses, means, strict=True))

    def averaged(self) -> SynergyNet:
        """The network with averaged weights, on the CPU, in eval mode."""
        with torch.random.fork_rng():  # building draws numbers; training must not notice
            backbone = build_backbone(self._config.backbone)
            model, conventions = self.net.face_model, self.net.conventions
            regularisers = self.net.forwardDirection is not None
            net = SynergyNet(
                backbone, model, self.whitening, conventions, regularisers=regularisers
            )
        net.load_state_dict(self.average.values)
        return channels_last(net.eval())

    def predict(self, images: NDArray[np.uint8]) -> FloatArray:
        return predict(self.averaged(), images)

    def save_best(self, path: Path, info: WeightsInfo) -> None:
        save_checkpoint(path, self.averaged(), info)


def _rows_at_once(config: TrainConfig, processes: int) -> int:
    """How many crops go through the network of one process at a time."""
    batch, parts = config.batch_size, processes * config.accumulate
    if batch % parts:
        raise SynergyNetError(
            f"batch_size {batch} does not divide into {processes} process(es) x "
            f"accumulate {config.accumulate} parts"
        )
    if batch == parts and not config.freeze_batch_norm:
        raise SynergyNetError(
            f"batch_size {batch} in {parts} parts leaves one crop in each; "
            "batch norm needs two: lower accumulate"
        )
    return batch // parts
