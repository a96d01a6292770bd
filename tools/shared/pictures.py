"""Pictures in and out: photos at a size, sheets of tiles, JPEG files."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synergynet import SynergyNetError, read_image
from synergynet.files.whole_file import write_whole

Image = NDArray[np.uint8]


def enlarged(image: Image, factor: float) -> Image:
    scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.uint8)


def read_scaled(path: Path, side: int) -> Image:
    """A photo whose longer side has ``side`` pixels."""
    photo = read_image(path)
    return enlarged(photo, side / max(photo.shape[:2]))


def sheet(tiles: Sequence[Image], columns: int) -> Image:
    """Tiles of one size row by row; the last row is filled up with white."""
    tiles = [*tiles, *[np.full_like(tiles[0], 255)] * (-len(tiles) % columns)]
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    return np.vstack(rows)


def write_sheet(path: Path, image: Image, quality: int) -> None:
    """A picture in the format of its ending, of a JPEG's ``quality``; says how large it became.

    Raises:
        SynergyNetError: OpenCV does not know the format.
    """
    try:
        _, data = cv2.imencode(path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise SynergyNetError(f"{path}: not a kind of picture; end it in .jpg or .png") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data.tobytes())
    print(f"wrote {path}: {len(data) / 1000:.0f} kB")
