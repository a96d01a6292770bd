"""What the loop of ``run.py`` asks of a framework, and what the frameworks share."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.conventions import Conventions
from ..geometry.params import FloatArray, Whitening
from ..nets.loss_terms import MAFA_TERMS, needs
from ..weights.info import WeightsInfo
from .config import TrainConfig
from .feed import Batch
from .logs import PhaseClock

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Which of how many processes this one is; by itself, unless a backend says more."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files, validates and talks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's rows of ``count``, which divides by the number of processes."""
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def from_main(self, value: T) -> T:
        """The main process's value, in every process."""
        return value

    def close(self) -> None:
        """Part from the other processes."""


@dataclass(frozen=True)
class Standing:
    """How far a run has come: what a state file holds beside the framework's tensors.

    Attributes:
        step: number of the next step, from 0.
        best: balanced NME of the best validation so far.
        fingerprint: of the settings that must not change.
    """

    step: int
    best: float
    fingerprint: str

    def check(self, source: Path, fingerprint: str) -> None:
        """Raise SynergyNetError if ``source``, which holds this, is of another run."""
        if self.fingerprint != fingerprint:
            raise SynergyNetError(
                f"{source}: made with other settings; give the run another output folder, "
                "or restore its settings to go on"
            )


class Backend(ABC):
    """The network of a run, its average over time and its optimizer, in one framework.

    It is made of the settings alone and raises SynergyNetError for those that it cannot serve;
    then it is built, resumed where there is a state, and started.

    Attributes:
        world: the processes that train together.
        advice: one sentence on settings that are slow here, or None.
        net: the network, once it is built.
    """

    world = World()
    advice: str | None = None
    net: Any

    @property
    def whitening(self) -> Whitening:
        """Of the network's answers."""
        found: Whitening = self.net.whitening
        return found

    @abstractmethod
    def build(self, model: FaceModel, whitening: Whitening) -> None:
        """Make a new network that answers in ``whitening``, or read that of ``config.initial``."""

    @abstractmethod
    def load_state(self, path: Path, fingerprint: str) -> Standing:
        """Restore what :meth:`save_state` wrote.

        Raises:
            SynergyNetError: damaged file, or one of a run with other settings.
        """

    @abstractmethod
    def save_state(self, path: Path, standing: Standing) -> None:
        """Write all that a run needs to go on; whole or not at all."""

    @abstractmethod
    def start(self) -> None:
        """From here on only :meth:`step` changes the network."""

    @abstractmethod
    def step(self, batch: Batch, rate: float, step: int, clock: PhaseClock) -> dict[str, Any]:
        """One optimizer step, with its average; losses by name, their sum as ``loss_total``.

        Raises:
            SynergyNetError: the loss is not finite.
        """

    @abstractmethod
    def numbers(self, losses: dict[str, Any]) -> dict[str, float]:
        """Losses of :meth:`step`, averaged over all processes."""

    @abstractmethod
    def predict(self, images: NDArray[np.uint8]) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> raw (N, 62) float32, by the averaged weights."""

    @abstractmethod
    def save_best(self, path: Path, info: WeightsInfo) -> None:
        """Write the averaged weights as a checkpoint; whole or not at all."""


def conventions_of(config: TrainConfig) -> Conventions:
    """Those that the recipe names."""
    return Conventions.official() if config.conventions == "official" else Conventions.exact()


def average_decay(limit: float, step: int) -> float:
    """Of the moving average after step number ``step``: a short memory at the start."""
    return min(limit, (1 + step) / (10 + step))


def check_finite(loss: float, step: int) -> None:
    """Raise SynergyNetError if the loss of step number ``step`` is not a finite number."""
    if not math.isfinite(loss):
        raise SynergyNetError(f"step {step}: the loss is not finite; lower optimizer.learning_rate")


def has_regularisers(config: TrainConfig) -> bool:
    """Whether the network that is trained has MAFA and the landmark regressor: if losses need
    them. Others would be kept, and shipped, as the random numbers that they began with."""
    return needs(MAFA_TERMS, config.losses)


def check_initial(config: TrainConfig, info: WeightsInfo, *, regularisers: bool) -> None:
    """Raise SynergyNetError if training cannot go on from the weights of ``config.initial``."""
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
    if has_regularisers(config) and not regularisers:
        raise SynergyNetError(f"{config.initial}: holds no MAFA and regressor to train on with")


def damaged_state(source: Path, error: Exception) -> SynergyNetError:
    """What to raise for a state file that cannot be read."""
    return SynergyNetError(f"{source}: damaged training state ({error}); delete it to start again")
