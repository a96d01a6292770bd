"""``synergynet data synth``: render faces with exact labels."""

from __future__ import annotations

from typing import Annotated

import typer

from .data_options import OutputOption, WorkersOption, plain_console, processes
from .progress import counting_bar


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

    console = plain_console()
    with counting_bar(console, "faces") as progress:
        list_file = write_faces(
            output,
            count,
            seed=seed,
            depth=depth,
            workers=processes(workers),
            progress=progress,
        )
    console.print(f"{count} crops with labels of open-head: {list_file}")
