"""``synergynet data turn``: real crops turned to larger poses."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import Annotated

import typer

from .data_options import (
    CropsOption,
    LabelsOption,
    ListFolder,
    OutputOption,
    WorkersOption,
    plain_console,
    processes,
)
from .progress import counting_bar


def turn(
    folder: ListFolder,
    output: OutputOption,
    count: Annotated[int, typer.Option("-n", min=1, help="How many crops to make.")] = 20000,
    crops: CropsOption = None,
    face_model: LabelsOption = "open-head",
    quality: Annotated[
        Path | None,
        typer.Option(help=".npz with mirror_disagreement_px: leave doubtful labels (5 px) alone."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: WorkersOption = None,
) -> None:
    """Turn the faces of a training list further aside, with their labels (face profiling).

    Crops that `synergynet train` holds back for validation are left alone.
    """
    from ..datasets.readers.crop_list import trusted
    from ..datasets.readers.list_folder import CROPS_NAME, open_list
    from ..datasets.splits import validation_mask
    from ..datasets.turned import turn_list
    from ..errors import SynergyNetError

    labelled, model = open_list(folder, face_model)
    used = ~validation_mask(labelled.names)
    if quality is not None:
        keep = trusted(quality)
        if keep.shape != used.shape:
            raise SynergyNetError(f"{quality}: made for another list than {labelled.name}")
        used &= keep
    console = plain_console()
    with counting_bar(console, "crops") as progress:
        written = turn_list(
            crops or folder / CROPS_NAME,
            list(compress(labelled.names, used)),
            labelled.params[used],
            model,
            output,
            count=count,
            seed=seed,
            workers=processes(workers),
            progress=progress,
        )
    console.print(f"{count} turned crops with labels of {model.name}: {written}")
