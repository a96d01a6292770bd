"""Photos with a ``.mat`` of labels beside each: 300W-LP and AFLW2000-3D as unpacked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from .mat_photos import PHOTO_SIZE

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_NO_LABELS = ("Code", "landmarks")  # folders of the two collections with other .mat files
_MAX_PHOTO_BYTES = 16 << 20


@dataclass(frozen=True)
class Photo:
    """A photo, the labels beside it, and what its crop is called inside ``crops``."""

    image: Path
    labels: Path
    name: str


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
    try:
        if path.stat().st_size > _MAX_PHOTO_BYTES:
            raise SynergyNetError(f"{path}: larger than {_MAX_PHOTO_BYTES >> 20} MiB")
        data = np.fromfile(path, dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (OSError, cv2.error) as error:
        raise SynergyNetError(f"{path}: not a readable image ({error})") from error
    if image is None:
        raise SynergyNetError(f"{path}: not a readable image")
    if image.shape[:2] != (PHOTO_SIZE, PHOTO_SIZE):
        raise SynergyNetError(
            f"{path}: {image.shape[1]}x{image.shape[0]} pixels; the labels are for 450x450"
        )
    return np.asarray(image, dtype=np.uint8)
