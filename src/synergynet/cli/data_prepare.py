"""``synergynet data ...``: make training data."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .progress import counting_bar

_SHOWN = 50


class SourceOption(str, Enum):
    """Layouts that ``data prepare`` reads."""

    lp = "300w-lp"
    aflw2000 = "aflw2000"


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set, as unpacked.")],
    source: Annotated[
        SourceOption, typer.Option("--from", help="What DIR is. aflw2000: for evaluation only.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for crops and labels.")],
    face_model: Annotated[
        str,
        typer.Option(help="Labels for: 'open-head', a 3dmm_data folder, or an .npz face model."),
    ] = "open-head",
    bfm: Annotated[
        Path | None,
        typer.Option(
            help="3dmm_data folder of the Basel Face Model, which the landmarks of 300W-LP are "
            "computed with. Default: --face-model, if it is such a folder."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one per processor.")
    ] = None,
) -> None:
    """Cut 120x120 crops of 300W-LP or AFLW2000-3D and write a training list with labels.

    Run the same command again to go on where it stopped. Photos that cannot be used are left
    out and named at the end; the exit code is then 1.
    """
    from rich.console import Console

    from ..datasets.prepare import prepare as run
    from ..face_model.official import load_official
    from ..face_model.sources import resolve_face_model
    from .main import report_error

    target, whitening = resolve_face_model(face_model)
    basel = load_official(bfm) if bfm is not None else None
    if basel is None and whitening is not None:
        basel = target, whitening
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with counting_bar(console, "photos") as progress:
        result = run(
            source.value,
            folder,
            output,
            target,
            basel,
            workers=workers or os.cpu_count() or 1,
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
