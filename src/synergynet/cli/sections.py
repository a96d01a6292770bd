"""What the toolkit's eval, infer and export read from the file that also describes a training."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True)
_WEIGHTS = "weights file; null: the best of this file's training if there is one, else the shipped"
_FACE_MODEL = "a 3dmm_data folder, .npz or 'open-head'; null: the one that the weights belong to"


class EvalConfig(BaseModel):
    """Measuring on AFLW2000-3D: `synergynet eval`."""

    model_config = _STRICT

    root: Path = Field(Path("aflw2000_data"), description="data folder of the benchmark")
    weights: Path | None = Field(None, description=_WEIGHTS)
    face_model: str | None = Field(None, description=_FACE_MODEL)
    batch_size: int = Field(128, gt=0)
    mirror: bool = Field(False, description="average with the answer for the mirrored crop")


class InferConfig(BaseModel):
    """Reconstructing the faces of photos: `synergynet infer`."""

    model_config = _STRICT

    photos: tuple[str, ...] = Field((), description="photos, folders or patterns")
    output: Path = Field(Path("output"), description="folder for the results")
    weights: Path | None = Field(None, description=_WEIGHTS)
    face_model: str | None = Field(None, description=_FACE_MODEL)
    mirror: bool = Field(True, description="average with the answer for the mirrored crop")
    draw: tuple[str, ...] = Field(("landmarks", "pose", "mesh"), description="pictures")
    mesh: tuple[str, ...] = Field((), description="mesh files; empty: a plain .obj")


class ExportConfig(BaseModel):
    """Writing a network for deployment: `synergynet export`."""

    model_config = _STRICT

    weights: Path | None = Field(None, description=_WEIGHTS)
    output: Path = Field(Path("output/synergynet.onnx"), description="file to write")
    format: str | None = Field(None, description="null: by the ending of output")
    face_model: str | None = Field(None, description=_FACE_MODEL)
    options: tuple[str, ...] = Field((), description="further options of the command, as typed")
