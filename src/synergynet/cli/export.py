"""``synergynet export``: a checkpoint in the format that its user deploys."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SynergyNetError

if TYPE_CHECKING:
    from ..export.graphs import Deployment, Precision
    from ..nets.torch.synergynet import SynergyNet
    from ..weights.info import WeightsInfo


class Format(str, Enum):
    """What can be written."""

    onnx = "onnx"
    torchscript = "torchscript"
    openvino = "openvino"
    mindir = "mindir"
    executorch = "executorch"


ENDINGS = {
    Format.onnx: (".onnx",),
    Format.torchscript: (".pt", ".ts", ".torchscript"),
    Format.openvino: (".xml",),
    Format.mindir: (".mindir",),
    Format.executorch: (".pte",),
}
_SMALLER = (Format.onnx, Format.openvino)
_UNITS = {
    "params": "whitened units",
    "landmarks": "px",
    "vertices": "px",
    "yaw_pitch_roll": "degrees",
    "expected_nme": "of itself",
}


def export(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help=".safetensors or .pth.tar (official); for mindir also .ckpt"
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    kind: Annotated[
        Format | None, typer.Option("--format", help="Default: by the ending of the file.")
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Everything in one graph: uint8 BGR crops in; parameters, landmarks, vertices, "
            "rotation and angles out. Default: normalised crops in, whitened parameters out.",
        ),
    ] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Store weights as float16 (onnx, openvino).")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Run convolutions in 8 bits (onnx, openvino)."),
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER_OR_LIST", help="120x120 crops to calibrate --int8 on, or their list."
        ),
    ] = None,
    face_model: Annotated[
        str | None, typer.Option(help="'open-head' (default), a .npz file or a 3dmm_data folder")
    ] = None,
) -> None:
    """Export a trained network; the file is compared with the network on real crops first."""
    chosen = _format(output, kind)
    _check(output, chosen, whole=whole, half=half, int8=int8, calibrate=calibrate)
    if chosen is Format.mindir:
        from .convert import convert

        convert(weights, output, face_model)
        return
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise SynergyNetError(
            f'exporting needs {error.name}: pip install "synergynet[train]"'
        ) from error
    from ..export.graphs import deployment

    precision: Precision = "int8" if int8 else "float16" if half else "float32"
    deployed = deployment(*_network(weights, face_model), whole=whole)
    worst = _write(deployed, output, chosen, precision, calibrate)
    files = [output, *([output.with_suffix(".bin")] if chosen is Format.openvino else [])]
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f"{output}: {size:.1f} MB {chosen.value}, {precision}, checked on real crops")
    for name, difference in worst.items():
        print(f"  {name}: differs from torch by at most {difference:.2g} {_UNITS.get(name, '')}")
    if deployed.face_model is not None:
        print(f"  contains the face model '{deployed.face_model.name}', {deployed.licence}")


def _format(output: Path, kind: Format | None) -> Format:
    """The format asked for, or the one of the file's ending."""
    for known, endings in ENDINGS.items():
        if output.name.lower().endswith(endings) and kind in (None, known):
            return known
    if kind is None:
        every = ", ".join(ending for endings in ENDINGS.values() for ending in endings)
        raise SynergyNetError(f"{output}: unknown ending; expected {every}, or give --format")
    if kind in (Format.onnx, Format.openvino, Format.mindir) or _is_other(output):
        raise SynergyNetError(
            f"{output}: the name of a file in the format {kind.value} must end in "
            f"{' or '.join(ENDINGS[kind])}"
        )
    return kind


def _is_other(output: Path) -> bool:
    return output.name.lower().endswith(tuple(e for known in ENDINGS.values() for e in known))


def _check(
    output: Path, kind: Format, *, whole: bool, half: bool, int8: bool, calibrate: Path | None
) -> None:
    if half and int8:
        raise SynergyNetError("--half and --int8 exclude each other; give one of them")
    if (half or int8) and kind not in _SMALLER:
        option = "--half" if half else "--int8"
        raise SynergyNetError(f"{output}: {option} is for onnx and openvino, not {kind.value}")
    if int8 and calibrate is None:
        raise SynergyNetError(
            "--int8 needs real crops to measure the ranges of its numbers on; give a folder of "
            "them, or their list, with --calibrate"
        )
    if calibrate is not None and not int8:
        raise SynergyNetError("--calibrate belongs to --int8; give both")
    if whole and kind is Format.mindir:
        raise SynergyNetError(
            f"{output}: MindSpore has no graph with the face model inside here; leave out --whole, "
            "or take onnx, openvino, torchscript or executorch"
        )


def _network(weights: Path, spec: str | None) -> tuple[SynergyNet, WeightsInfo]:
    """The network and its metadata, whatever wrote them."""
    from ..face_model.sources import resolve_face_model
    from ..nets.torch.checkpoints import load_checkpoint
    from ..nets.torch.official_checkpoint import read_official

    if weights.name.lower().endswith((".tar", ".pth")):
        from ..nets.torch.checkpoints import describe

        net = read_official(weights).network()
        training = "an official SynergyNet checkpoint (300W-LP)"
        return net, describe(net, training_data=training, frame="protocol", border=5)
    return load_checkpoint(weights, resolve_face_model(spec)[0])


def _write(
    deployed: Deployment,
    output: Path,
    kind: Format,
    precision: Precision,
    calibrate: Path | None,
) -> dict[str, float]:
    if kind is Format.torchscript:
        from ..export.torchscript import write_torchscript

        return write_torchscript(deployed, output)
    if kind is Format.executorch:
        from ..export.executorch import write_executorch

        return write_executorch(deployed, output)
    crops = None
    if calibrate is not None:
        from ..export.int8 import calibration_crops

        crops = calibration_crops(calibrate)
    if kind is Format.openvino:
        from ..export.openvino import write_openvino

        return write_openvino(deployed, output, precision, calibration=crops)
    from ..export.onnx import write_onnx

    return write_onnx(deployed, output, precision, calibration=crops)
