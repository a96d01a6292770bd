"""Photos with a ``.mat`` of labels beside each: 300W-LP and AFLW2000-3D as unpacked."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...files.images import decode_image
from ...geometry.boxes import largest_side
from . import LabelModel, Reader, Sample
from .crop_store import read_small
from .mat_photos import PHOTO_SIZE, Source, benchmark_box, photo1_to_crop1, read_mat

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_NO_LABELS = ("Code", "landmarks")  # folders of the two collections with other .mat files
_SMALLEST_BOX = 16  # photo pixels
_MAX_PIXELS = 4_000_000  # of what is taken for such a photo by mistake


@dataclass(frozen=True)
class Photo:
    """A photo, the labels beside it, and what its crop is called inside ``crops``."""

    image: Path
    labels: Path
    name: str


@dataclass(frozen=True, eq=False)
class PhotoFolder(Reader):
    """Samples of a folder with their benchmark's boxes; parameters are of ``bfm``."""

    source: Source
    photos: list[Photo]
    bfm: FaceModel | None
    unusable: list[str]
    face_model_hash: str | None

    @property
    def name(self) -> str:  # type: ignore[override]
        return "AFLW2000-3D" if self.evaluation_only else "300W-LP"

    @property
    def evaluation_only(self) -> bool:  # type: ignore[override]
        return self.source == "aflw2000"

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Sample:
        photo = self.photos[index]
        labels = read_mat(photo.labels)
        if labels.source != self.source:
            raise SynergyNetError(f"{photo.labels}: of {labels.source}, not of {self.source}")
        with np.errstate(over="ignore", invalid="ignore"):
            points = labels.landmarks(self.bfm)
            box = benchmark_box(points)
            raw = labels.params(box)
            sane = np.isfinite(raw.astype(np.float32)).all()
        x, y = box.center
        if not (
            sane
            and _SMALLEST_BOX <= box.side <= largest_side((PHOTO_SIZE, PHOTO_SIZE))
            and max(abs(x - PHOTO_SIZE / 2), abs(y - PHOTO_SIZE / 2)) < (PHOTO_SIZE + box.side) / 2
        ):
            raise SynergyNetError(f"{photo.labels}: the face is not in the photo")
        return Sample(
            photo.name,
            partial(read_photo, photo.image),
            box,
            photo1_to_crop1(points, box),
            labels.rotation,
            raw,
            (photo.image, photo.labels),
        )


def open_folder(name: str, folder: Path, labels: LabelModel, skip: Path) -> PhotoFolder:
    """300W-LP, whose landmarks the Basel Face Model must compute, or AFLW2000-3D."""
    source: Source = "300w-lp" if name == "300w-lp" else "aflw2000"
    # Of all face models only the Basel Face Model's folder holds a whitening.
    bfm, of_bfm = (None, None) if labels.whitening is None else (labels.model, labels.hash)
    if bfm is None and source == "300w-lp":
        raise SynergyNetError(
            "300W-LP holds no 3D landmarks: give the 3dmm_data folder of the Basel Face Model "
            "(--bfm) to compute them with"
        )
    photos, unusable = find_photos(folder, skip)
    if not photos:
        raise SynergyNetError(f"{folder}: no photo with a .mat beside it")
    return PhotoFolder(source, photos, bfm, unusable, of_bfm)


def find_photos(folder: Path, skip: Path) -> tuple[list[Photo], list[str]]:
    """Every photo below ``folder`` with a ``.mat`` beside it, by name; and what has no partner.

    Args:
        skip: a folder that is not searched (the output).
    """
    hidden = skip.resolve()
    photos: dict[str, Photo] = {}
    bad: list[str] = []
    for where, folders, files in os.walk(folder):
        root = Path(where)
        folders[:] = sorted(
            f for f in folders if f not in _NO_LABELS and (root / f).resolve() != hidden
        )
        labels = {Path(f).stem: root / f for f in sorted(files) if f.lower().endswith(".mat")}
        for file in sorted(files):
            path = root / file
            if path.suffix.lower() not in _PHOTO_SUFFIXES:
                continue
            name = path.relative_to(folder).with_suffix(".jpg").as_posix()
            mat = labels.pop(path.stem, None)
            if name in photos:
                bad.append(f"{path}: {photos[name].image.name} beside it has the same name")
            elif mat is None:
                bad.append(f"{path}: no {path.stem}.mat beside it")
            elif name != name.strip() or not name.isprintable():
                bad.append(f"{path!r}: its name cannot be a line of a list")
            else:
                photos[name] = Photo(path, mat, name)
        bad += [f"{mat}: no photo beside it" for mat in labels.values()]
    return [photos[name] for name in sorted(photos)], bad


def read_photo(path: Path) -> NDArray[np.uint8]:
    """(450, 450, 3) uint8 BGR, rows as stored: labels know nothing of EXIF.

    Raises:
        SynergyNetError: missing, too large, not an image, or not of 450x450 pixels.
    """
    data = read_small(path, 16 << 20, "photo of 450x450 pixels")
    image = decode_image(data, path, pixels=_MAX_PIXELS, turned=False)
    if image.shape[:2] != (PHOTO_SIZE, PHOTO_SIZE):
        raise SynergyNetError(
            f"{path}: {image.shape[1]}x{image.shape[0]} pixels; the labels are for 450x450"
        )
    return image
