"""Pictures and videos made to do harm."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import features

from . import seeds
from .seeds import Files


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    declared = struct.pack(">I", len(body) if length is None else length)
    return declared + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def animated(filter_type: int = 9, size: tuple[int, int] = (8, 8), longer: int = 1) -> bytes:
    """Frames without ``fcTL`` before the picture, and a filter that does not exist."""
    rows = zlib.compress(bytes([filter_type] + [7] * 3 * size[0]) * size[1] * longer)
    place = struct.pack(">IIIIHHBB", *size, 0, 0, 1, 10, 0, 0)
    return png(
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"IDAT", rows),
        chunk(b"fcTL", struct.pack(">I", 0) + place),
        chunk(b"fdAT", struct.pack(">I", 1) + rows),
        size=size,
    )


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there so often."""
    data = seeds.photo("JPEG", 640, 640, progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:start] + data[start:end] * count + data[end:]


def pictures() -> Files:
    large = struct.pack(">HH", 65500, 65500)
    jpeg, gif, tiff = seeds.photo("JPEG"), seeds.photo("GIF"), seeds.photo("TIFF")
    start = jpeg.index(b"\xff\xc0") + 5
    bomb = zlib.compress(bytes(64 << 20))
    made = {
        "frames.png": animated(),
        "frames-64.png": animated(size=(64, 64)),
        "frames-long.png": animated(0, longer=9),
        "frames-no-control.png": png(chunk(b"acTL", struct.pack(">II", 1, 0)), chunk(b"IDAT", b"")),
        "long-chunk.png": png(chunk(b"IDAT", b"", 0xFFFFFFF0)),
        "long-first-chunk.png": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xf0IHDR" + bytes(25),
        "huge.png": png(chunk(b"IDAT", zlib.compress(bytes(99))), size=(60000, 60000)),
        "text-bomb.png": png(chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"IDAT", b"")),
        "profile-bomb.png": png(chunk(b"iCCP", b"a\0\0" + bomb), chunk(b"IDAT", b"")),
        "data-bomb.png": png(chunk(b"IDAT", bomb)),
        "huge.jpg": jpeg[:start] + large + jpeg[start + 4 :],
        "scans.jpg": many_scans(3000),
        "huge.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "huge.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 2**31 - 1, 2**31 - 1,
                                        1, 24, 0, 0, 0, 0, 0, 0),
        "huge.ppm": b"P6 60000 60000 255\n",
        "huge.tif": tiff.replace(struct.pack("<HHII", 256, 4, 1, 48),
                                 struct.pack("<HHII", 256, 4, 1, 1 << 30)),
        "wide.webp": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10)
        + b"\2\0\0\0" + b"\xff\xff\xff" * 2 + bytes(8),
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
        "text": b"once upon a time",
    }  # fmt: skip
    if features.check("avif"):
        avif = seeds.photo("AVIF")
        place = avif.index(b"ispe") + 8
        made["huge.avif"] = avif[:place] + struct.pack(">II", 16000, 16000) + avif[place + 8 :]
    return made


def crops() -> Files:
    return {
        "frames.png": animated(size=(120, 120)),
        "other-size.png": animated(size=(64, 64)),
        "large.png": seeds.photo("PNG", 1200, 1200),
        "long-chunk.png": png(chunk(b"IDAT", b"", 0xFFFFFFF0), size=(120, 120)),
        "bomb.png": png(chunk(b"IDAT", zlib.compress(bytes(32 << 20))), size=(120, 120)),
    }


def videos() -> Files:
    other = Path(__file__).resolve()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n"
    return {
        "list.mp4": f"ffconcat version 1.0\nfile '{other}'\n".encode(),
        "list.m3u8": playlist.encode(),
        "frames%02d.png": seeds.photo("PNG"),
        "call.sdp": b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "dash.mpd": b"<?xml version='1.0'?><MPD><Period/></MPD>",
        "subtitles.srt": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "text.avi": b"once upon a time",
    }
