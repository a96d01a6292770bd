"""One validated description of a training run (YAML or Python)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from ..datasets.augmentation import AugmentationConfig
from ..datasets.readers.crop_list import MAX_DISAGREEMENT_PX
from ..errors import SynergyNetError
from ..files.whole_file import read_bytes
from ..files.yaml_text import MAX_BYTES, parsed_yaml
from ..nets.backbones import check_backbone
from ..nets.loss_terms import check_losses
from ..weights.info import Frame


class Settings(BaseModel):
    """A group of settings: fixed once read, and without a key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Settings)


class CropSource(Settings):
    """Labelled crops: a list in the official format, or shards of `synergynet data pack`."""

    crops: Path | None = Field(None, description="folder of 120x120 crops")
    list: Path | None = Field(None, description="file names, one a line")
    params: Path | None = Field(None, description="param_all_norm*.pkl, 62 or 102 wide")
    face_model: Path = Field(
        Path("open-head"), description="model of the labels: 3dmm_data folder, .npz or 'open-head'"
    )
    shards: tuple[Path, ...] = Field(
        (), description="folder of shards, or several, in place of crops, list and params"
    )

    @field_validator("shards", mode="before")
    @classmethod
    def _one_folder(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _one_source(self) -> CropSource:
        given = [field is not None for field in (self.crops, self.list, self.params)]
        if any(given) if self.shards else not all(given):
            raise ValueError("give crops, list and params, or shards in place of all three")
        return self

    @property
    def list_files(self) -> tuple[Path, Path, Path]:
        """Crop folder, list and labels of a source that is not in shards."""
        assert self.crops is not None and self.list is not None and self.params is not None
        return self.crops, self.list, self.params

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return ", ".join(str(path) for path in self.shards or (self.list,))


class ExtraData(CropSource):
    """Another source to train on beside the main one; none of it is held back."""

    share: float = Field(gt=0, lt=1, description="of every batch, on average")


class DataConfig(CropSource):
    """The main source, how it is drawn from, and what to mix in."""

    face_model: Path = Field(
        description="model of the labels: 3dmm_data folder, .npz or 'open-head'"
    )
    quality: Path | None = Field(
        None,
        description="labels.npz with mirror_disagreement_px; crops above the limit are left out",
    )
    max_disagreement_px: float = MAX_DISAGREEMENT_PX
    yaw_balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="0 draws crops of the main list alike, 1 makes |yaw| uniform over 0 to 90",
    )
    extra: tuple[ExtraData, ...] = ()
    description: str = Field("unknown", description="what the model card says of the data")
    in_memory: bool | Literal["auto"] = Field(
        "auto",
        exclude=True,  # no part of what a run is: its batches are the same
        description="hold all crops decoded, 43 kB each; auto: up to 100,000 of them",
    )


class OptimizerConfig(Settings):
    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (nesterov)")
    clip_norm: float | None = Field(5.0, gt=0, description="largest norm of all gradients")


class ScheduleConfig(Settings):
    name: Literal["cosine", "steps"] = "cosine"
    warmup: Literal["linear", "constant"] = Field(
        "linear", description="from 0, or all of it at factor x learning_rate (official)"
    )
    warmup_steps: int = Field(300, ge=0)
    warmup_epochs: float | None = Field(None, ge=0, description="in place of warmup_steps")
    milestones: tuple[float, ...] = Field((0.6, 0.8), description="fractions of the run, for steps")
    factor: float = Field(0.2, gt=0, le=1, description="of the learning rate at each milestone")


