"""Read photos that come from anywhere."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError

MAX_PIXELS = 100_000_000
"""Larger photos are refused before they are decoded: 100 MP take 300 MB."""

MIN_SIDE = 8
"""Nothing smaller shows a face; such files are mostly placeholders."""

_MAX_BYTES = 512 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 BGR.

    The EXIF orientation is applied; grey becomes three equal channels, 16 bits become 8,
    and an alpha channel is dropped. Paths may hold any character.

    Raises:
        SynergyNetError: missing, a folder, empty, too large, too small, or not an image.
    """
    file = Path(path)
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
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or error
        raise SynergyNetError(f"{file}: cannot be read ({reason})") from error
    declared = declared_size(data)
    if declared is not None and declared[0] * declared[1] > MAX_PIXELS:
        raise SynergyNetError(
            f"{file}: {declared[0]} x {declared[1]} pixels; photos may have "
            f"{MAX_PIXELS // 1_000_000} megapixels, so scale it down"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None or not image.size:
        raise SynergyNetError(f"{file}: not a readable image (JPEG, PNG, WebP, TIFF, BMP)")
    if min(image.shape[:2]) < MIN_SIDE:
        raise SynergyNetError(
            f"{file}: {image.shape[1]} x {image.shape[0]} pixels are too few to show a face"
        )
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise SynergyNetError(f"{file}: more than {MAX_PIXELS // 1_000_000} megapixels")
    return np.asarray(image, dtype=np.uint8)


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that the header of a PNG or JPEG declares, without decoding it.

    None for other formats and broken headers; OpenCV's own limit remains for those.
    """
    if data.startswith(_PNG) and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None
