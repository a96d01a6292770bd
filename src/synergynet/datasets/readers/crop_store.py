"""Crops on disk as if they were one array: decoded when they are drawn, or all at once."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...files.images import decode_image
from ...files.whole_file import check_file
from ...geometry.params import INPUT_SIZE

CROP_SHAPE = (INPUT_SIZE, INPUT_SIZE, 3)
MAX_CROP_BYTES = 1 << 20
"""Of a compressed crop; real ones have 4 kB, and no 120x120 picture comes near this."""
_MAX_PIXELS = 1_000_000
"""Of what is taken for a crop by mistake: enough to decode it and say its size."""


class LazyCrops:
    """(N, 120, 120, 3) uint8 BGR crops that are decoded when they are asked for.

    One index gives a crop. A slice, a mask or an array of indices gives other LazyCrops and
    decodes nothing. Threads may share it.

    Args:
        read: number of a stored crop -> (120, 120, 3) uint8.
        rows: (N,) the numbers of these crops.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, read: Callable[[int], NDArray[np.uint8]], rows: NDArray[np.intp]) -> None:
        self._read, self._rows = read, rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), *CROP_SHAPE)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any]) -> LazyCrops: ...
    def __getitem__(
        self, key: int | np.integer[Any] | slice | NDArray[Any]
    ) -> NDArray[np.uint8] | LazyCrops:
        if isinstance(key, int | np.integer):
            return self._read(int(self._rows[key]))
        return LazyCrops(self._read, self._rows[key])

    def load(self) -> NDArray[np.uint8]:
        """All of them as an array, 43 kB each."""
        images = np.empty(self.shape, dtype=np.uint8)
        for index in range(len(self)):
            images[index] = self[index]
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.load().astype(dtype or np.uint8, copy=False)


CropImages = NDArray[np.uint8] | LazyCrops
"""(N, 120, 120, 3) uint8 BGR, in memory or not."""


def join_crops(parts: Sequence[CropImages]) -> CropImages:
    """All parts one after another, without copying them."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()

    def read(index: int) -> NDArray[np.uint8]:
        part = bisect_right(starts, index) - 1
        crop: NDArray[np.uint8] = parts[part][index - starts[part]]
        return crop

    return LazyCrops(read, np.arange(starts[-1]))


def crop_files(folder: Path, names: Sequence[str]) -> LazyCrops:
    """The files ``folder/name``.

    Raises:
        SynergyNetError: one of them is not there.
    """
    # One listing per folder: half a million crops are looked up in a second or two.
    listings: dict[str, set[str]] = {}
    for name in names:
        parent, base = os.path.split(name)
        if parent not in listings:
            listings[parent] = _listing(folder / parent)
        # Some file systems take a name that is not spelt as in their listing.
        if base not in listings[parent] and not _is_file(folder / name):
            raise SynergyNetError(f"{folder / name}: missing")
    return unchecked_files(folder, names)


def unchecked_files(folder: Path, names: Sequence[str]) -> LazyCrops:
    """The files ``folder/name``; one that is missing is an error when it is drawn."""
    return LazyCrops(lambda index: read_crop(folder / names[index]), np.arange(len(names)))


def read_crop(file: Path) -> NDArray[np.uint8]:
    """(120, 120, 3) uint8 BGR; SynergyNetError if it is missing or no such picture."""
    return decode_crop(read_crop_bytes(file), file)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _listing(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except OSError:  # what is missing is named by its file
        return set()


def read_crop_bytes(file: Path) -> bytes:
    """A crop as it is stored, compressed; SynergyNetError if there is none or a huge one."""
    return read_small(file, MAX_CROP_BYTES, "120x120 crop")


def read_small(file: Path, most: int, what: str) -> bytes:
    """A file's bytes; SynergyNetError if it is missing or larger than ``most``, so no ``what``."""
    check_file(file)
    try:
        with file.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > most:
                raise SynergyNetError(f"{file}: larger than {most >> 20} MiB, not a {what}")
            return stream.read(size)
    except OSError as error:
        raise SynergyNetError(f"{file}: cannot be read ({error.strerror})") from error


def decode_crop(data: bytes, origin: object) -> NDArray[np.uint8]:
    """A compressed crop -> (120, 120, 3) uint8 BGR.

    Args:
        origin: what to name if it is broken.

    Raises:
        SynergyNetError: not an image, or not 120x120.
    """
    image = decode_image(data, origin, pixels=_MAX_PIXELS)
    if image.shape != CROP_SHAPE:
        width, height = image.shape[1], image.shape[0]
        raise SynergyNetError(f"{origin}: {width}x{height} pixels, expected 120x120")
    return image
