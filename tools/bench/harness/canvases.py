"""Photos of known faces: one photo's face, copied into squares of any size."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synergynet import FaceAnalyzer, SynergyNetError, read_image
from synergynet.geometry.crops import CropBox

Image = NDArray[np.uint8]
TILE = 1.5
"""Side of what is copied, in sides of the face's crop: a head with shoulders."""

JPEG_QUALITY = 92
FRAME_SIZE = (480, 640)
FRAME_RATE = 25.0
SWAY = 0.03
"""Of the frame's height: radius of the circle on which the face of the video moves."""


@dataclass(frozen=True)
class Scene:
    """A photo on disk.

    Attributes:
        name: in the tables.
        array: ``.npy`` with (H, W, 3) uint8 BGR.
        jpeg: the same as a JPEG.
        size: (W, H).
        faces: how many it shows; None if that is not known.
        boxes: (left, top, side) of the faces' crops, see ``CropBox``.
    """

    name: str
    array: str
    jpeg: str
    size: tuple[int, int]
    faces: int | None = None
    boxes: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Source:
    """A photo and the crop of the face in it."""

    photo: Image
    crop: CropBox


def find_face(path: Path) -> Source:
    """A photo and its best face.

    Raises:
        SynergyNetError: not a photo, or no face in it.
    """
    photo = read_image(path)
    faces = FaceAnalyzer()(photo)
    if not faces:
        raise SynergyNetError(f"{path}: no face was found, so there is none to copy")
    return Source(photo, faces[0].crop)


def paste_faces(source: Source, faces: int, side: int) -> tuple[Image, list[CropBox]]:
    """A square photo of ``side`` pixels and the crops of the faces in it.

    One face is the photo itself; more are copies in a grid, mirrored, scaled and recoloured, on
    a ground without shapes.
    """
    if faces == 1:
        scale = side / max(source.photo.shape[:2])
        height, width = (round(scale * n) for n in source.photo.shape[:2])
        canvas = np.zeros((side, side, 3), dtype=np.uint8)
        canvas[:height, :width] = _scaled(source.photo, (width, height))
        return canvas, [_moved(source.crop, scale, 0, 0)]
    canvas = _scaled(
        np.asarray(cv2.resize(source.photo, (4, 4), interpolation=cv2.INTER_AREA)), (side, side)
    )
    columns = ceil(sqrt(faces))
    rows = ceil(faces / columns)
    cell, top = side / columns, (side - rows * side / columns) / 2
    rng, boxes = np.random.default_rng(0), []
    for k in range(faces):
        tile, crop = _head(_recoloured(source.photo, rng), source.crop, mirrored=k % 2 == 1)
        size = int(cell * rng.uniform(0.85, 1.0))
        x = int(k % columns * cell + (cell - size) / 2)
        y = int(top + k // columns * cell + (cell - size) / 2)
        canvas[y : y + size, x : x + size] = _scaled(tile, (size, size))
        boxes.append(_moved(crop, size / len(tile), x, y))
    return canvas, boxes


def frames_of(source: Source, count: int) -> Iterator[Image]:
    """Frames of 640 x 480 in which the face moves on a circle and ends where it began."""
    height, width = FRAME_SIZE
    scale = height / max(source.photo.shape[:2])
    still = _scaled(source.photo, tuple(round(scale * n) for n in source.photo.shape[1::-1]))  # type: ignore[arg-type]
    for turn in np.linspace(0, 2 * np.pi, count, endpoint=False):
        x = (width - still.shape[1]) / 2 + SWAY * height * np.cos(turn)
        y = (height - still.shape[0]) / 2 + SWAY * height * np.sin(turn)
        move = np.array([[1, 0, x], [0, 1, y]])
        frame = cv2.warpAffine(still, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(frame, dtype=np.uint8)


def write_scene(folder: Path, name: str, image: Image, **known: object) -> Scene:
    """Put a photo on disk, as an array and as a JPEG."""
    stem = folder / name.replace(" ", "_").replace(",", "")
    np.save(stem.with_suffix(".npy"), image)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    stem.with_suffix(".jpg").write_bytes(data.tobytes())
    array, jpeg = (str(stem.with_suffix(ending)) for ending in (".npy", ".jpg"))
    return Scene(name, array, jpeg, (image.shape[1], image.shape[0]), **known)  # type: ignore[arg-type]


def make_scene(source: Source, faces: int, side: int, folder: Path) -> Scene:
    """A made photo on disk."""
    image, boxes = paste_faces(source, faces, side)
    name = f"{faces} face{'s' * (faces > 1)}, {side} px"
    places = tuple((box.left, box.top, box.side) for box in boxes)
    return write_scene(folder, name, image, faces=faces, boxes=places)


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    smaller = size[0] < image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def _moved(crop: CropBox, scale: float, x: float, y: float) -> CropBox:
    """A crop after scaling and shifting by pixels; its corner counts from a pixel's centre."""
    left, top = ((corner + 0.5) * scale - 0.5 for corner in (crop.left, crop.top))
    return CropBox(left + x, top + y, crop.side * scale).rounded()


def _head(photo: Image, crop: CropBox, *, mirrored: bool) -> tuple[Image, CropBox]:
    """A square about the face, edges repeated beyond the photo, and the crop in it."""
    side, margin = round(TILE * crop.side), round(TILE * crop.side)
    x, y = crop.center
    left, top = round(x - side / 2 + 0.5), round(y - side / 2 + 0.5)
    wide = cv2.copyMakeBorder(photo, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    tile = wide[top + margin : top + margin + side, left + margin : left + margin + side]
    inside = CropBox(crop.left - left, crop.top - top, crop.side)
    if mirrored:
        tile, inside = (
            tile[:, ::-1],
            CropBox(side - 1 - inside.left - inside.side, inside.top, inside.side),
        )
    return np.ascontiguousarray(tile), inside


def _recoloured(photo: Image, rng: np.random.Generator) -> Image:
    """Another light and another skin."""
    gains, gamma = rng.uniform(0.8, 1.15, 3), rng.uniform(0.75, 1.35)
    return np.clip(255 * (photo / 255) ** gamma * gains, 0, 255).astype(np.uint8)
