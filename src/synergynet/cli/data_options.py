"""What several ``data`` commands share: their arguments, and where they print."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

ListFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder with train.list and its labels.")
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for crops and labels.")]
CropsOption = Annotated[Path | None, typer.Option(help="Folder of the crops. Default: DIR/crops.")]
LabelsOption = Annotated[
    str, typer.Option(help="Of the labels: 'open-head', a 3dmm_data folder, or an .npz.")
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Processes. Default: one per processor.")
]


def processes(workers: int | None) -> int:
    """What ``--workers`` means."""
    return workers or os.cpu_count() or 1


def plain_console() -> Console:
    """Standard output, text as it is."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)
