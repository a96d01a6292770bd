"""What the toolkit's eval, infer and export read from the file that also describes a training."""

from pathlib import Path

from pydantic import Field

from ..outputs.kinds import DEFAULT_DRAWINGS
from ..training.config import Settings, TrainConfig, validated


class Section(Settings):
    """Which network a command uses."""

    weights: Path | None = Field(
        None,
        description="weights file; null: the best of this file's training if there is one, else "
        "the shipped",
    )
    face_model: str | None = Field(
        None,
        description="a 3dmm_data folder, .npz or 'open-head'; null: the one that the weights "
        "belong to",
    )


class EvalConfig(Section):
    """Measuring on AFLW2000-3D: `synergynet eval`."""

    root: Path = Field(Path("aflw2000_data"), description="data folder of the benchmark")
    batch_size: int = Field(128, gt=0)
    mirror: bool = Field(False, description="average with the answer for the mirrored crop")


class InferConfig(Section):
    """Reconstructing the faces of photos: `synergynet infer`."""

    photos: tuple[str, ...] = Field((), description="photos, folders or patterns")
    output: Path = Field(Path("output"), description="folder for the results")
    draw: tuple[str, ...] = Field(DEFAULT_DRAWINGS, description="pictures")
    quality: str | None = Field(None, description="fast, default or best; null: default")
    mirror: bool | None = Field(
        None, description="average with the answer for the mirrored crop; null: by quality"
    )
    mesh: tuple[str, ...] = Field((), description="mesh files; empty: a plain .obj")


class ExportConfig(Section):
    """Writing a network for deployment: `synergynet export`."""

    output: Path = Field(Path("output/synergynet.onnx"), description="file to write")
    format: str | None = Field(None, description="null: by the ending of output")
    options: tuple[str, ...] = Field((), description="further options of the command, as typed")


class Sections(Settings):
    """One for each command beside train."""

    eval: EvalConfig = EvalConfig()
    infer: InferConfig = InferConfig()
    export: ExportConfig = ExportConfig()


def read_sections(config: TrainConfig, source: Path) -> Sections:
    """The sections of a recipe; raises SynergyNetError for a bad one, naming ``source``."""
    given = {"eval": config.eval, "infer": config.infer, "export": config.export}
    return validated(Sections, given, source)
