"""``synergynet data pack``: a training list into WebDataset shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pack(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with train.list and its labels.")
    ],
    output: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="Folder for the shards; give several to divide them."),
    ],
    crops: Annotated[Path | None, typer.Option(help="Folder of the crops. Default: DIR/crops.")] = (
        None
    ),
    face_model: Annotated[
        str, typer.Option(help="Of the labels: 'open-head', a 3dmm_data folder, or an .npz.")
    ] = "open-head",
    shard_size: Annotated[int, typer.Option(min=1, help="Crops per shard.")] = 20_000,
) -> None:
    """Pack a training list into WebDataset shards: plain tar files, crops as they are stored.

    Run the same command again if it was interrupted.
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
    )
    from ..datasets.list_folder import CROPS_NAME, LABELS_NAME, TRAIN_LIST
    from ..datasets.pack import pack_shards
    from ..face_model.sources import resolve_face_model

    list_file, labels = folder / TRAIN_LIST, folder / LABELS_NAME
    refuse_evaluation_data(list_file)
    names = read_list(list_file)
    model, whitening = resolve_face_model(face_model)
    raw = read_params(labels, find_whitening(labels, whitening), len(names))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("crops"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("crops", total=len(names))
        count = pack_shards(
            crops or folder / CROPS_NAME,
            names,
            raw,
            model,
            output,
            shard_size=shard_size,
            progress=lambda done, total: bar.update(line, completed=done, total=total),
        )
    where = ", ".join(map(str, output))
    console.print(f"{len(names)} crops with labels of {model.name} in {count} shard(s): {where}")
