"""``synergynet data turn``: real crops turned to larger poses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .progress import counting_bar


def turn(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with train.list and its labels.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for crops and labels.")],
    count: Annotated[int, typer.Option("-n", min=1, help="How many crops to make.")] = 20000,
    crops: Annotated[Path | None, typer.Option(help="Folder of the crops. Default: DIR/crops.")] = (
        None
    ),
    face_model: Annotated[
        str, typer.Option(help="Of the labels: 'open-head', a 3dmm_data folder, or an .npz.")
    ] = "open-head",
    quality: Annotated[
        Path | None,
        typer.Option(help=".npz with mirror_disagreement_px: leave doubtful labels (5 px) alone."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one per processor.")
    ] = None,
) -> None:
    """Turn the faces of a training list further aside, with their labels (face profiling).

    Crops that `synergynet train` holds back for validation are left alone.
    """
    from rich.console import Console

    from ..datasets.readers.crop_list import trusted
    from ..datasets.readers.list_folder import CROPS_NAME, open_list
    from ..datasets.splits import validation_mask
    from ..datasets.turned import turn_list
    from ..errors import SynergyNetError

    labelled = open_list(folder, face_model)
    names, model = labelled.names, labelled.model
    used = ~validation_mask(names)
    if quality is not None:
        keep = trusted(quality)
        if keep.shape != used.shape:
            raise SynergyNetError(f"{quality}: made for another list than {labelled.file}")
        used &= keep
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with counting_bar(console, "crops") as progress:
        written = turn_list(
            crops or folder / CROPS_NAME,
            [n for n, u in zip(names, used, strict=True) if u],
            labelled.params[used],
            model,
            output,
            count=count,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    console.print(f"{count} turned crops with labels of {model.name}: {written}")
