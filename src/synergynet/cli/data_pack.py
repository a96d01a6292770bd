"""``synergynet data pack``: a training list into WebDataset shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .progress import counting_bar


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

    from ..datasets.pack import pack_shards
    from ..datasets.readers.list_folder import CROPS_NAME, open_list

    labelled = open_list(folder, face_model)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with counting_bar(console, "crops") as progress:
        count = pack_shards(
            crops or folder / CROPS_NAME,
            labelled.names,
            labelled.params,
            labelled.model,
            output,
            shard_size=shard_size,
            progress=progress,
        )
    where = ", ".join(map(str, output))
    console.print(
        f"{len(labelled.names)} crops with labels of {labelled.model.name} "
        f"in {count} shard(s): {where}"
    )
