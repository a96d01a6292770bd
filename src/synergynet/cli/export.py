"""``synergynet export``: a checkpoint as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import SynergyNetError


def export(
    weights: Annotated[Path, typer.Argument(help="checkpoint (.safetensors or .pth.tar)")],
    output: Annotated[Path, typer.Option("-o", "--output", help="the .onnx file to write")],
    face_model: Annotated[
        str | None, typer.Option(help="'open-head' (default), a .npz file or a 3dmm_data folder")
    ] = None,
    half: Annotated[bool, typer.Option(help="store weights as float16")] = False,
) -> None:
    """Export a trained network to ONNX; the file is compared with the network first."""
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise SynergyNetError(
            f'exporting needs {error.name}: pip install "synergynet[train]"'
        ) from error
    from ..export.onnx import export_onnx
    from ..face_model.sources import resolve_face_model
    from ..nets.checkpoints import describe, load_checkpoint
    from ..nets.official_checkpoint import read_official

    if output.suffix.lower() != ".onnx":
        raise SynergyNetError(f"{output}: the exported file's name must end in .onnx")
    if weights.name.endswith((".tar", ".pth")):
        net = read_official(weights).network()
        info = describe(net, training_data="official checkpoint", frame="protocol", border=5)
    else:
        net, info = load_checkpoint(weights, resolve_face_model(face_model)[0])
    worst = export_onnx(net, info, output, half_weights=half)
    size = output.stat().st_size / 1e6
    print(f"{output}: {size:.1f} MB, differs from torch by at most {worst:.2g} (whitened units)")
