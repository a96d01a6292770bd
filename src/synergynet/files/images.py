"""Read photos that come from anywhere."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .image_headers import declared_size, image_kind, is_cut_off, may_be_turned

MAX_PIXELS = 100_000_000
"""Larger photos are refused before they are decoded: 100 MP take 300 MB."""

MIN_SIDE = 8
"""Nothing smaller shows a face; such files are mostly placeholders."""

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".avif", ".jp2"),
)
"""Endings, in lower case, of what is taken for a photo in a folder."""

_MAX_BYTES = 512 << 20
_KINDS = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC"


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 BGR.

    JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF and JPEG 2000, whatever the file is called; HEIC with
    the extra ``heic``. Of several pictures in a file the first is read. The EXIF orientation is
    applied (of AVIF and HEIC the container's own, as their standard says); grey becomes three
    equal channels, CMYK becomes BGR, 16 bits become 8, and an alpha channel is dropped. Paths
    may hold any character.

    Raises:
        SynergyNetError: missing, a folder, empty, cut off, too large, too small, or not an
            image.
    """
    file = Path(path)
    data = _read_bytes(file)
    _check_size(file, declared_size(data))
    kind = image_kind(data)
    if kind == "HEIC" or (kind == "AVIF" and may_be_turned(data)):
        image = _decode_with_pillow(file, data, kind)  # OpenCV does not turn AVIF
    else:
        image = None if kind == "JPEG" and is_cut_off(data) else _decode(data)
        if image is None and kind in ("AVIF", "GIF") and not _opencv_reads(kind):
            image = _decode_with_pillow(file, data, kind)
    if image is None and kind is not None:
        raise SynergyNetError(f"{file}: a damaged or incomplete {kind}; copy or download it again")
    if image is None:
        raise SynergyNetError(f"{file}: not a readable image ({_KINDS})")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SynergyNetError(f"{file}: {width} x {height} pixels are too few to show a face")
    _check_size(file, (width, height))
    return image


def _read_bytes(file: Path) -> bytes:
    try:
        if file.is_dir():
            raise SynergyNetError(f"{file}: a folder; give the photos in it")
        if not file.is_file():
            raise SynergyNetError(f"{file}: no such photo")
        size = file.stat().st_size
        if size == 0:
            raise SynergyNetError(f"{file}: empty file")
        if size > _MAX_BYTES:
            raise SynergyNetError(f"{file}: larger than {_MAX_BYTES >> 20} MiB")
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or error
        raise SynergyNetError(f"{file}: cannot be read ({reason})") from error


def _check_size(file: Path, size: tuple[int, int] | None) -> None:
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise SynergyNetError(
            f"{file}: {size[0]} x {size[1]} pixels; photos may have "
            f"{MAX_PIXELS // 1_000_000} megapixels, so scale it down"
        )


def _decode(data: bytes) -> NDArray[np.uint8] | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None or not image.size else np.asarray(image, dtype=np.uint8)


def _opencv_reads(kind: str) -> bool:
    """Whether this OpenCV has a decoder for it; builds and versions differ."""
    example = np.zeros((8, 8, 3), dtype=np.uint8)
    try:
        return bool(cv2.imencode(f".{kind.lower()}", example)[0])
    except cv2.error:
        return False


def _decode_with_pillow(file: Path, data: bytes, kind: str) -> NDArray[np.uint8] | None:
    """What OpenCV cannot read; None if it is damaged.

    Raises:
        SynergyNetError: Pillow or its plugin is missing, or the photo is too large.
    """
    plugin = importlib.util.find_spec("pillow_heif") is not None
    if importlib.util.find_spec("PIL") is None or (kind == "HEIC" and not plugin):
        raise _needs_pillow(file, kind)
    from PIL import Image, ImageOps, features

    if kind == "AVIF" and not features.check("avif"):
        raise _needs_pillow(file, kind)
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with Image.open(io.BytesIO(data), formats=["HEIF" if kind == "HEIC" else kind]) as photo:
            _check_size(file, photo.size)
            rgb = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
    except SynergyNetError:
        raise
    except Exception:  # Pillow and its plugins raise many kinds on broken files
        return None
    return np.ascontiguousarray(rgb[..., ::-1])


def _needs_pillow(file: Path, kind: str) -> SynergyNetError:
    return SynergyNetError(
        f'{file}: reading this {kind} needs another package: pip install "synergynet[heic]"'
    )