class TrainConfig(Settings):
    """A whole run."""

    data: DataConfig
    output: Path = Path("runs/synergynet")
    backend: Literal["torch", "mindspore"] = "torch"
    graph: bool = Field(
        False, description="MindSpore: compile a step as one graph; slow to start, fast to run"
    )
    backbone: str = "efficientnet_lite0"
    pretrained: bool = Field(True, description="start from ImageNet weights where there are any")
    initial: Path | None = Field(
        None, description="checkpoint to start from (fine-tuning); its whitening is kept"
    )
    target_model: str = Field("open-head", description="'open-head', a .npz or a 3dmm_data folder")
    conventions: Literal["exact", "official"] = "exact"
    frame: Frame = Field(
        "pixel", description="of the labels; official lists are in the benchmark's 'protocol'"
    )
    steps: int | None = Field(None, gt=0, description="of the optimizer; this or epochs")
    epochs: int | None = Field(None, gt=0, description="passes over the crops, less a last part")
    batch_size: int = Field(
        64, ge=2, description="crops per step, over all processes; batch norm needs two"
    )
    accumulate: int = Field(
        1, gt=0, description="parts of a batch that are run one after another, to save memory"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the backbone's activations; fp16 on a GPU only"
    )
    freeze_batch_norm: bool = Field(
        False, description="normalise by the running statistics and leave them as they are"
    )
    freeze: int = Field(
        0, ge=0, description="first parts of the backbone's features that stay as they are"
    )
    losses: dict[str, FiniteFloat] = Field(description="name of nets/loss_terms.py -> weight")
    z_weight: float = Field(0.5, ge=0)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    ema_decay: float = Field(0.999, ge=0, lt=1)
    seed: int = Field(0, ge=0)
    threads: int = Field(2, gt=0)
    validate_every: int = Field(500, gt=0)
    save_every: int = Field(250, gt=0)
    log_every: int = Field(20, gt=0)
    tensorboard: bool = Field(False, description="write event files beside log.csv")
    # No part of what a run is: read and checked by the commands of these names.
    eval: dict[str, Any] = Field({}, exclude=True)
    infer: dict[str, Any] = Field({}, exclude=True)
    export: dict[str, Any] = Field({}, exclude=True)

    @property
    def state_file(self) -> Path:
        """What the run goes on from."""
        return self.output / f"last{self._ending}"

    @property
    def best_file(self) -> Path:
        """Averaged weights with the best validation: the checkpoint to use."""
        return self.output / f"best{self._ending}"

    @property
    def _ending(self) -> str:
        return ".ckpt" if self.backend == "mindspore" else ".safetensors"

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs (and null for the other)")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> TrainConfig:
        if not any(self.losses.values()):
            raise ValueError("give at least one loss a weight other than 0")
        try:
            check_losses(self.losses)
            check_backbone(self.backbone, self.backend)
        except SynergyNetError as error:
            raise ValueError(str(error)) from error
        return self


def load_config(path: str | Path, overrides: list[str] | None = None) -> TrainConfig:
    """Read a YAML file; ``overrides`` are ``dotted.key=value`` strings, values in YAML.

    Paths are relative to the working directory.

    Raises:
        SynergyNetError: missing or broken file, bad value, or an unknown key: then the sentence
            names the nearest known one.
    """
    source = Path(path)
    try:
        data = parsed_yaml(read_bytes(source, max_bytes=MAX_BYTES, kind="recipe").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SynergyNetError(f"{source}: not valid YAML ({error})") from error
    if not isinstance(data, dict):
        raise SynergyNetError(f"{source}: expected keys and values, found {type(data).__name__}")
    for item in overrides or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise SynergyNetError(f"override '{item}': write it as key=value")
        where = data
        *parents, last = key.split(".")
        for name in parents:
            where = where.setdefault(name, {})
            if not isinstance(where, dict):
                raise SynergyNetError(f"override '{item}': '{name}' is not a group of settings")
        try:
            where[last] = parsed_yaml(value)
        except (ValueError, RecursionError) as error:
            raise SynergyNetError(f"override '{item}': the value is not valid YAML") from error
    return validated(TrainConfig, data, source)


def validated(model: type[S], data: Any, source: Path) -> S:
    """``data`` of the file ``source`` as settings; raises SynergyNetError as in load_config."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = f"{key}: {first['msg']}" if key else first["msg"]
        if first["type"] == "extra_forbidden":
            said = _unknown_key(model, first["loc"])
        raise SynergyNetError(f"{source}: {said}") from error


def _unknown_key(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """What to say of a key at ``location`` of the file that no setting of ``model`` has."""
    *parents, key = (part for part in location if isinstance(part, str))
    for name in parents:
        model = _model_of(model.model_fields[name].annotation)
    known = list(model.model_fields)
    nearest = get_close_matches(key, known, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else f"; there are {', '.join(known)}"
    return f"unknown key '{'.'.join([*parents, key])}'{hint}"


def _model_of(annotation: Any) -> type[BaseModel]:
    """The settings class in a field's type, such as ``ExtraData`` of ``tuple[ExtraData, ...]``."""
    parts = get_args(annotation)  # in Python 3.10, tuple[ExtraData, ...] is an instance of type
    if not parts and issubclass(annotation, BaseModel):
        return annotation
    return next(_model_of(part) for part in parts if part is not Ellipsis)
