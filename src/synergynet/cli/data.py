"""``synergynet data ...``: make training data."""

from __future__ import annotations

from enum import Enum
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..datasets.readers import READERS
from .options import FACE_MODELS
from .progress import counting_bar

if TYPE_CHECKING:
    from rich.console import Console

SourceOption = Enum("SourceOption", {name: name for name in READERS}, type=str)  # type: ignore[misc]
"""The data sets that there is a reader for."""

_SHOWN = 50
_SOURCES = "; ".join(f"{name}: {what}" for name, (_, what) in READERS.items())

ListFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder with train.list and its labels.")
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for crops and labels.")]
CropsOption = Annotated[Path | None, typer.Option(help="Folder of the crops. Default: DIR/crops.")]
LabelsOption = Annotated[str, typer.Option(help=f"Of the labels: {FACE_MODELS}.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Processes. Default: one per processor.")
]


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set, as unpacked.")],
    source: Annotated[SourceOption, typer.Option("--from", help=f"What DIR is. {_SOURCES}.")],
    output: OutputOption,
    face_model: Annotated[
        str,
        typer.Option(help=f"Labels for: {FACE_MODELS}."),
    ] = "open-head",
    bfm: Annotated[
        Path | None,
        typer.Option(
            help="3dmm_data folder of the Basel Face Model, if the labels of DIR are of it, as "
            "those of 300W-LP are. Default: --face-model."
        ),
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Cut 120x120 crops of a data set and write a training list with labels.

    Run the same command again to go on where it stopped. Photos that cannot be used are left
    out and named at the end; the exit code is then 1.
    """
    from ..datasets.prepare import prepare as run
    from ..face_model.official import load_official
    from ..face_model.sources import resolve_face_model
    from .main import report_error

    target, whitening = resolve_face_model(face_model)
    labels = load_official(bfm) if bfm is not None else (target, whitening)
    console = _console()
    with counting_bar(console, "photos") as progress:
        result = run(
            source.value,
            folder,
            output,
            target,
            labels,
            workers=_processes(workers),
            progress=progress,
        )
    console.print(f"{result.count} crops with labels of {target.name}: {result.list_file}")
    for sentence in result.bad[:_SHOWN]:
        report_error(sentence)
    if result.bad:
        more = len(result.bad) - _SHOWN
        if more > 0:
            report_error(f"and {more} more; all of them in {output / 'bad.txt'}")
        report_error(f"{len(result.bad)} files were left out")
        raise typer.Exit(1)


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
    from ..datasets.profiling import turn_list
    from ..datasets.readers.crop_list import trusted
    from ..datasets.readers.list_folder import CROPS_NAME, open_list
    from ..datasets.splits import validation_mask
    from ..errors import SynergyNetError

    labelled, model = open_list(folder, face_model)
    used = ~validation_mask(labelled.names)
    if quality is not None:
        keep = trusted(quality)
        if keep.shape != used.shape:
            raise SynergyNetError(f"{quality}: made for another list than {labelled.name}")
        used &= keep
    console = _console()
    with counting_bar(console, "crops") as progress:
        written = turn_list(
            crops or folder / CROPS_NAME,
            list(compress(labelled.names, used)),
            labelled.params[used],
            model,
            output,
            count=count,
            seed=seed,
            workers=_processes(workers),
            progress=progress,
        )
    console.print(f"{count} turned crops with labels of {model.name}: {written}")


def synth(
    output: OutputOption,
    count: Annotated[int, typer.Option("-n", "--count", help="How many faces.")] = 20_000,
    seed: Annotated[int, typer.Option(help="0 or more; other seeds, other faces.")] = 0,
    depth: Annotated[
        bool, typer.Option("--depth", help="Also write 16-bit depth pictures.")
    ] = False,
    workers: WorkersOption = None,
) -> None:
    """Render synthetic faces and write a training list with exact labels of Open Head.

    The faces depend on the seed alone. Run the same command again to go on where it stopped.
    """
    from ..datasets.synthetic.dataset import write_faces

    console = _console()
    with counting_bar(console, "faces") as progress:
        list_file = write_faces(
            output, count, seed=seed, depth=depth, workers=_processes(workers), progress=progress
        )
    console.print(f"{count} crops with labels of open-head: {list_file}")


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
    console = _console()
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


def _processes(workers: int | None) -> int:
    """What ``--workers`` means."""
    from ..files.processors import processors

    return workers or processors()


def _console() -> Console:
    """Standard output, text as it is."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)
