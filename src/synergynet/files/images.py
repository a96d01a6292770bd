"""Read photos that come from anywhere."""

from __future__ import annotations

import importlib
import importlib.util
import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .depth import to_8_bits
from .limits import max_photo_bytes, max_pixels
from .not_photos import what_else
from .tiff import read_tiff_header
from .whole_file import read_bytes

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MIN_SIDE = 8
"""Nothing smaller shows a face; such files are mostly placeholders."""

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".avif", ".jp2"),
)
"""Endings, in lower case, of what is taken for a photo in a folder."""

_MAX_SCANS = 100
"""Of a progressive JPEG, which usually has ten; each costs a pass over all pixels."""
_KINDS = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC"
_PILLOW = {"AVIF": "Avif", "BMP": "Bmp", "GIF": "Gif", "JPEG2000": "Jpeg2K", "PPM": "Ppm"}
_PILLOW |= {"TIFF": "Tiff", "WEBP": "WebP"}
"""Pillow's name of a kind -> of its reader. Pillow has dozens more, of no use here."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG, _END_OF_JPEG, _START_OF_SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = {0xC3: "lossless", 0xC9: "arithmetic coding", 0xCA: "arithmetic coding"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC_BRANDS = (b"hei", b"hev", b"mif1", b"msf1")
_ORIENTATION = 0x0112  # EXIF
_NO_OTHERS = threading.Lock()


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 BGR.

    JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF and JPEG 2000, whatever the file is called; HEIC with
    the extra ``heic``. Of several pictures in a file the first is read. The EXIF orientation is
    applied (of AVIF and HEIC the container's own, as their standard says); grey becomes three
    equal channels, CMYK becomes BGR, an alpha channel is dropped, and more than 8 bits become 8
    by :func:`~.depth.to_8_bits`. Paths may hold any character; ``/dev/stdin`` may be a pipe.

    Raises:
        SynergyNetError: missing, a folder, empty, cut off, too large, too small, of a kind that
            cannot be read, or not an image.
    """
    file = Path(path)
    data = read_bytes(file, max_bytes=max_photo_bytes(), kind="photo")
    image = decode_image(data, file)
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SynergyNetError(f"{file}: {width} x {height} pixels are too few to show a face")
    return image


def decode_image(
    data: bytes, origin: object, *, pixels: int | None = None, turned: bool = True
) -> NDArray[np.uint8]:
    """The content of a photo's file -> (H, W, 3) uint8 BGR.

    Headers are read before OpenCV sees the file: it crashes on some, and takes all the memory
    that others promise to fill.

    Args:
        origin: what to name in errors.
        pixels: more are refused; the limit of photos by default.
        turned: apply the EXIF orientation.

    Raises:
        SynergyNetError: as :func:`read_image`, but small pictures are no error.
    """
    if not data:
        raise SynergyNetError(f"{origin}: empty file")
    work = _Work(origin, data, max_pixels() if pixels is None else pixels, turned)
    kind: str | None
    if data.startswith(_JPEG):
        kind, image = "JPEG", _read_jpeg(work)
    elif data.startswith(_PNG):
        kind, image = "PNG", _read_png(work)
    elif data.startswith(_TIFF):
        kind, image = "TIFF", _read_tiff(work)
    else:
        kind, image = _read_other(work)
    if image is None and kind is not None:
        raise SynergyNetError(
            f"{origin}: a damaged or incomplete {kind}; copy or download it again"
        )
    if image is None:
        found = what_else(data) or f"not a readable image ({_KINDS})"
        raise SynergyNetError(f"{origin}: {found}")
    work.check_size((image.shape[1], image.shape[0]))
    return image


@dataclass(frozen=True)
class _Work:
    """A picture to decode, and what it may be."""

    origin: object
    data: bytes
    pixels: int
    turned: bool

    def check_size(self, size: tuple[int, int], bits: int = 16) -> None:
        """Raise for more pixels than may be, or than take their memory where they are deeper."""
        limit = self.pixels * 16 // max(bits, 16)
        if size[0] * size[1] > limit:
            deep = f" of {bits} bits" if bits > 16 else ""
            raise SynergyNetError(
                f"{self.origin}: {size[0]} x {size[1]} pixels{deep}; photos{deep} may have "
                f"{limit / 1e6:g} megapixels, so scale it down"
            )


def _decode(data: bytes, turned: bool, *, deep: bool = False) -> NDArray[np.uint8] | None:
    """The pixels; None if OpenCV cannot, or if they have no range of a picture.

    Args:
        turned: apply the EXIF orientation.
        deep: there may be more than 8 bits.
    """
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if deep else 0)
    flags |= 0 if turned else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None or image.ndim != 3 else to_8_bits(np.asarray(image))


