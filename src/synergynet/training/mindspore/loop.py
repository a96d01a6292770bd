"""The training loop in MindSpore: batches, schedule and validation are those of ``training/``."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's remarks on stderr: errors only

import mindspore
import numpy as np
from mindspore import Tensor, nn

from ...datasets.readers.crop_list import LabelledCrops, label_whitening
from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...face_model.sources import resolve_face_model
from ...geometry.conventions import Conventions
from ...geometry.params import Whitening
from ...nets.loss_terms import MAFA_TERMS, REGRESSOR_TERMS, needs
from ...nets.mindspore.runtime import use_threads
from ...nets.mindspore.synergynet import Objective, SynergyNet, load_tensors, read_tensors
from ...regression.base import normalise
from ...weights.architectures import DROPOUT, FEATURE_DIM, HEADS, state_shapes
from ...weights.ckpt import read_ckpt, write_ckpt
from ...weights.ckpt_weights import read_ckpt_weights, write_ckpt_weights
from ...weights.info import WeightsInfo
from ...weights.tensors import Weights, read_safetensors_weights
from ..config import TrainConfig
from ..crops import load_training_data
from ..feed import Batch, BatchMaker
from ..logs import PhaseClock, RunLog
from ..schedule import Schedule
from ..validation import Validation, measure, validation_crops
from .optimizers import Optimizer, TrainStep, trained_parameters

Progress = Callable[[int, int, dict[str, float]], None]

_STATE = "synergynet.training"
_FREE = {
    "output", "initial", "threads", "device", "graph", "validate_every", "save_every", "log_every",
    "tensorboard",
}  # fmt: skip
"""Settings that may change between a run and its continuation."""
_VALIDATION_BATCH = 64


class Trainer:
    """One run: builds the network, trains, validates, saves.

    Files in ``config.output``: ``last.ckpt`` (to resume), ``best.ckpt`` (averaged weights with
    the best validation, the checkpoint to use) and ``log.csv``.

    Args:
        config: the settings; ``graph`` chooses Graph mode instead of PyNative.
        progress: called with (step, steps, numbers) for every line of the log.
        crops: (training, validation) crops labelled for the target model, in place of the files
            that ``config.data`` names.

    Raises:
        SynergyNetError: a setting that this backend does not have, or data that cannot be read.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Progress | None = None,
        crops: tuple[LabelledCrops, LabelledCrops] | None = None,
    ) -> None:
        _check_settings(config)
        self.config, self.output, self.progress = config, config.output, progress
        mode = mindspore.GRAPH_MODE if config.graph else mindspore.PYNATIVE_MODE
        mindspore.set_context(mode=mode)
        use_threads(config.threads)
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{self.output}: not a folder to write to ({error})") from error
        mindspore.set_seed(config.seed)
        np.random.seed(config.seed)  # noqa: NPY002  (MindSpore's initialisers draw from it)
        self.model, _ = resolve_face_model(config.target_model)
        self.train_crops, self.valid_crops = crops or load_training_data(config, self.model)
        self._held_back = validation_crops(self.valid_crops, config.augmentation.border)
        self._schedule = Schedule(config, len(self.train_crops))
        self.steps = self._schedule.steps
        self.net = _build(config, self.model, self.train_crops)
        self.whitening = self.net.whitening
        self._shapes = state_shapes(config.backbone)
        self._average = read_tensors(self.net, self._shapes)
        objective = Objective(self.net, config.losses, config.z_weight)
        trained = trained_parameters(
            self.net,
            mafa=needs(MAFA_TERMS, config.losses),
            regressor=needs(REGRESSOR_TERMS, config.losses),
        )
        self._names = objective.names
        self._optimizer = Optimizer(trained, config.optimizer)
        self._train_step = TrainStep(objective, self._optimizer)
        self.step, self.best = 0, math.inf
        if self.state_file.is_file():
            self._resume()
        self._log = RunLog(self.output, self.step, tensorboard=False)

    @property
    def state_file(self) -> Path:
        return self.output / "last.ckpt"

    @property
    def best_file(self) -> Path:
        return self.output / "best.ckpt"

    @property
    def fingerprint(self) -> str:
        """Identifies what must not change between a run and its continuation."""
        fixed = self.config.model_dump_json(exclude=_FREE, exclude_defaults=True)
        return hashlib.sha256((fixed + self.model.hash).encode()).hexdigest()

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
        self._train_mode()
        clock, result = PhaseClock(), None
        for batch in maker.stream(self.step, self.steps):
            clock.lap("data")
            losses = self._step_on(batch, clock)
            self.step += 1
            end = self.step == self.steps
            if self.step % config.log_every == 0 or end:
                rate = self._schedule.learning_rate(self.step - 1)
                timing = clock.read(config.batch_size)
                self._report("train", losses | {"learning_rate": rate} | timing)
            if self.step % config.validate_every == 0 or end:
                result = self._validate_and_keep()
            if self.step % config.save_every == 0 or end:
                self._save_state()
            clock.skip()
        self._log.close()
        return result or self.validate()

    def _step_on(self, batch: Batch, clock: PhaseClock) -> dict[str, float]:
        inputs = [Tensor(a) for a in (normalise(batch.images), batch.params, batch.landmarks)]
        clock.lap("input")
        rate = self._schedule.learning_rate(self.step)
        coefficients = self._optimizer.coefficients(rate, self.step)
        dropout = Tensor(dropout_factors(self.config.batch_size, self.config.seed, self.step))
        total, losses = self._train_step(*inputs, coefficients, dropout)
        numbers = {name: float(loss) for name, loss in zip(self._names, losses, strict=True)}
        numbers["loss_total"] = float(total)
        if not math.isfinite(numbers["loss_total"]):
            raise SynergyNetError(
                f"step {self.step}: the loss is not finite; lower optimizer.learning_rate"
            )
        clock.lap("backward")
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, live in read_tensors(self.net, self._shapes).items():
            if live.ndim:
                self._average[name] += np.float32(1 - decay) * (live - self._average[name])
        clock.lap("update")
        clock.end_step()
        return numbers

    def _train_mode(self) -> None:
        self._train_step.set_train(True)
        if self.config.freeze_batch_norm:
            for _, cell in self.net.cells_and_names():
                if isinstance(cell, nn.BatchNorm2d):
                    cell.set_train(False)

    def _report(self, phase: str, numbers: dict[str, float]) -> None:
        self._log.write(self.step, phase, numbers)
        if self.progress is not None:
            prefix = "valid_" if phase == "validation" else ""
            shown = {prefix + name: value for name, value in numbers.items()}
            self.progress(self.step, self.steps, shown)

    def validate(self) -> Validation:
        """Validation of the averaged weights."""
        live = read_tensors(self.net, self._shapes)
        load_tensors(self.net, self._average)
        self.net.set_train(False)
        answers, images = [], np.asarray(self._held_back.images)
        for start in range(0, len(images), _VALIDATION_BATCH):
            planes = normalise(images[start : start + _VALIDATION_BATCH])
            # Training of the published code validates with another divisor.
            planes *= np.float32(128 / self.net.conventions.validation_std)
            answers.append(self.net(Tensor(planes)).asnumpy())
        load_tensors(self.net, live)
        self._train_mode()
        raw = self.whitening.dewhiten(np.concatenate(answers)).astype(np.float32)
        return measure(self.model, raw, self._held_back)

    def _validate_and_keep(self) -> Validation:
        result = self.validate()
        numbers = {"nme": result.nme, "nme_balanced": result.nme_balanced, "mae": result.mae}
        self._report("validation", numbers)
        if result.nme_balanced < self.best:
            self.best = result.nme_balanced
            weights = Weights("The network", self._average, self.info(numbers))
            write_ckpt_weights(self.best_file, weights)
        return result

    def info(self, numbers: dict[str, float]) -> WeightsInfo:
        """What a checkpoint says of itself; ``numbers`` are those of a validation."""
        config = self.config
        return WeightsInfo(
            architecture=config.backbone,
            face_model=self.model.name,
            face_model_hash=self.model.hash,
            whitening=self.whitening,
            training_data=config.data.description,
            frame=config.frame,
            border=config.augmentation.border,
            accuracy={f"validation_{k}": round(v, 4) for k, v in numbers.items()},
            extra={
                "step": self.step,
                "config": config.model_dump(mode="json", exclude={"data", "output", "initial"}),
            },
        )

    def _save_state(self) -> None:
        state = {
            "step": self.step,
            "best": repr(self.best),
            "fingerprint": self.fingerprint,
            "whitening": [self.whitening.mean.tolist(), self.whitening.std.tolist()],
        }
        entries = {f"model.{k}": v for k, v in read_tensors(self.net, self._shapes).items()}
        entries |= {f"ema.{k}": v for k, v in self._average.items()}
        entries |= {f"slot.{i}": p.asnumpy() for i, p in enumerate(self._optimizer.slots)}
        text = json.dumps(state).encode()
        write_ckpt(self.state_file, entries | {_STATE: np.frombuffer(text, np.uint8)})

    def _resume(self) -> None:
        entries = read_ckpt(self.state_file)
        try:
            state = json.loads(entries[_STATE].tobytes())
            step, best = int(state["step"]), float(state["best"])
            fingerprint, whitening = state["fingerprint"], Whitening(*state["whitening"])
            slots = [entries[f"slot.{i}"] for i in range(len(self._optimizer.slots))]
        except (KeyError, ValueError, TypeError) as error:
            raise SynergyNetError(
                f"{self.state_file}: damaged training state ({error}); delete it to start again"
            ) from error
        if fingerprint != self.fingerprint:
            raise SynergyNetError(
                f"{self.state_file}: made with other settings; give the run another output "
                "folder, or restore its settings to go on"
            )
        load_tensors(self.net, {name: entries[f"model.{name}"] for name in self._shapes})
        self._average = {name: entries[f"ema.{name}"] for name in self._shapes}
        for parameter, value in zip(self._optimizer.slots, slots, strict=True):
            parameter.set_data(Tensor(value))
        # A run that began from another checkpoint goes on in that one's units.
        self.net.set_whitening(whitening)
        self.step, self.best, self.whitening = step, best, whitening


