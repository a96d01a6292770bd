"""What the head of a video file says: its codec, when its picture starts, how it is turned.

MP4 and MOV (ISO/IEC 14496-12) are read box by box. Of other containers the codec's name is looked
for, and the start is asked of PyAV or ffmpeg where one of them is installed.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

from .film_names import ONLY_FILMS, ffmpeg_input, for_ffmpeg

_ISO_STARTS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_EBML = b"\x1aE\xdf\xa3"
_HEAD_BYTES = 1 << 20
_MAX_MOOV_BYTES = 64 << 20
_MAX_BOXES = 10_000  # of one level
_MAX_START = 24 * 3600.0

CODEC_NAMES = {
    "av01": "AV1", "v_av1": "AV1", "vvc1": "H.266 (VVC)", "vvi1": "H.266 (VVC)",
    "h266": "H.266 (VVC)", "avc1": "H.264", "avc3": "H.264", "h264": "H.264", "x264": "H.264",
    "v_mpeg4/iso/avc": "H.264", "hvc1": "H.265 (HEVC)", "hev1": "H.265 (HEVC)",
    "hevc": "H.265 (HEVC)", "v_mpegh/iso/hevc": "H.265 (HEVC)", "dvh1": "Dolby Vision",
    "dvhe": "Dolby Vision", "vp08": "VP8", "v_vp8": "VP8", "vp09": "VP9", "v_vp9": "VP9",
    "evc1": "EVC", "lcv1": "LCEVC", "apcn": "ProRes", "apch": "ProRes", "apcs": "ProRes",
    "apco": "ProRes", "ap4h": "ProRes", "aprn": "ProRes RAW", "mp4v": "MPEG-4", "xvid": "MPEG-4",
    "mjpg": "Motion JPEG", "apv1": "APV",
}  # fmt: skip
"""Lower-case code of a container -> the codec's name."""

SELDOM_DECODED = {"AV1", "H.266 (VVC)", "EVC", "LCEVC", "ProRes RAW", "APV"}
"""Codecs that the FFmpeg inside OpenCV's wheels does not decode."""


@dataclass(frozen=True)
class FilmHead:
    """What the head of an MP4 or MOV file says of its first video track.

    Attributes:
        code: of the codec, four letters.
        start: seconds from the start of its first stream to that of the picture; None if the file
            is in fragments, which have their times elsewhere.
        matrix: (a, b, c, d) that turns and mirrors the stored picture: a point (x, y) of it is
            shown at (a x + c y, b x + d y).
    """

    code: str
    start: float | None
    matrix: tuple[float, float, float, float]

    @property
    def mirrored(self) -> bool:
        a, b, c, d = self.matrix
        return a * d - b * c < 0


def codec_name(code: str) -> str:
    """A codec's name with the container's code for it: ``AV1 (av01)``."""
    name = CODEC_NAMES.get(code.lower())
    return code if name is None else f"{name} [{code}]"


def film_head(path: Path) -> FilmHead | None:
    """None if the file is no MP4 or MOV, or has no picture, or is damaged."""
    try:
        with path.open("rb") as stream:
            moov = _moov(stream)
        return None if moov is None else _parse_moov(moov)
    except (OSError, ValueError, ZeroDivisionError, IndexError):
        return None


def codec_code(path: Path) -> str | None:
    """The container's code for the codec of the picture, of MP4, MOV, Matroska, WebM and AVI."""
    head = film_head(path)
    if head is not None:
        return head.code
    try:
        with path.open("rb") as stream:
            start = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    if start.startswith(_EBML):
        found = re.search(rb"V_[A-Z][A-Z0-9/]{1,30}", start)
        return found.group().decode() if found else None
    if start.startswith(b"RIFF"):
        found = re.search(rb"vids([!-~]{4})", start)
        return found.group(1).decode() if found else None
    return None


