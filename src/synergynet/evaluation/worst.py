"""A picture of the faces that a network gets most wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..datasets.readers import Reader
from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from ..geometry.params import INPUT_SIZE, FloatArray
from .result import Result

COUNT = 40
COLUMNS = 8
_ZOOM = 2
_TRUTH, _FOUND = (60, 60, 255), (80, 255, 80)  # BGR


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
