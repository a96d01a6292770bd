"""``synergynet data prepare``: a data set, as downloaded, into a training list."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.readers import READERS
from .data_options import OutputOption, WorkersOption, plain_console, processes
from .progress import counting_bar

SourceOption = Enum("SourceOption", {name: name for name in READERS}, type=str)  # type: ignore[misc]
"""The data sets that there is a reader for."""

_SHOWN = 50
_SOURCES = "; ".join(f"{name}: {what}" for name, (_, what) in READERS.items())


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set, as unpacked.")],
    source: Annotated[SourceOption, typer.Option("--from", help=f"What DIR is. {_SOURCES}.")],
    output: OutputOption,
    face_model: Annotated[
        str,
        typer.Option(help="Labels for: 'open-head', a 3dmm_data folder, or an .npz face model."),
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
    console = plain_console()
    with counting_bar(console, "photos") as progress:
        result = run(
            source.value,
            folder,
            output,
            target,
            labels,
            workers=processes(workers),
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
