"""Data sets behind one protocol: a :class:`Reader` hands out one :class:`Sample` a face.

A new data set is one module with a function ``open_folder``, and one line of ``READERS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError

if TYPE_CHECKING:
    from ...face_model.model import FaceModel
    from ...geometry.crops import CropBox
    from ...geometry.params import FloatArray, Whitening

READERS = {
    "300w-lp": ("photo_folder", "photos with .mat files"),
    "aflw2000": ("photo_folder", "photos with .mat files, for evaluation only"),
    "list": ("list_folder", "a folder with train.list"),
    "shards": ("shards", "a folder that 'data pack' wrote"),
}
"""Name -> (module of this package, whose ``open_folder`` opens it; what its files are)."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One face and what its data set says of it; None for what it does not say.

    Attributes:
        name: of its crop, relative, unique in the data set.
        image: decodes the picture, (H, W, 3) uint8 BGR.
        box: square of the crop, image frame; None: the picture is the crop.
        landmarks: (68, 3) crop1 frame of that crop.
        rotation: (3, 3) model frame -> camera frame.
        params: (62,) raw parameters for that crop.
        files: what it is read from; a crop that is older than one of them is out of date.
    """

    name: str
    image: Callable[[], NDArray[np.uint8]]
    box: CropBox | None = None
    landmarks: FloatArray | None = None
    rotation: FloatArray | None = None
    params: FloatArray | None = None
    files: tuple[Path, ...] = ()

    def crop(self) -> NDArray[np.uint8]:
        """(120, 120, 3) uint8 BGR; SynergyNetError if the picture is missing or broken."""
        from ...regression.cropping import cut_crops

        image = self.image()
        return image if self.box is None else cut_crops(image, [self.box])[0]


class Reader(ABC):
    """A data set as a sequence of samples, always in the same order.

    Attributes:
        name: what people call it.
        evaluation_only: whether it is a benchmark, which nobody may train on.
        face_model_hash: of the face model that ``Sample.params`` are of.
        unusable: a sentence for each file that is no sample.
    """

    name: str
    evaluation_only: bool = False
    face_model_hash: str | None = None
    unusable: Sequence[str] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """SynergyNetError if its files are broken or show no face."""

    def crops(self, batch_size: int = 128) -> Iterator[NDArray[np.uint8]]:
        """Batches (n, 120, 120, 3) uint8 BGR in order, n <= ``batch_size``.

        Raises:
            SynergyNetError: a picture is missing or broken.
        """
        if batch_size < 1:
            raise SynergyNetError(f"batch size {batch_size}: must be at least 1")
        for start in range(0, len(self), batch_size):
            rows = range(start, min(start + batch_size, len(self)))
            yield np.stack([self[row].crop() for row in rows])


class LabelModel(NamedTuple):
    """The face model that the labels of a data set are of.

    model: the whole one, or its 68 landmarks alone; whitening: what lies beside it, if anything;
    hash: of the whole one.
    """

    model: FaceModel
    whitening: Whitening | None
    hash: str


def open_reader(name: str, folder: Path, labels: LabelModel, skip: Path) -> Reader:
    """Open ``folder`` as the data set ``name`` of ``READERS``.

    Args:
        skip: a folder inside it that is not searched (the output).

    Raises:
        SynergyNetError: there is nothing of the kind, or ``labels`` are not what it needs.
    """
    if not folder.is_dir():
        raise SynergyNetError(f"{folder}: no such folder")
    module = import_module(f"{__name__}.{READERS[name][0]}")
    reader: Reader = module.open_folder(name, folder, labels, skip)
    return reader
