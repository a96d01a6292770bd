"""``synergynet data pack``: a training list into WebDataset shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .data_options import CropsOption, LabelsOption, ListFolder, plain_console
from .progress import counting_bar


def pack(
    folder: ListFolder,
    output: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="Folder for the shards; give several to divide them."),
    ],
    crops: CropsOption = None,
    face_model: LabelsOption = "open-head",
    shard_size: Annotated[int, typer.Option(min=1, help="Crops per shard.")] = 20_000,
) -> None:
    """Pack a training list into WebDataset shards: plain tar files, crops as they are stored.

    Run the same command again if it was interrupted.
    """
    from ..datasets.pack import pack_shards
    from ..datasets.readers.list_folder import CROPS_NAME, open_list

    labelled, model = open_list(folder, face_model)
    console = plain_console()
    with counting_bar(console, "crops") as progress:
        count = pack_shards(
            crops or folder / CROPS_NAME,
            labelled.names,
            labelled.params,
            model,
            output,
            shard_size=shard_size,
            progress=progress,
        )
    where = ", ".join(map(str, output))
    crops_done = f"{len(labelled)} crops with labels of {model.name}"
    console.print(f"{crops_done} in {count} shard(s): {where}")
