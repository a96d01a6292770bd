"""The training loop: plain torch, resumable after a kill at any moment."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...datasets.readers.crop_list import LabelledCrops
from ...errors import SynergyNetError
from ...face_model.sources import resolve_face_model
from ...geometry.params import INPUT_MEAN, INPUT_STD, Whitening
from ...nets.torch.backbones import build_backbone
from ...nets.torch.checkpoints import describe, save_checkpoint
from ...nets.torch.synergynet import SynergyNet
from ..config import TrainConfig
from ..crops import load_training_data
from ..feed import Batch, BatchMaker
from ..logs import PhaseClock, RunLog, check_tensorboard
from ..schedule import Schedule, build_optimizer
from ..validation import Validation, measure, predict, validation_crops
from .distributed import join_world
from .memory import keep_freed_memory
from .network import (
    MovingAverage,
    Objective,
    build_network,
    channels_last,
    freeze,
    train_mode,
)
from .precision import autocast_network, check_precision, slow_precision
from .state import load_state, save_state

Progress = Callable[[int, int, dict[str, float]], None]

# Settings that may change between a run and its continuation.
_FREE = {
    "output", "initial", "threads", "device", "validate_every", "save_every", "log_every",
    "tensorboard", "graph",
}  # fmt: skip


class Trainer:
    """One run: builds the network, trains, validates, saves.

    Files in ``config.output``: ``last.safetensors`` (to resume), ``best.safetensors`` (averaged
    weights with the best validation, the checkpoint to use) and ``log.csv``.

    Under ``torchrun`` every process makes a Trainer and runs it; the main one writes the files.

    Args:
        config: the settings.
        progress: called with (step, steps, numbers) for every line of the log.
        crops: (training, validation) crops labelled for the target model, in place of the files
            that ``config.data`` names.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Progress | None = None,
        crops: tuple[LabelledCrops, LabelledCrops] | None = None,
    ) -> None:
        self.config, self.output = config, config.output
        self.progress = progress
        if config.tensorboard:
            check_tensorboard()
        keep_freed_memory()
        torch.set_num_threads(config.threads)
        self.world = join_world(config.device)
        self.device = self.world.device
        check_precision(config.precision, self.device)
        self.advice = slow_precision(config.precision, self.device)
        self._part = self._rows_at_once()
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{self.output}: not a folder to write to ({error})") from error
        torch.manual_seed(config.seed)
        self.model, _ = resolve_face_model(config.target_model)
        self.train_crops, self.valid_crops = crops or load_training_data(config, self.model)
        self._held_back = validation_crops(self.valid_crops, config.augmentation.border)
        self._schedule = Schedule(config, len(self.train_crops))
        self.steps = self._schedule.steps
        self.net = build_network(config, self.model, self.train_crops).to(self.device)
        freeze(self.net, config.freeze)
        autocast_network(self.net, config.precision, self.device)
        if self.world.size > 1 and self.device.type == "cuda":
            self.net = nn.SyncBatchNorm.convert_sync_batchnorm(self.net)
        self.whitening = self.net.whitening
        self._average = MovingAverage(self.net, config.ema_decay)
        self.optimizer = build_optimizer(self.net, config.optimizer)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.step, self.best = 0, math.inf
        if self.state_file.is_file():
            self._resume()
        if self.world.from_main(self.step) != self.step:
            raise SynergyNetError(
                f"{self.state_file}: not the same in all processes; "
                "the machines of a run must share its output folder"
            )
        self._log = None
        if self.world.main:
            self._log = RunLog(self.output, self.step, tensorboard=config.tensorboard)
        objective = Objective(self.net, config)
        self._objective = self.world.wrap(objective, unused=objective.leaves_parameters_unused)

    @property
    def state_file(self) -> Path:
        return self.output / "last.safetensors"

    @property
    def fingerprint(self) -> str:
        """Identifies what must not change between a run and its continuation."""
        # Defaults are left out, so that a new setting does not lock old runs out.
        fixed = self.config.model_dump_json(exclude=_FREE, exclude_defaults=True)
        return hashlib.sha256((fixed + self.model.hash).encode()).hexdigest()

    def _rows_at_once(self) -> int:
        """How many crops go through the network of one process at a time."""
        batch, parts = self.config.batch_size, self.world.size * self.config.accumulate
        if batch % parts:
            raise SynergyNetError(
                f"batch_size {batch} does not divide into {self.world.size} process(es) x "
                f"accumulate {self.config.accumulate} parts"
            )
        if batch == parts and not self.config.freeze_batch_norm:
            raise SynergyNetError(
                f"batch_size {batch} in {parts} parts leaves one crop in each; "
                "batch norm needs two: lower accumulate"
            )
        return batch // parts

    def run(self) -> Validation:
        """Train to the end of the schedule; returns the last validation."""
        config = self.config
        maker = BatchMaker(
            self.train_crops,
            self.model,
            self.whitening,
            config.augmentation,
            batch_size=config.batch_size,
            seed=config.seed,
            rows=self.world.share(config.batch_size),
        )
        train_mode(
            self.net,
            freeze_batch_norm=config.freeze_batch_norm,
            frozen_parts=config.freeze,
        )
        clock = PhaseClock()
        result = None
        for batch in maker.stream(self.step, self.steps):
            clock.lap("data")
            losses = self._train_step(batch, clock)
            self.step += 1
            end = self.step == self.steps
            if self.step % config.log_every == 0 or end:
                self._report_losses(losses, clock)
            if self.world.main and (self.step % config.validate_every == 0 or end):
                result = self._validate_and_keep()
            if self.world.main and (self.step % config.save_every == 0 or end):
                self._save_state()
            clock.skip()
        if self._log is not None:
            self._log.close()
            result = result or self.validate()
        last = self.world.from_main(result)
        assert last is not None
        return last

    def _train_step(self, batch: Batch, clock: PhaseClock) -> dict[str, Tensor]:
        config = self.config
        images, params, landmarks = self._to_device(batch)
        clock.lap("input")
        for group in self.optimizer.param_groups:
            group["lr"] = self._schedule.learning_rate(self.step)
        torch.manual_seed(self._seed_of_step())
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
        if not torch.isfinite(sums["loss_total"]):
            raise SynergyNetError(
                f"step {self.step}: the loss is not finite; lower optimizer.learning_rate"
            )
        clock.lap("backward")  # a GPU had to finish to tell
        self._scaler.unscale_(self.optimizer)
        if config.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), config.optimizer.clip_norm)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._average.update(self.step)
        clock.lap("update")
        clock.end_step()
        return sums

    def _to_device(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Images go over as bytes and are normalised where the network is."""
        images, params, landmarks = (
            torch.from_numpy(array).to(self.device, non_blocking=True)
            for array in (batch.images, batch.params, batch.landmarks)
        )
        normalised = images.permute(0, 3, 1, 2).float().sub_(INPUT_MEAN).div_(INPUT_STD)
        return normalised.contiguous(memory_format=torch.channels_last), params, landmarks

    def _seed_of_step(self) -> int:
        """For dropout: a continued run draws what an undisturbed one does, each process its own."""
        sequence = np.random.SeedSequence([self.config.seed, 3, self.step, self.world.rank])
        return int(sequence.generate_state(1, np.uint64)[0])

    def _communication(self, *, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, after the last part of the batch."""
        if last or not isinstance(self._objective, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self._objective.no_sync()

    def _report_losses(self, losses: dict[str, Tensor], clock: PhaseClock) -> None:
        means = self.world.mean(torch.stack(list(losses.values()))).tolist()
        numbers = dict(zip(losses, means, strict=True))
        numbers["learning_rate"] = self._schedule.learning_rate(self.step - 1)
        self._report("train", numbers | clock.read(self.config.batch_size))

    def _report(self, phase: str, numbers: dict[str, float]) -> None:
        if self._log is not None:
            self._log.write(self.step, phase, numbers)
        if self.progress is not None and self.world.main:
            prefix = "valid_" if phase == "validation" else ""
            shown = {prefix + name: value for name, value in numbers.items()}
            self.progress(self.step, self.steps, shown)

    def averaged(self) -> SynergyNet:
        """The network with averaged weights, on the CPU, in eval mode."""
        with torch.random.fork_rng():  # building draws numbers; training must not notice
            backbone = build_backbone(self.config.backbone)
            net = SynergyNet(backbone, self.model, self.whitening, self.net.conventions)
        net.load_state_dict(self._average.values)
        return channels_last(net.eval())

    def validate(self) -> Validation:
        """Validation of the averaged weights."""
        raw = predict(self.averaged(), np.asarray(self._held_back.images))
        return measure(self.model, raw, self._held_back)

    def _validate_and_keep(self) -> Validation:
        result = self.validate()
        numbers = {"nme": result.nme, "nme_balanced": result.nme_balanced, "mae": result.mae}
        self._report("validation", numbers)
        if result.nme_balanced < self.best:
            self.best = result.nme_balanced
            net = self.averaged()
            info = describe(
                net,
                training_data=self.config.data.description,
                frame=self.config.frame,
                border=self.config.augmentation.border,
                accuracy={f"validation_{k}": round(v, 4) for k, v in numbers.items()},
                extra={
                    "step": self.step,
                    "config": self.config.model_dump(
                        mode="json", exclude={"data", "output", "initial"}
                    ),
                },
            )
            save_checkpoint(self.output / "best.safetensors", net, info)
        return result

    def _save_state(self) -> None:
        save_state(
            self.state_file,
            step=self.step,
            model=self.net,
            ema=self._average.values,
            optimizer=self.optimizer,
            scaler=self._scaler,
            fingerprint=self.fingerprint,
            best=self.best,
        )

    def _resume(self) -> None:
        self.step, self.best = load_state(
            self.state_file,
            model=self.net,
            ema=self._average.values,
            optimizer=self.optimizer,
            scaler=self._scaler,
            fingerprint=self.fingerprint,
        )
        # A run that began from another checkpoint goes on in that one's units.
        mean, std = self.net.param_mean.cpu().numpy(), self.net.param_std.cpu().numpy()
        self.whitening = Whitening(mean, std)
