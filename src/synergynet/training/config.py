"""One validated description of a training run (YAML or Python)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
)

from ..datasets.augmentation import AugmentationConfig
from ..errors import SynergyNetError

_STRICT = ConfigDict(extra="forbid", frozen=True)


class DataConfig(BaseModel):
    """The official list format: crops, names, whitened labels, and the model they belong to."""

    model_config = _STRICT

    crops: Path = Field(description="folder of 120x120 crops")
    list: Path = Field(description="file names, one a line")
    params: Path = Field(description="param_all_norm*.pkl, 62 or 102 wide")
    face_model: Path = Field(
        description="model of the labels: 3dmm_data folder, .npz or 'open-head'"
    )
    quality: Path | None = Field(
        None,
        description="labels.npz with mirror_disagreement_px; crops above the limit are left out",
    )
    max_disagreement_px: float = 5.0
    description: str = Field("unknown", description="what the model card says of the data")


class OptimizerConfig(BaseModel):
    model_config = _STRICT

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (nesterov)")
    clip_norm: float | None = Field(5.0, gt=0)


class ScheduleConfig(BaseModel):
    model_config = _STRICT

    name: Literal["cosine", "steps"] = "cosine"
    warmup_steps: int = Field(300, ge=0, description="linear from 0")
    milestones: tuple[float, ...] = Field((0.6, 0.8), description="fractions of the run, for steps")
    factor: float = Field(0.2, gt=0, le=1)


class TrainConfig(BaseModel):
    """A whole run."""

    model_config = _STRICT

    data: DataConfig
    output: Path = Path("runs/synergynet")
    backbone: str = "efficientnet_lite0"
    pretrained: bool = Field(True, description="start from ImageNet weights where there are any")
    initial: Path | None = Field(
        None, description="checkpoint to start from (fine-tuning); its whitening is kept"
    )
    target_model: str = Field("open-head", description="'open-head', a .npz or a 3dmm_data folder")
    conventions: Literal["exact", "official"] = "exact"
    steps: int = Field(6000, gt=0)
    batch_size: int = Field(64, ge=2, description="batch norm needs two")
    losses: dict[str, FiniteFloat] = Field(description="loss name -> weight; see nets/losses.py")
    z_weight: float = Field(0.5, ge=0)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    ema_decay: float = Field(0.999, ge=0, lt=1)
    seed: int = 0
    threads: int = Field(2, gt=0)
    validate_every: int = Field(500, gt=0)
    save_every: int = Field(250, gt=0)
    log_every: int = Field(20, gt=0)

    @field_validator("losses")
    @classmethod
    def _known_losses(cls, weights: dict[str, float]) -> dict[str, float]:
        from ..nets.losses import check_losses

        if not any(weights.values()):
            raise ValueError("give at least one loss a weight other than 0")
        try:
            check_losses(weights)
        except SynergyNetError as error:
            raise ValueError(str(error)) from error
        return weights

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        from ..nets.backbones import check_backbone

        try:
            check_backbone(name)
        except SynergyNetError as error:
            raise ValueError(str(error)) from error
        return name


def load_config(path: str | Path, overrides: list[str] | None = None) -> TrainConfig:
    """Read a YAML file; ``overrides`` are ``dotted.key=value`` strings, values in YAML.

    Paths are relative to the working directory.

    Raises:
        SynergyNetError: missing or broken file, unknown key, bad value.
    """
    source = Path(path)
    try:
        data: Any = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise SynergyNetError(f"{source}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
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
            where[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SynergyNetError(f"override '{item}': the value is not valid YAML") from error
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SynergyNetError(f"{source}: {key}: {first['msg']}") from error
