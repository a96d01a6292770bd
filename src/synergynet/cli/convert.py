"""``synergynet convert``: weights from one framework's file to another's."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..weights.convert import convert_weights
from ..weights.formats import endings
from .options import FACE_MODELS


class OrderOption(str, Enum):
    """Channel order of the crops that a foreign .ckpt was trained on."""

    RGB = "RGB"
    BGR = "BGR"


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help=endings("read"))],
    target: Annotated[Path, typer.Argument(metavar="OUT", help=endings("write"))],
    face_model: Annotated[
        str | None,
        typer.Option(
            help=f"Where a file does not hold it: {FACE_MODELS}. "
            "Needed for .safetensors -> .pth.tar and for a .ckpt of another program."
        ),
    ] = None,
    channel_order: Annotated[
        OrderOption,
        typer.Option(help="Of a .ckpt of another program; the published port feeds RGB."),
    ] = OrderOption.RGB,
) -> None:
    """Convert a checkpoint, number for number.

    .safetensors and .ckpt are read and written without PyTorch and MindSpore; .pth.tar needs
    PyTorch, .onnx PyTorch or MindSpore, .mindir and .air need MindSpore.
    """
    worst = convert_weights(source, target, face_model, channel_order.value)
    note = ""
    if worst is not None:
        note = f", differs from the network by at most {worst:.2g} (whitened units)"
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB{note}")