def dropout_factors(batch: int, seed: int, step: int) -> np.ndarray:
    """(3, batch, F) float32: 0, or 1 / (1 - rate) where a feature is kept, before each head.

    Numbers of our own: MindSpore's dropout draws from a state that a continued run cannot restore.
    """
    rng = np.random.default_rng([seed, 3, step])
    kept = rng.random((len(HEADS), batch, FEATURE_DIM), dtype=np.float32) >= DROPOUT
    return kept / np.float32(1 - DROPOUT)


def _check_settings(config: TrainConfig) -> None:
    """Raise SynergyNetError for what only the PyTorch loop can do."""
    missing = {
        f"accumulate: {config.accumulate}": config.accumulate > 1,
        f"precision: {config.precision}": config.precision != "fp32",
        f"freeze: {config.freeze}": config.freeze > 0,
        "device: cuda": config.device == "cuda",
        "tensorboard: true": config.tensorboard,
        "pretrained: true for efficientnet_lite0 (give false, or initial: FILE)": (
            config.pretrained and config.initial is None and config.backbone != "mobilenet_v2"
        ),
    }
    for setting, given in missing.items():
        if given:
            raise SynergyNetError(f"backend: mindspore has no {setting}")


def _build(config: TrainConfig, model: FaceModel, crops: LabelledCrops) -> SynergyNet:
    """A new network, or the one of ``config.initial``."""
    official = config.conventions == "official"
    conventions = Conventions.official() if official else Conventions.exact()
    if config.initial is None:
        return SynergyNet(config.backbone, model, label_whitening(crops.params), conventions)
    readers = {".ckpt": read_ckpt_weights, ".safetensors": read_safetensors_weights}
    if config.initial.suffix not in readers:
        raise SynergyNetError(
            f"{config.initial}: backend: mindspore starts from a .ckpt or .safetensors; "
            "synergynet convert makes one of a .pth.tar"
        )
    weights = readers[config.initial.suffix](config.initial)
    info = weights.described()
    info.check_face_model(model, str(config.initial))
    if info.architecture != config.backbone or info.frame != config.frame:
        raise SynergyNetError(
            f"{config.initial}: a {info.architecture} of frame '{info.frame}', but the run "
            f"trains a {config.backbone} of frame '{config.frame}'"
        )
    if info.channel_order != "BGR":
        raise SynergyNetError(
            f"{config.initial}: was trained on {info.channel_order} crops, but training feeds BGR; "
            "start from other weights"
        )
    if not weights.regularisers:
        raise SynergyNetError(f"{config.initial}: holds no MAFA and regressor to train on with")
    net = SynergyNet(config.backbone, model, info.whitening, conventions)
    load_tensors(net, weights.tensors)
    return net
