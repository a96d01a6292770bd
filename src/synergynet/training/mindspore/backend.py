"""The training loop's backend in MindSpore, on the CPU."""

import json
import os
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")  # MindSpore's remarks on stderr: errors only

import mindspore
import numpy as np
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.params import FloatArray, Whitening
from ...nets.loss_terms import MAFA_TERMS, REGRESSOR_TERMS, needs
from ...nets.mindspore.runtime import use_threads
from ...nets.mindspore.synergynet import Objective, SynergyNet, load_tensors, read_tensors
from ...regression.base import normalise
from ...weights.architectures import DROPOUT, FEATURE_DIM, HEADS, state_shapes
from ...weights.ckpt import read_ckpt, write_ckpt
from ...weights.ckpt_weights import read_ckpt_weights, write_ckpt_weights
from ...weights.info import WeightsInfo
from ...weights.tensors import Weights, read_safetensors_weights
from ..backend import (
    Backend,
    Standing,
    average_decay,
    check_finite,
    check_initial,
    conventions_of,
    damaged_state,
    has_regularisers,
)
from ..config import TrainConfig
from ..feed import Batch
from ..logs import PhaseClock
from .optimizers import Gradients, Optimizer, trained_parameters

_STATE = "synergynet.training"
_VALIDATION_BATCH = 64


class MindSporeBackend(Backend):
    """One process on the CPU; ``config.graph`` chooses Graph mode instead of PyNative."""

    net: SynergyNet
    average: dict[str, np.ndarray]

    def __init__(self, config: TrainConfig) -> None:
        _check_settings(config)
        self._config = config
        mode = mindspore.GRAPH_MODE if config.graph else mindspore.PYNATIVE_MODE
        mindspore.set_context(mode=mode)
        use_threads(config.threads)
        self._shapes = state_shapes(config.backbone, regularisers=has_regularisers(config))

    def build(self, model: FaceModel, whitening: Whitening) -> None:
        config = self._config
        mindspore.set_seed(config.seed)
        np.random.seed(config.seed)  # noqa: NPY002  (MindSpore's initialisers draw from it)
        self.net = _network(config, model, whitening)
        self.average = self._live()
        objective = Objective(self.net, config.losses, config.z_weight)
        trained = trained_parameters(
            self.net,
            mafa=needs(MAFA_TERMS, config.losses),
            regressor=needs(REGRESSOR_TERMS, config.losses),
        )
        self._names = objective.names
        self._optimizer = Optimizer(trained, config.optimizer)
        self._gradients = Gradients(objective, trained)

    def _live(self) -> dict[str, np.ndarray]:
        """The tensors as they are, under PyTorch's names."""
        return read_tensors(self.net, self._shapes)

    def load_state(self, path: Path, fingerprint: str) -> Standing:
        entries = read_ckpt(path)
        try:
            state = json.loads(entries[_STATE].tobytes())
            standing = Standing(int(state["step"]), float(state["best"]), state["fingerprint"])
            whitening = Whitening(*state["whitening"])
            slots = [entries[f"slot.{i}"] for i in range(len(self._optimizer.slots))]
        except (KeyError, ValueError, TypeError) as error:
            raise damaged_state(path, error) from error
        standing.check(path, fingerprint)
        try:
            load_tensors(self.net, {name: entries[f"model.{name}"] for name in self._shapes})
            self.average = {name: entries[f"ema.{name}"] for name in self._shapes}
            for slot, value in zip(self._optimizer.slots, slots, strict=True):
                slot[...] = value
        except (KeyError, ValueError) as error:
            raise damaged_state(path, error) from error
        # A run that began from another checkpoint goes on in that one's units.
        self.net.set_whitening(whitening)
        return standing

    def save_state(self, path: Path, standing: Standing) -> None:
        state = {
            "step": standing.step,
            "best": repr(standing.best),
            "fingerprint": standing.fingerprint,
            "whitening": [self.whitening.mean.tolist(), self.whitening.std.tolist()],
        }
        entries = {f"model.{k}": v for k, v in self._live().items()}
        entries |= {f"ema.{k}": v for k, v in self.average.items()}
        entries |= {f"slot.{i}": v for i, v in enumerate(self._optimizer.slots)}
        text = json.dumps(state).encode()
        write_ckpt(path, entries | {_STATE: np.frombuffer(text, np.uint8)})

    def start(self) -> None:
        self._gradients.set_train(True)
        if self._config.freeze_batch_norm:
            for _, cell in self.net.cells_and_names():
                if isinstance(cell, nn.BatchNorm2d):
                    cell.set_train(False)

    def step(self, batch: Batch, rate: float, step: int, clock: PhaseClock) -> dict[str, float]:
        config = self._config
        inputs = [Tensor(a) for a in (normalise(batch.images), batch.params, batch.landmarks)]
        clock.lap("input")
        dropout = Tensor(dropout_factors(config.batch_size, config.seed, step))
        total, losses, gradients = self._gradients(*inputs, dropout)
        numbers = {name: float(loss) for name, loss in zip(self._names, losses, strict=True)}
        numbers["loss_total"] = float(total)
        check_finite(numbers["loss_total"], step)
        clock.lap("backward")
        self._optimizer.step(gradients, rate, step)
        share = np.float32(1 - average_decay(config.ema_decay, step))
        for name, live in self._live().items():
            if live.ndim:
                self.average[name] += share * (live - self.average[name])
        clock.lap("update")
        clock.end_step()
        return numbers

    def numbers(self, losses: dict[str, float]) -> dict[str, float]:
        return losses

    def predict(self, images: NDArray[np.uint8]) -> FloatArray:
        live, answers = self._live(), []
        load_tensors(self.net, self.average)
        self.net.set_train(False)
        for start in range(0, len(images), _VALIDATION_BATCH):
            planes = normalise(images[start : start + _VALIDATION_BATCH])
            # Training of the published code validates with another divisor.
            planes *= np.float32(128 / self.net.conventions.validation_std)
            answers.append(self.net(Tensor(planes)).asnumpy())
        load_tensors(self.net, live)
        self.start()
        return self.whitening.dewhiten(np.concatenate(answers)).astype(np.float32)

    def save_best(self, path: Path, info: WeightsInfo) -> None:
        write_ckpt_weights(path, Weights("The network", self.average, info))


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


def _network(config: TrainConfig, model: FaceModel, whitening: Whitening) -> SynergyNet:
    """A new network, or the one of ``config.initial``."""
    conventions, regularisers = conventions_of(config), has_regularisers(config)
    if config.initial is None:
        return SynergyNet(config.backbone, model, whitening, conventions, regularisers=regularisers)
    readers = {".ckpt": read_ckpt_weights, ".safetensors": read_safetensors_weights}
    if config.initial.suffix not in readers:
        raise SynergyNetError(
            f"{config.initial}: backend: mindspore starts from a .ckpt or .safetensors; "
            "synergynet convert makes one of a .pth.tar"
        )
    weights = readers[config.initial.suffix](config.initial)
    info = weights.described()
    info.check_face_model(model, str(config.initial))
    check_initial(config, info, regularisers=weights.regularisers)
    net = SynergyNet(config.backbone, model, info.whitening, conventions, regularisers=regularisers)
    shapes = state_shapes(config.backbone, regularisers=regularisers)
    load_tensors(net, {name: weights.tensors[name] for name in shapes})
    return net
