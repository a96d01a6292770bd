"""The training loop, whatever the framework: resumable after a kill at any moment."""

import hashlib
import math
from collections.abc import Callable

import numpy as np

from ..datasets.readers.crop_list import LabelledCrops, label_whitening
from ..errors import SynergyNetError
from ..face_model.sources import resolve_face_model
from ..weights.info import WeightsInfo
from .backend import Backend, Standing
from .config import TrainConfig
from .crops import load_training_data
from .feed import BatchMaker
from .logs import PhaseClock, RunLog, summary_writer
from .schedule import Schedule
from .validation import Validation, measure, validation_crops

Progress = Callable[[int, int, dict[str, float]], None]

# Settings that may change between a run and its continuation.
_FREE = {
    "output", "initial", "threads", "device", "validate_every", "save_every", "log_every",
    "tensorboard", "graph",
}  # fmt: skip


class Trainer:
    """One run: builds the network, trains, validates, saves.

    Files in ``config.output``: ``last.safetensors`` (to resume), ``best.safetensors`` (averaged
    weights with the best validation, the checkpoint to use) and ``log.csv``. MindSpore's end in
    ``.ckpt``.

    Under ``torchrun`` every process makes a Trainer and runs it; the main one writes the files.

    Args:
        config: the settings.
        progress: called with (step, steps, numbers) for every line of the log.
        crops: (training, validation) crops labelled for the target model, in place of the files
            that ``config.data`` names.

    Raises:
        SynergyNetError: a setting that the backend does not have, or data that cannot be read.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Progress | None = None,
        crops: tuple[LabelledCrops, LabelledCrops] | None = None,
    ) -> None:
        self.config, self.output, self.progress = config, config.output, progress
        self.state_file, self.best_file = config.state_file, config.best_file
        self.backend = backend = _backend(config)
        if config.tensorboard:
            summary_writer()
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{self.output}: not a folder to write to ({error})") from error
        self.model, _ = resolve_face_model(config.target_model)
        self.train_crops, self.valid_crops = crops or load_training_data(config, self.model)
        self._held_back = validation_crops(self.valid_crops, config.augmentation.border)
        self._schedule = Schedule(config, len(self.train_crops))
        self.steps = self._schedule.steps
        backend.build(self.model, label_whitening(self.train_crops.params))
        self.step, self.best = 0, math.inf
        if self.state_file.is_file():
            standing = backend.load_state(self.state_file, self.fingerprint)
            self.step, self.best = standing.step, standing.best
        if backend.world.from_main(self.step) != self.step:
            raise SynergyNetError(
                f"{self.state_file}: not the same in all processes; "
                "the machines of a run must share its output folder"
            )
        self._log = None
        if backend.world.main:
            self._log = RunLog(self.output, self.step, tensorboard=config.tensorboard)

    @property
    def fingerprint(self) -> str:
        """Identifies what must not change between a run and its continuation."""
        # Defaults are left out, so that a new setting does not lock old runs out.
        fixed = self.config.model_dump_json(exclude=_FREE, exclude_defaults=True)
        return hashlib.sha256((fixed + self.model.hash).encode()).hexdigest()

    def run(self) -> Validation:
        """Train to the end of the schedule; returns the last validation."""
        config, backend = self.config, self.backend
        maker = BatchMaker(
            self.train_crops,
            self.model,
            backend.whitening,
            config.augmentation,
            batch_size=config.batch_size,
            seed=config.seed,
            rows=backend.world.share(config.batch_size),
        )
        backend.start()
        main, clock, result = backend.world.main, PhaseClock(), None
        for batch in maker.stream(self.step, self.steps):
            clock.lap("data")
            rate = self._schedule.learning_rate(self.step)
            losses = backend.step(batch, rate, self.step, clock)
            self.step += 1
            end = self.step == self.steps
            if self.step % config.log_every == 0 or end:
                numbers = backend.numbers(losses) | {"learning_rate": rate}
                self._report("train", numbers | clock.read(config.batch_size))
            if main and (self.step % config.validate_every == 0 or end):
                result = self._validate_and_keep()
            if main and (self.step % config.save_every == 0 or end):
                self.save_state()
            clock.skip()
        if self._log is not None:
            self._log.close()
            result = result or self.validate()
        last = backend.world.from_main(result)
        assert last is not None
        return last

    def validate(self) -> Validation:
        """Validation of the averaged weights."""
        raw = self.backend.predict(np.asarray(self._held_back.images))
        return measure(self.model, raw, self._held_back)

    def save_state(self) -> None:
        """Write :attr:`state_file`."""
        self.backend.save_state(self.state_file, Standing(self.step, self.best, self.fingerprint))

    def info(self, numbers: dict[str, float]) -> WeightsInfo:
        """What a checkpoint says of itself; ``numbers`` are those of a validation."""
        config = self.config
        return WeightsInfo(
            architecture=config.backbone,
            face_model=self.model.name,
            face_model_hash=self.model.hash,
            whitening=self.backend.whitening,
            training_data=config.data.description,
            frame=config.frame,
            border=config.augmentation.border,
            accuracy={f"validation_{k}": round(v, 4) for k, v in numbers.items()},
            extra={
                "step": self.step,
                "config": config.model_dump(mode="json", exclude={"data", "output", "initial"}),
            },
        )

    def _validate_and_keep(self) -> Validation:
        result = self.validate()
        numbers = {"nme": result.nme, "nme_balanced": result.nme_balanced, "mae": result.mae}
        self._report("validation", numbers)
        if result.nme_balanced < self.best:
            self.best = result.nme_balanced
            self.backend.save_best(self.best_file, self.info(numbers))
        return result

    def _report(self, phase: str, numbers: dict[str, float]) -> None:
        if self._log is None:
            return
        self._log.write(self.step, phase, numbers)
        if self.progress is not None:
            prefix = "valid_" if phase == "validation" else ""
            shown = {prefix + name: value for name, value in numbers.items()}
            self.progress(self.step, self.steps, shown)


def _backend(config: TrainConfig) -> Backend:
    """The framework that the recipe names, imported only now."""
    if config.backend == "mindspore":
        from .mindspore.backend import MindSporeBackend

        return MindSporeBackend(config)
    from .torch.backend import TorchBackend

    return TorchBackend(config)
