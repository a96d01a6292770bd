"""Print a result: the published lines first, then everything in two tables."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table

from ..datasets.readers.aflw2000_crops import BENCHMARK_IMAGES
from .breakdown import UNITS, Group
from .metrics import EulerMae
from .result import EvaluationResult

_FILE_WIDTH = 100


def print_result(
    result: EvaluationResult, console: Console | None = None, *, groups: bool = False
) -> None:
    """Write the published lines, character by character, then tables under 80 wide.

    Args:
        console: where to; standard output by default. One that is not a terminal is taken
            to be 100 columns wide, so that nothing is folded in files and pipes.
        groups: also print the accuracy by pose and size.
    """
    out = console or Console()
    if not out.is_terminal:
        out.width = max(out.width, _FILE_WIDTH)
    for line in result.published_lines():
        out.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
    out.print()
    extra = [group_table(result.groups)] if groups else []
    for table in (nme_table(result), euler_table(result), *extra):
        out.print(table, highlight=False)
        out.print()
    for line in _facts(result):
        out.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def nme_table(result: EvaluationResult) -> Table:
    """NME in percent, mean (std), on both truths and in both frames."""
    table = _table("NME in %, mean (std)")
    table.add_column("frame")
    table.add_column("truth")
    for name in ("[0, 30]", "(30, 60]", "(60, 90]", "mean of 3"):
        table.add_column(name.replace("[", r"\["), justify="right")
    for frame, rows in (("official", result.nme_official), ("exact", result.nme_exact)):
        for truth, value in rows.items():
            pairs = [*zip(value.means, value.stds, strict=True), (value.mean, value.std)]
            table.add_row(frame, truth, *(f"{mean:.3f} ({std:.3f})" for mean, std in pairs))
    table.add_row("images", "", *(str(n) for n in (*result.bin_images, result.images)))
    return table


def euler_table(result: EvaluationResult) -> Table:
    """MAE of the Euler angles in degrees by both decodes."""
    table = _table("Euler angles, MAE in degrees")
    table.add_column("decode")
    for name in ("yaw", "pitch", "roll", "mean", "images"):
        table.add_column(name, justify="right")

    def row(name: str, value: EulerMae) -> None:
        numbers = (value.yaw, value.pitch, value.roll, value.mean)
        table.add_row(name, *(f"{v:.3f}" for v in numbers), str(value.images))

    row("official", result.euler_official)
    row("exact", result.euler_exact)
    return table


def group_table(
    groups: tuple[Group, ...], title: str = "Where the errors are (exact frame, 'ori')"
) -> Table:
    """Accuracy by pose and size."""
    table = _table(title)
    table.add_column("by")
    for name in ("from", "to", "images", "NME %", "median", "MAE degrees"):
        table.add_column(name, justify="right")
    for g in groups:
        mae = "" if math.isnan(g.mae) else f"{g.mae:.2f}"
        row = (f"{g.low:g}", f"{g.high:g}", str(g.images), f"{g.nme:.2f}", f"{g.median:.2f}", mae)
        table.add_row(f"{g.name}, {UNITS[g.name]}", *row)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _facts(result: EvaluationResult) -> list[str]:
    images = f"{result.images} images"
    if result.images != BENCHMARK_IMAGES:
        images += f" (the benchmark has {BENCHMARK_IMAGES}: not comparable with published tables)"
    mirror = ", mean of crop and mirrored crop" if result.mirror else ""
    return [
        f"weights     {result.weights}",
        f"face model  {result.face_model} ({result.face_model_hash[:12]})",
        f"answers     {result.frame} frame, border {result.border} px{mirror}",
        f"measured    {images} in {result.seconds:.1f} s",
    ]
