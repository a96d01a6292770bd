"""What the first bytes of a photo say, without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Callable

_SIGNATURES = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags


def image_kind(data: bytes) -> str | None:
    """``JPEG``, ``PNG``, ``GIF``, ``BMP``, ``TIFF``, ``WebP``, ``AVIF`` or ``HEIC``.

    Read off the content, whatever the file is called; None for anything else.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        if any(brand in _AVIF_BRANDS for brand in brands):
            return "AVIF"
        return "HEIC" if any(brand in _HEIC_BRANDS for brand in brands) else None
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that the header declares; None if it is broken or of another format."""
    readers = {
        "JPEG": _jpeg_size,
        "PNG": lambda d: struct.unpack(">II", d[16:24]),
        "GIF": lambda d: struct.unpack("<HH", d[6:10]),
        "BMP": _bmp_size,
        "TIFF": _tiff_size,
        "WebP": _webp_size,
    }
    read = readers.get(image_kind(data) or "")
    try:
        return None if read is None else read(data)
    except (struct.error, IndexError):  # cut off inside the header
        return None


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker: some decoders make the rest grey."""
    scan = _jpeg_segment(data, lambda marker: marker == 0xDA)
    return scan is None or data.find(b"\xff\xd9", scan) < 0


def may_be_turned(data: bytes) -> bool:
    """Whether an AVIF says that it is to be turned or mirrored for viewing."""
    at = data.find(b"meta", 0, 4096)
    size = int.from_bytes(data[at - 4 : at], "big") if at >= 4 else 0
    meta = data[at : at + size]
    return b"irot" in meta or b"imir" in meta


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = _jpeg_segment(data, lambda m: 0xC0 <= m <= 0xCF and m not in (0xC4, 0xC8, 0xCC))
    if at is None:
        return None
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    return width, height


def _jpeg_segment(data: bytes, wanted: Callable[[int], bool]) -> int | None:
    """Where the first segment with such a marker begins, at its 0xFF."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if wanted(marker):
            return at
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _bmp_size(data: bytes) -> tuple[int, int]:
    if data[14:18] == b"\x0c\0\0\0":  # the header of OS/2
        return struct.unpack("<HH", data[18:22])
    width, height = struct.unpack("<ii", data[18:26])
    return abs(width), abs(height)  # negative: rows from top to bottom


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        sides = data[24:27], data[27:30]
        if len(sides[1]) < 3:
            return None
        return 1 + int.from_bytes(sides[0], "little"), 1 + int.from_bytes(sides[1], "little")
    if chunk == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """Of the first page."""
    order = "<" if data.startswith(b"II") else ">"
    start = struct.unpack(order + "I", data[4:8])[0]
    count = struct.unpack(order + "H", data[start : start + 2])[0]
    found = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack(order + "HH", data[at : at + 4])
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            code, size = ("H", 2) if kind == 3 else ("I", 4)
            found[tag] = struct.unpack(order + code, data[at + 8 : at + 8 + size])[0]
    if len(found) < 2:
        return None
    return found[_TIFF_WIDTH], found[_TIFF_HEIGHT]