def picture_start(path: Path, head: FilmHead | None = None) -> float:
    """Seconds from the start of a film, where its first stream begins, to its first picture.

    Read from the file's own head where it tells, else asked of PyAV or ffmpeg if one of them is
    installed; 0 where nobody can tell.
    """
    start = head.start if head is not None else None
    if start is None:
        start = _start_by_pyav(path)
    if start is None:
        start = _start_by_ffmpeg(path)
    return start if start is not None and 0 <= start <= _MAX_START else 0.0


def file_is_whole(path: Path) -> bool | None:
    """Whether an MP4, MOV, Matroska, WebM or AVI file holds all the bytes that it declares.

    Frame counts do not tell: players leave out what an edit list cuts off, and the sound may last
    longer than the picture. None for other files.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(64)
        if start[4:8] in _ISO_STARTS:
            return _chunks_fill(stream, size, "big")
        if start.startswith(b"RIFF"):
            return _chunks_fill(stream, size, "little")
        if start.startswith(_EBML):
            return _segment_fits(start, size)
    return None


def _chunks_fill(stream: BinaryIO, size: int, order: Literal["big", "little"]) -> bool:
    """Whether a file of boxes (size, name) or RIFF chunks (name, size) ends with one of them."""
    at = 0
    while at + 8 <= size:
        stream.seek(at)
        head = stream.read(16)
        if order == "little":
            if head[:4] != b"RIFF":
                return True  # what follows is none of its business
            length = int.from_bytes(head[4:8], "little") + 8
            length += length % 2
        else:
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:  # up to the end of the file
                return True
        if length < 8:
            return False
        at += length
    return at == size


def _segment_fits(start: bytes, size: int) -> bool:
    """Matroska (RFC 8794): a header, then one segment, whose size may be unknown."""
    header, at = _ebml_size(start, len(_EBML))
    segment = at + header
    if header < 0 or start[segment : segment + 4] != b"\x18\x53\x80\x67":
        return True
    length, at = _ebml_size(start, segment + 4)
    return length < 0 or at + length <= size


def _ebml_size(data: bytes, at: int) -> tuple[int, int]:
    """A size of 1 to 8 bytes, -1 if it is unknown, and where it ends."""
    if at >= len(data) or not data[at]:
        return -1, at
    count = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + count], "big") - (1 << 7 * count)
    return (-1 if value == (1 << 7 * count) - 1 else value), at + count


def _moov(stream: BinaryIO) -> bytes | None:
    at, head = 0, stream.read(16)
    if head[4:8] not in _ISO_STARTS:
        return None
    for _ in range(_MAX_BOXES):
        if len(head) < 8:
            return None
        length, begin = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), 16
        if head[4:8] == b"moov":
            if not 8 <= length <= _MAX_MOOV_BYTES:
                return None
            stream.seek(at + begin)
            return stream.read(length - begin)
        if length < 8:
            return None
        at += length
        stream.seek(at)
        head = stream.read(16)
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the boxes that follow one another."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        length, begin = _number(data, at, 4), 8
        if length == 1:
            length, begin = _number(data, at + 8, 8), 16
        if length == 0:
            length = len(data) - at
        if length < begin:
            return
        yield data[at + 4 : at + 8], data[at + begin : at + length]
        at += length


def _box(data: bytes, *names: bytes) -> bytes:
    """Content of a box in a box in ...; empty if it is not there."""
    for name in names:
        data = next((content for found, content in _boxes(data) if found == name), b"")
    return data


def _number(data: bytes, at: int, size: int, *, signed: bool = False) -> int:
    if at + size > len(data):
        raise ValueError("the file ends early")
    return int.from_bytes(data[at : at + size], "big", signed=signed)


def _parse_moov(moov: bytes) -> FilmHead | None:
    header = _box(moov, b"mvhd")
    scale = _number(header, 20 if header[:1] == b"\1" else 12, 4)
    picture: FilmHead | None = None
    starts: list[Fraction] = []
    fragments = bool(_box(moov, b"mvex"))
    for name, track in _boxes(moov):
        kind = _box(track, b"mdia", b"hdlr")[8:12] if name == b"trak" else b""
        if kind not in (b"vide", b"soun"):
            continue
        start = _track_start(track, scale)
        if kind == b"vide" and picture is None:
            description = _box(track, b"mdia", b"minf", b"stbl", b"stsd")
            code = description[12:16].decode("latin-1")
            if code in ("png ", "jpeg", "mjpa", "bmp ") and not fragments:
                continue  # a cover
            picture = FilmHead(code, float(start), _matrix(_box(track, b"tkhd")))
        starts.append(start)
    if picture is None:
        return None
    late = None if fragments else float(Fraction(picture.start or 0) - min(starts))
    return FilmHead(picture.code, late, picture.matrix)


def _matrix(header: bytes) -> tuple[float, float, float, float]:
    at = 52 if header[:1] == b"\1" else 40
    a, b, c, d = (_number(header, at + k, 4, signed=True) / 65536 for k in (0, 4, 12, 16))
    return a, b, c, d


def _track_start(track: bytes, movie_scale: int) -> Fraction:
    """Seconds at which a track's first sample is shown: its empty edits and first offset."""
    header = _box(track, b"mdia", b"mdhd")
    scale = _number(header, 20 if header[:1] == b"\1" else 12, 4)
    offsets = _box(track, b"mdia", b"minf", b"stbl", b"ctts")
    first = _number(offsets, 12, 4, signed=True) if len(offsets) >= 16 else 0
    edits = _box(track, b"edts", b"elst")
    empty, media = 0, 0
    size = 8 if edits[:1] == b"\1" else 4
    count = min(_number(edits, 4, 4), _MAX_BOXES) if edits else 0
    for k in range(count):
        at = 8 + k * (2 * size + 4)
        duration, begin = _number(edits, at, size), _number(edits, at + size, size, signed=True)
        if begin >= 0:
            media = begin
            break
        empty += duration
    return Fraction(empty, movie_scale) + max(Fraction(first - media, scale), Fraction(0))


