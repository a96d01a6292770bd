"""``synergynet data turn``: real crops turned to larger poses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


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
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from ..datasets.crop_list import (
        find_whitening,
        read_list,
        read_params,
        refuse_evaluation_data,
        trusted,
    )
    from ..datasets.list_folder import CROPS_NAME, LABELS_NAME, TRAIN_LIST
    from ..datasets.splits import validation_mask
    from ..datasets.turned import turn_list
    from ..errors import SynergyNetError
    from ..face_model.sources import resolve_face_model

    model, whitening = resolve_face_model(face_model)
    list_file, labels = folder / TRAIN_LIST, folder / LABELS_NAME
    refuse_evaluation_data(list_file)
    names = read_list(list_file)
    raw = read_params(labels, find_whitening(labels, whitening), len(names))
    used = ~validation_mask(names)
    if quality is not None:
        keep = trusted(quality)
        if keep.shape != used.shape:
            raise SynergyNetError(f"{quality}: made for another list than {list_file}")
        used &= keep
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("crops"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("crops", total=count)
        written = turn_list(
            crops or folder / CROPS_NAME,
            [n for n, u in zip(names, used, strict=True) if u],
            raw[used],
            model,
            output,
            count=count,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total: bar.update(line, completed=done, total=total),
        )
    console.print(f"{count} turned crops with labels of {model.name}: {written}")