def _read_jpeg(work: _Work) -> NDArray[np.uint8] | None:
    """The picture, None if damaged.

    Without Pillow: it would cost up to 5 percent of the time, and notices only by decoding that
    a file ends early, of which OpenCV makes grey pixels.

    Raises:
        SynergyNetError: too large, or whole but of a kind that OpenCV does not know.
    """
    at, marker, frame, precision, data = 2, 0, 0, 8, work.data
    while marker != _START_OF_SCAN and at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (5, 7))
            work.check_size((width, height))
            frame, precision = marker, data[at + 4] if at + 4 < len(data) else 0
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    if marker != _START_OF_SCAN or data.find(_END_OF_JPEG, at) < 0:
        return None
    if data.count(bytes([0xFF, _START_OF_SCAN]), at - 2) > _MAX_SCANS:
        raise SynergyNetError(
            f"{work.origin}: a JPEG of more than {_MAX_SCANS} scans, which would take minutes; "
            "save it anew"
        )
    image = _decode(data, work.turned)
    if image is None and (frame not in _COMMON_FRAMES or precision != 8):
        kind = f"{precision}-bit" if frame in _COMMON_FRAMES else _OTHER_FRAMES.get(frame, "rare")
        raise SynergyNetError(
            f"{work.origin}: a JPEG of a kind that cannot be read ({kind}); save it as a usual one"
        )
    return image


def _read_png(work: _Work) -> NDArray[np.uint8] | None:
    """The picture, None if damaged. Without Pillow: it refuses large colour profiles and texts."""
    data = work.data
    if data[12:16] != b"IHDR":
        return None
    work.check_size((int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")))
    still = _still_png(data)
    return None if still is None else _decode(still, work.turned, deep=data[24] == 16)


def _still_png(data: bytes) -> bytes | None:
    """The file without its animation; None if it is cut off.

    OpenCV 5.0 crashes on some animated files, and asks for the memory that the length of a
    chunk promises before it looks for the bytes: up to 4 GiB.
    """
    at, kept = 8, [data[:8]]
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if name not in (b"acTL", b"fcTL", b"fdAT"):
            kept.append(data[at:end])
        if name == b"IEND":
            return b"".join(kept)
        at = end
    return None


def _read_tiff(work: _Work) -> NDArray[np.uint8] | None:
    """The picture, None if the header is damaged. Pillow knows fewer kinds than OpenCV.

    Raises:
        SynergyNetError: too large, a raw photo, or not to be read and perhaps not damaged.
    """
    header = read_tiff_header(work.data)
    if header is None:
        return None
    if header.raw:
        raise SynergyNetError(f"{work.origin}: a raw photo; convert it to JPEG or PNG")
    work.check_size((header.width, header.height), header.bits)
    image = _decode(work.data, work.turned, deep=header.bits > 8)
    if image is None:
        _, photo = _open(work.origin, work.data)
        image = None if photo is None else _load(photo, work.turned)
    if image is None:
        raise SynergyNetError(
            f"{work.origin}: a TIFF that is damaged or incomplete, or of a kind that cannot be "
            f"read ({header.kind}); save it as PNG, or copy it again"
        )
    return image


def _read_other(work: _Work) -> tuple[str | None, NDArray[np.uint8] | None]:
    """Kind and picture, None if damaged or unknown: Pillow reads the header, OpenCV the pixels.

    Raises:
        SynergyNetError: Pillow's plugin for HEIC is missing, or the photo is too large.
    """
    kind, photo = _open(work.origin, work.data)
    name = {"WEBP": "WebP", "HEIF": "HEIC", "JPEG2000": "JPEG 2000"}.get(kind or "", kind)
    if photo is None:
        return name, None
    work.check_size(photo.size)
    unfit = kind == "HEIF" or (kind == "AVIF" and _is_turned(photo))  # OpenCV does not turn it
    image = None if unfit else _decode(work.data, work.turned)
    if image is None:  # of a kind that not every OpenCV reads
        image = _load(photo, work.turned)
    return name, image


def _open(origin: object, data: bytes) -> tuple[str | None, ImageFile | None]:
    """Pillow's name of the kind, None if unknown, and the photo, None if its header is broken.

    Not by ``Image.open``: it would try all kinds, and has a limit and warnings of its own.
    """
    from PIL import Image

    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    kind = None
    if any(brand in brands for brand in _HEIC_BRANDS) and b"avi" not in brands:
        if importlib.util.find_spec("pillow_heif") is None:
            raise SynergyNetError(
                f'{origin}: reading this HEIC needs another package: pip install "synergynet[heic]"'
            )
        importlib.import_module("pillow_heif").register_heif_opener()
        kind = "HEIF"
    else:
        for name, reader in _PILLOW.items():
            importlib.import_module(f"PIL.{reader}ImagePlugin")
            accept = Image.OPEN[name][1]
            if accept is not None and accept(data[:16].ljust(16, b"\0")) is True:
                kind = name
                break
    try:
        with _NO_OTHERS, warnings.catch_warnings():  # which act on all threads
            warnings.simplefilter("ignore")
            return kind, Image.OPEN[kind][0](io.BytesIO(data), "") if kind else None
    except Exception:  # Pillow and its plugins raise many kinds on broken files
        return kind, None


def _load(photo: ImageFile, turned: bool) -> NDArray[np.uint8] | None:
    """What OpenCV cannot read; None if it is damaged."""
    from PIL import ImageOps

    try:
        rgb = np.asarray((ImageOps.exif_transpose(photo) if turned else photo).convert("RGB"))
    except Exception:
        return None
    return np.ascontiguousarray(rgb[..., ::-1])


def _is_turned(photo: ImageFile) -> bool:
    """Whether it is to be turned or mirrored for viewing; for AVIF the container says so."""
    try:
        return bool(photo.getexif().get(_ORIENTATION, 1) != 1)
    except Exception:
        return True
