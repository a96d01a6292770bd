"""Print a result, the published lines first, then everything in tables; draw its worst faces."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from ..datasets.readers import Reader
from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from ..geometry.params import INPUT_SIZE, FloatArray
from .metrics import UNITS, BinnedNme, EulerMae, Group
from .result import Result

_FILE_WIDTH = 100

COUNT = 40
COLUMNS = 8
_ZOOM = 2
_TRUTH, _FOUND = (60, 60, 255), (80, 255, 80)  # BGR


def print_result(result: Result, console: Console | None = None, *, groups: bool = False) -> None:
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
    for table in result.tables(groups):
        out.print(table, highlight=False)
        out.print()
    for line in _facts(result):
        out.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def nme_table(errors: Mapping[str, Mapping[str, BinnedNme]], images: Sequence[int]) -> Table:
    """NME in percent, mean (std): frame -> truth -> value; ``images`` by bin and in all."""
    table = _table("NME in %, mean (std)", "frame", "truth")
    for name in ("[0, 30]", "(30, 60]", "(60, 90]", "mean of 3"):
        table.add_column(name.replace("[", r"\["), justify="right")
    for frame, rows in errors.items():
        for truth, value in rows.items():
            table.add_row(frame, truth, *(f"{mean:.3f} ({std:.3f})" for mean, std in value.rows()))
    table.add_row("images", "", *map(str, images))
    return table


def euler_table(angles: Mapping[str, EulerMae]) -> Table:
    """MAE of the Euler angles in degrees: decode -> value."""
    table = _table("Euler angles, MAE in degrees", "decode")
    for name in ("yaw", "pitch", "roll", "mean", "images"):
        table.add_column(name, justify="right")
    for decode, value in angles.items():
        numbers = (f"{number:.3f}" for number in value.numbers().values())
        table.add_row(decode, *numbers, str(value.images))
    return table


def group_table(
    groups: tuple[Group, ...], title: str = "Where the errors are (exact frame, 'ori')"
) -> Table:
    """Accuracy by pose and size."""
    table = _table(title, "by")
    for name in ("from", "to", "images", "NME %", "median", "MAE degrees"):
        table.add_column(name, justify="right")
    for g in groups:
        mae = "" if math.isnan(g.mae) else f"{g.mae:.2f}"
        row = (f"{g.low:g}", f"{g.high:g}", str(g.images), f"{g.nme:.2f}", f"{g.median:.2f}", mae)
        table.add_row(f"{g.name}, {UNITS[g.name]}", *row)
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(
        *columns,
        title=title,
        title_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _facts(result: Result) -> list[str]:
    images = f"{result.images} images"
    if result.images != result.benchmark_images:
        images += (
            f" (the benchmark has {result.benchmark_images}: not comparable with published tables)"
        )
    mirror = ", mean of crop and mirrored crop" if result.mirror else ""
    return [
        f"weights     {result.weights}",
        f"face model  {result.face_model} ({result.face_model_hash[:12]})",
        f"answers     {result.frame} frame, border {result.border} px{mirror}",
        f"measured    {images} in {result.seconds:.1f} s",
    ]


def draw_worst(dataset: Reader, result: Result, path: Path, count: int = COUNT) -> None:
    """Write a sheet of the worst faces: truth red, answer green, NME in percent above.

    Raises:
        SynergyNetError: no landmarks were measured, or the file cannot be written.
    """
    faces = result.faces
    if faces is None:
        raise SynergyNetError(f"{path}: {result.benchmark} measures no landmarks to draw")
    chosen = faces.worst(count)
    crops = np.stack([dataset[int(row)].crop() for row in chosen])
    draw_sheet(path, crops, faces.truth[chosen], faces.landmarks[chosen], faces.nme[chosen])


def worst_faces(dataset: Reader, result: Result, count: int = COUNT) -> list[dict[str, Any]]:
    """The faces with the largest errors, worst first, for the JSON that ``view`` shows.

    Returns:
        Of each ``name``, ``nme_percent``, ``file`` of its crop (None if it has none of its own),
        ``truth`` and ``landmarks`` (68, 2) in 1-based pixels of the crop. Empty if no landmarks
        were measured.
    """
    faces, out = result.faces, []
    for row in [] if faces is None else faces.worst(count).tolist():
        sample = dataset[row]
        file = sample.files[0].absolute() if sample.files and sample.box is None else None
        assert faces is not None
        out.append(
            {
                "name": sample.name,
                "nme_percent": round(float(faces.nme[row]), 3),
                "file": None if file is None else str(file),
                "truth": faces.truth[row, :, :2].round(2).tolist(),
                "landmarks": faces.landmarks[row, :, :2].round(2).tolist(),
            }
        )
    return out


def draw_sheet(
    path: Path, crops: NDArray[np.uint8], truth: FloatArray, found: FloatArray, nme: FloatArray
) -> None:
    """Write crops (N, 120, 120, 3) in rows of eight, with truth red and answer green.

    Args:
        path: ends in .png or .jpg.
        truth, found: (N, 68, 2+) crop1 frame.
        nme: (N,) percent, written above.
    """
    tiles = [_tile(*face) for face in zip(crops, truth, found, nme.tolist(), strict=True)]
    while len(tiles) % COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    done, data = cv2.imencode(path.suffix.lower(), np.vstack(rows))
    if not done:
        raise SynergyNetError(f"{path}: OpenCV cannot write this kind of picture")
    write_whole(path, data.tobytes())


def _tile(
    crop: NDArray[np.uint8], truth: FloatArray, found: FloatArray, nme: float
) -> NDArray[np.uint8]:
    size = INPUT_SIZE * _ZOOM
    out = np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    for points, color in ((truth, _TRUTH), (found, _FOUND)):
        for x, y in (points[:, :2] - 0.5) * _ZOOM - 0.5:  # 1-based pixels to those of the tile
            cv2.circle(out, (round(x), round(y)), 2, color, -1, cv2.LINE_AA)
    cv2.putText(out, f"{nme:.1f}", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,) * 3, 1)
    return out