def _start_by_pyav(path: Path) -> float | None:
    try:
        import av
    except ImportError:
        return None
    try:
        with av.open(for_ffmpeg(path), metadata_errors="ignore", options=ONLY_FILMS) as container:
            streams: list[Any] = list(container.streams)
            heard = [s for s in streams if s.type == "audio" and s.start_time is not None]
            sounds = [s.start_time * s.time_base for s in heard]
            picture = next(container.decode(video=0)).time
    except (OSError, ValueError, StopIteration, IndexError):
        return None
    if picture is None:
        return None
    return max(float(picture - min(sounds)), 0.0) if sounds else 0.0


def _start_by_ffmpeg(path: Path) -> float | None:
    """From the time stamps of the first picture and the first sound."""
    decode, copy = ["-enc_time_base", "1/90000"], ["-c", "copy"]
    picture = _first_time(path, ["-map", "0:V:0", "-frames:v", "1", *decode])
    if picture is None:
        return None
    sound = _first_time(path, ["-map", "0:a:0", "-frames:a", "1", *copy])
    return 0.0 if sound is None else max(picture - sound, 0.0)


def _first_time(path: Path, options: list[str]) -> float | None:
    """Seconds of the first frame that ffmpeg's ``framecrc`` prints: #tb 0: 1/1000, 0, dts, pts."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    command = [ffmpeg, "-v", "error", "-nostdin", "-copyts", *ffmpeg_input(path), *options]
    command += ["-f", "framecrc", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, text=True, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    base = re.search(r"^#tb 0: (\d+)/(\d+)", done.stdout, re.MULTILINE)
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),", done.stdout, re.MULTILINE)
    if base is None or packet is None or not int(base[2]):
        return None
    return int(packet[1]) * int(base[1]) / int(base[2])
