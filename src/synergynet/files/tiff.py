"""What a TIFF says of its first picture, before anything is decoded."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SUBFILE, _FORMAT, _DNG = 256, 257, 258, 259, 254, 339, 50706
_COMPRESSIONS = {
    1: "uncompressed", 2: "CCITT", 3: "CCITT G3", 4: "CCITT G4", 5: "LZW", 6: "old JPEG", 7: "JPEG",
    8: "Deflate", 32773: "PackBits", 32946: "Deflate", 34712: "JPEG 2000", 34925: "LZMA",
    50000: "ZSTD", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_REDUCED = 1
_CANON_RAW = b"CR"


@dataclass(frozen=True)
class TiffHeader:
    """Of the first picture of a file.

    Attributes:
        width, height: pixels, as stored.
        bits: of a sample.
        kind: for people: bits and compression.
        raw: a camera's raw file, whose first picture is a thumbnail.
    """

    width: int
    height: int
    bits: int
    kind: str
    raw: bool


def read_tiff_header(data: bytes) -> TiffHeader | None:
    """The header of a TIFF or BigTIFF; None if it is damaged."""
    from PIL import TiffImagePlugin

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if 43 in data[2:4] else 8])
            stream = io.BytesIO(data)
            stream.seek(tags.next)
            tags.load(stream)
            width, height = (_whole(tags.get(tag)) for tag in (_WIDTH, _HEIGHT))
            bits = _whole(tags.get(_BITS, 1))
            compression = _whole(tags.get(_COMPRESSION, 1))
            floats = _whole(tags.get(_FORMAT, 1)) == 3
            thumbnail = bool(_whole(tags.get(_SUBFILE, 0)) & _REDUCED)
            raw = thumbnail or _DNG in tags or data[8:10] == _CANON_RAW
    except Exception:  # Pillow raises many kinds on broken files
        return None
    how = _COMPRESSIONS.get(compression, f"compression {compression}")
    kind = f"{bits}-bit{' float' if floats else ''}, {how}"
    return TiffHeader(width, height, bits, kind, raw)


def _whole(value: Any) -> int:
    """Of a tag; of one with a value for each channel the largest."""
    return max(int(v) for v in value) if isinstance(value, tuple) else int(value)
