"""The training loop: plain torch, resumable after a kill at any moment."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..datasets.crop_list import (
    LabelledCrops,
    find_whitening,
    label_whitening,
    read_crops,
    read_list,
    read_params,
    refuse_evaluation_data,
    relabel,
)
from ..datasets.splits import validation_mask
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from ..geometry import params as layout
from ..geometry import pose
from ..geometry.conventions import Conventions
from ..nets.backbones import build_backbone
from ..nets.checkpoints import describe, load_checkpoint, save_checkpoint
from ..nets.efficientnet_lite import EfficientNetLite0, load_imagenet_weights
from ..nets.synergynet import SynergyNet
from .config import TrainConfig
from .feed import Batch, BatchMaker, validation_crops
from .state import load_state, save_state

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Validation:
    """On the held-back crops, cut by the landmark rule.

    nme: mean over faces of mean 2D distance / sqrt(w h) of the label's 68-point box, percent;
    nme_bins: the same for |yaw| <= 30, <= 60, > 60 (NaN for a bin without faces), and
    ``nme_balanced`` the mean of the bins that have faces.
    mae: mean absolute error of yaw, pitch and roll (exact decode), degrees.
    """

    nme: float
    nme_bins: tuple[float, float, float]
    mae: float

    @property
    def nme_balanced(self) -> float:
        return float(np.nanmean(self.nme_bins))


def load_training_data(
    config: TrainConfig, model: FaceModel
) -> tuple[LabelledCrops, LabelledCrops]:
    """Read and relabel the crops of a run: training part, validation part."""
    data = config.data
    refuse_evaluation_data(data.list)
    names = read_list(data.list)
    source, of_model = resolve_face_model(data.face_model)
    raw = read_params(data.params, find_whitening(data.params, of_model), len(names))
    keep = np.ones(len(names), dtype=bool)
    if data.quality is not None:
        try:
            with np.load(data.quality, allow_pickle=False) as labels:
                keep = labels["mirror_disagreement_px"] < data.max_disagreement_px
        except (OSError, ValueError, KeyError) as error:
            raise SynergyNetError(f"{data.quality}: no mirror_disagreement_px in it") from error
        if keep.shape != (len(names),):
            raise SynergyNetError(f"{data.quality}: made for another list than {data.list}")
    names = [n for n, k in zip(names, keep, strict=True) if k]
    images = read_crops(data.crops, names)
    if source.hash == model.hash:
        labels62, points = raw[keep].astype(np.float32), source.decode_landmarks(raw[keep])
    else:
        labels62, points = relabel(model, source, raw[keep])
    crops = LabelledCrops(names, images, labels62, points.astype(np.float32))
    held_back = validation_mask(names)
    if not held_back.any() or held_back.all():
        raise SynergyNetError(
            f"{data.list}: {len(names)} crops are too few to hold some back for validation"
        )
    return crops.subset(~held_back), crops.subset(held_back)


class Trainer:
    """One run: builds the network, trains, validates, saves.

    Files in ``config.output``: ``last.safetensors`` (to resume), ``best.safetensors`` (averaged
    weights with the best validation, the checkpoint to use) and ``log.csv``.
    """

    def __init__(self, config: TrainConfig, progress: Progress | None = None) -> None:
        self.config = config
        self._progress = progress
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.model, _ = resolve_face_model(config.target_model)
        self.train_crops, self.valid_crops = load_training_data(config, self.model)
        self._held_back = validation_crops(self.valid_crops, config.augmentation.border)
        self.net = self._build()
        self.whitening = self.net.whitening
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = self._optimizer()
        self.output = config.output
        self.output.mkdir(parents=True, exist_ok=True)
        self.step, self.best = 0, math.inf
        if self.state_file.is_file():
            self.step, self.best = load_state(
                self.state_file,
                model=self.net,
                ema=self.ema,
                optimizer=self.optimizer,
                fingerprint=self.fingerprint,
            )

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
        net = SynergyNet(
            build_backbone(self.config.backbone), self.model, self.whitening, self.net.conventions
        )
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


def to_input(images: np.ndarray) -> Tensor:
    """(B, 120, 120, 3) uint8 BGR -> (B, 3, 120, 120) float32 normalised, channels last."""
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return tensor.sub_(127.5).div_(128.0).contiguous(memory_format=torch.channels_last)


def predict(net: SynergyNet, images: np.ndarray, batch: int = 128) -> np.ndarray:
    """(N, 120, 120, 3) uint8 BGR -> raw parameters (N, 62) float32; ``net`` in eval mode."""
    out = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            out.append(net.dewhiten(net(to_input(images[start : start + batch]))).numpy())
    return np.concatenate(out)


def measure(model: FaceModel, raw: np.ndarray, truth: LabelledCrops) -> Validation:
    """Compare raw parameters (N, 62) with the labels of ``truth``."""
    found = model.decode_landmarks(raw)[..., :2]
    target = truth.landmarks[..., :2]
    size = np.sqrt(np.ptp(target, axis=1).prod(axis=1))
    nme = 100 * np.linalg.norm(found - target, axis=2).mean(axis=1) / size
    angles = [pose.euler_from_camera(layout.split(p)[0], "exact") for p in (raw, truth.params)]
    error = np.abs((angles[0] - angles[1] + 180) % 360 - 180)
    yaw = np.abs(angles[1][:, 1])
    bins = [yaw <= 30, (yaw > 30) & (yaw <= 60), yaw > 60]
    low, middle, high = (float(nme[b].mean()) if b.any() else float("nan") for b in bins)
    return Validation(float(nme.mean()), (low, middle, high), float(error.mean()))
