"""The training loop: plain torch, resumable after a kill at any moment."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..datasets.crop_list import label_whitening
from ..errors import SynergyNetError
from ..face_model.sources import resolve_face_model
from ..files import write_whole
from ..geometry.conventions import Conventions
from ..geometry.params import Whitening
from ..nets.backbones import build_backbone
from ..nets.checkpoints import describe, load_checkpoint, save_checkpoint
from ..nets.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from ..nets.synergynet import SynergyNet
from .config import TrainConfig
from .data import load_training_data
from .feed import Batch, BatchMaker
from .state import load_state, save_state
from .validation import Validation, measure, predict, to_input, validation_crops

Progress = Callable[[int, int, dict[str, float]], None]


class Trainer:
    """One run: builds the network, trains, validates, saves.

    Files in ``config.output``: ``last.safetensors`` (to resume), ``best.safetensors`` (averaged
    weights with the best validation, the checkpoint to use) and ``log.csv``.
    """

    def __init__(self, config: TrainConfig, progress: Progress | None = None) -> None:
        self.config = config
        self._progress = progress
        self.output = config.output
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{self.output}: not a folder to write to ({error})") from error
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.model, _ = resolve_face_model(config.target_model)
        self.train_crops, self.valid_crops = load_training_data(config, self.model)
        self._held_back = validation_crops(self.valid_crops, config.augmentation.border)
        self.net = self._build()
        self.whitening = self.net.whitening
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = self._optimizer()
        self.step, self.best = 0, math.inf
        if self.state_file.is_file():
            self.step, self.best = load_state(
                self.state_file,
                model=self.net,
                ema=self.ema,
                optimizer=self.optimizer,
                fingerprint=self.fingerprint,
            )
            # A run that began from another checkpoint goes on in that one's units.
            net = self.net
            self.whitening = Whitening(net.param_mean.numpy(), net.param_std.numpy())
            self._forget_log_after(self.step)

    @property
    def state_file(self) -> Path:
        return self.output / "last.safetensors"

    @property
    def fingerprint(self) -> str:
        """Identifies what must not change between a run and its continuation."""
        fixed = self.config.model_dump_json(
            exclude={"output", "threads", "validate_every", "save_every", "log_every", "initial"}
        )
        return hashlib.sha256((fixed + self.model.hash).encode()).hexdigest()

    def _build(self) -> SynergyNet:
        """A new network, one with ImageNet weights, or the one of ``config.initial``."""
        config = self.config
        official = config.conventions == "official"
        conventions = Conventions.official() if official else Conventions.exact()
        if config.initial is not None:
            net, info = load_checkpoint(config.initial, self.model, conventions)
            if info.architecture != config.backbone or info.frame != "pixel":
                raise SynergyNetError(
                    f"{config.initial}: a {info.architecture} of frame '{info.frame}', but the run "
                    f"trains a {config.backbone} of frame 'pixel'"
                )
            if net.forwardDirection is None:
                raise SynergyNetError(
                    f"{config.initial}: holds no MAFA and regressor to train on with"
                )
            return _channels_last(net)
        backbone = build_backbone(config.backbone)
        if config.pretrained and isinstance(backbone, EfficientNetLite0):
            load_imagenet_weights(backbone)
        whitening = label_whitening(self.train_crops.params)
        return _channels_last(SynergyNet(backbone, self.model, whitening, conventions))

    def _optimizer(self) -> torch.optim.Optimizer:
        c = self.config.optimizer
        if c.name == "sgd":
            return torch.optim.SGD(
                self.net.parameters(),
                lr=c.learning_rate,
                momentum=c.momentum,
                weight_decay=c.weight_decay,
                nesterov=c.momentum > 0,
            )
        matrices = [p for p in self.net.parameters() if p.ndim > 1]
        vectors = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": c.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=c.learning_rate)

    def learning_rate(self, step: int) -> float:
        c, s = self.config.schedule, self.config
        base = s.optimizer.learning_rate
        if step < c.warmup_steps:
            return base * (step + 1) / c.warmup_steps
        done = (step - c.warmup_steps) / max(1, s.steps - c.warmup_steps)
        if c.name == "cosine":
            return base * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return base * c.factor ** sum(step / s.steps >= m for m in c.milestones)

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
        )
        self.net.train()
        started, waited, first = time.perf_counter(), 0.0, self.step
        result = None
        stream = maker.stream(self.step, config.steps)
        while self.step < config.steps:
            tick = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - tick
            losses = self._train_step(batch)
            self.step += 1
            done, end = self.step - first, self.step == config.steps
            if self.step % config.log_every == 0 or end:
                elapsed = time.perf_counter() - started
                numbers = {k: float(v.detach()) for k, v in losses.items()}
                numbers |= {
                    "learning_rate": self.learning_rate(self.step - 1),
                    "crops_per_second": done * config.batch_size / elapsed,
                    "data_wait": waited / elapsed,
                }
                self._log("train", numbers)
                if self._progress is not None:
                    self._progress(self.step, config.steps, numbers)
            if self.step % config.validate_every == 0 or end:
                result = self._validate_and_keep()
            if self.step % config.save_every == 0 or end:
                self._save_state()
        return result or self.validate()

    def _train_step(self, batch: Batch) -> dict[str, Tensor]:
        images = to_input(batch.images)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        losses = self.net.training_losses(
            images,
            torch.from_numpy(batch.params),
            torch.from_numpy(batch.landmarks),
            self.config.losses,
            self.config.z_weight,
        )
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        if self.config.optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.optimizer.clip_norm)
        if not torch.isfinite(total):
            raise SynergyNetError(
                f"step {self.step}: the loss is not finite; lower optimizer.learning_rate"
            )
        self.optimizer.step()
        self._average()
        return {**losses, "loss_total": total}

    def _average(self) -> None:
        """Exponential moving average, with a short memory at the start."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                if value.dtype.is_floating_point:
                    self.ema[key].lerp_(value, 1 - decay)
                else:
                    self.ema[key].copy_(value)

    def averaged(self) -> SynergyNet:
        """The network with averaged weights, in eval mode."""
        with torch.random.fork_rng():  # building draws numbers; training must not notice
            backbone = build_backbone(self.config.backbone)
            net = SynergyNet(backbone, self.model, self.whitening, self.net.conventions)
        net.load_state_dict(self.ema)
        return _channels_last(net.eval())

    def validate(self) -> Validation:
        """Validation of the averaged weights."""
        raw = predict(self.averaged(), self._held_back.images)
        return measure(self.model, raw, self._held_back)

    def _validate_and_keep(self) -> Validation:
        result = self.validate()
        numbers = {"nme": result.nme, "nme_balanced": result.nme_balanced, "mae": result.mae}
        self._log("validation", numbers)
        if self._progress is not None:
            self._progress(
                self.step, self.config.steps, {f"valid_{k}": v for k, v in numbers.items()}
            )
        if result.nme_balanced < self.best:
            self.best = result.nme_balanced
            net = self.averaged()
            info = describe(
                net,
                training_data=self.config.data.description,
                frame="pixel",
                border=self.config.augmentation.border,
                accuracy={f"validation_{k}": round(v, 4) for k, v in numbers.items()},
                extra={
                    "step": self.step,
                    "config": self.config.model_dump(mode="json", exclude={"data", "output"}),
                },
            )
            save_checkpoint(self.output / "best.safetensors", net, info)
        return result

    def _save_state(self) -> None:
        save_state(
            self.state_file,
            step=self.step,
            model=self.net,
            ema=self.ema,
            optimizer=self.optimizer,
            fingerprint=self.fingerprint,
            best=self.best,
        )

    def _forget_log_after(self, step: int) -> None:
        """Drop lines of steps that the killed run took after its last save."""
        path = self.output / "log.csv"
        if path.is_file():
            head, *rows = path.read_text(encoding="utf-8").splitlines()
            kept = [row for row in rows if row.split(",", 1)[0].isdigit()]
            kept = [row for row in kept if int(row.split(",", 1)[0]) <= step]
            write_whole(path, ("\n".join([head, *kept]) + "\n").encode())

    def _log(self, phase: str, numbers: dict[str, float]) -> None:
        """Append to ``log.csv``: long format, one number a line, readable by anything."""
        path = self.output / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if fresh:
                writer.writerow(["step", "phase", "name", "value"])
            writer.writerows([self.step, phase, k, f"{v:.6g}"] for k, v in numbers.items())


def _channels_last(net: SynergyNet) -> SynergyNet:
    """Convolutions on a CPU are fastest in this layout."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
