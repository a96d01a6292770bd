"""Names of films: what a path, a pipe, an address or a camera's device means, before it is read."""

import re
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import SynergyNetError
from .whole_file import CannotWriteError, check_file

MAX_PIPED_BYTES = 8 << 30
"""Bytes of a film that is read from a pipe."""

STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,"
    "ivf,flv,live_flv,asf,ogg,gif,apng,mxf,mjpeg,dv,rm,nut,yuv4mpegpipe,wtv,vc1,vc1test,gxf"
)
"""FFmpeg's names of the formats that hold a film. Those that are lists of other files (``concat``,
``hls``, ``dash``, ``sdp``, numbered pictures) are not among them."""

PROTOCOLS = "file"

ONLY_FILMS = {"format_whitelist": FORMATS, "protocol_whitelist": PROTOCOLS}
"""FFmpeg's options, by which a file that lists other files or addresses is not opened."""

_LISTS = (b"ffconcat", b"#EXTM3U", b"[playlist]", b"[InternetShortcut]", b"v=0")
_PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"BM")
_BLOCK = 1 << 20


class Film:
    """A film as a file on this computer.

    Args:
        source: a path; ``-`` for standard input. What comes through a pipe is copied to a file in
            the folder for temporary files first, because films are not read from front to back.

    Attributes:
        path: of the file.
        name: for messages.

    Raises:
        SynergyNetError: no such file, empty, an address on the network, a device, a list of other
            files, or more than ``MAX_PIPED_BYTES`` from a pipe.
    """

    def __init__(self, source: Path) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.path, self.name = source, str(source)
        if self.name in STANDARD_INPUT and not _is_file(source):
            self.name = "standard input"
            self._copy(_standard_input)
        elif _is_pipe(source):
            self._copy(lambda: source.open("rb"))
        else:
            _check_name(source)
            check_file(source, kind="video")
        try:
            self._check_content()
        except BaseException:
            self.close()
            raise

    def _check_content(self) -> None:
        try:
            with self.path.open("rb") as stream:
                start = stream.read(64)
        except OSError as error:
            raise SynergyNetError(f"{self.name}: cannot be read ({error.strerror})") from error
        if not start:
            raise SynergyNetError(f"{self.name}: empty file; copy or download the video again")
        text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text.startswith(_LISTS) or b"<MPD" in text:
            raise SynergyNetError(
                f"{self.name}: not a readable video but a list of other files, which are not read "
                "for it; give a film itself"
            )

    def _copy(self, opened: Callable[[], BinaryIO]) -> None:
        """Copy what comes through a pipe to a file."""
        self._folder = tempfile.TemporaryDirectory(prefix="synergynet-", ignore_cleanup_errors=True)
        self.path = Path(self._folder.name) / "film"
        room = MAX_PIPED_BYTES
        try:
            with opened() as stream, self.path.open("wb") as copy:
                while block := stream.read(_BLOCK):
                    room -= len(block)
                    if room < 0:
                        raise SynergyNetError(
                            f"{self.name}: more than {MAX_PIPED_BYTES >> 30} GiB through a pipe; "
                            "save the film as a file first"
                        )
                    copy.write(block)
        except OSError as error:
            folder = Path(self._folder.name).parent
            self.close()
            raise CannotWriteError(
                f"{self.name}: cannot be copied to {folder} ({error.strerror or error}); save the "
                "film as a file first"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the copy, if there is one."""
        if self._folder is not None:
            self._folder.cleanup()


def looks_like_a_photo(path: Path) -> bool:
    """Whether a file starts as photos do."""
    try:
        with path.open("rb") as stream:
            return stream.read(8).startswith(_PHOTOS)
    except OSError:
        return False


def for_ffmpeg(path: Path) -> str:
    """A name that FFmpeg takes for a file and nothing else.

    A bare ``2024-01-01T10:30:15.mp4`` would be an address, ``frame%03d.png`` many files, and ``-``
    standard input.
    """
    return f"file:{path.absolute()}"


def ffmpeg_input(path: Path) -> list[str]:
    """The arguments by which the ffmpeg command reads a film and nothing else."""
    options = [word for key, value in ONLY_FILMS.items() for word in (f"-{key}", value)]
    return [*options, "-i", for_ffmpeg(path)]


def _check_name(source: Path) -> None:
    name = str(source)
    if source.exists():
        if stat.S_ISCHR(source.stat().st_mode):
            raise SynergyNetError(
                f"{name}: a device; a camera is given by its number, as in --camera 0"
            )
        return
    address = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/+", name)
    if address:
        cure = "download the film and give the file"
        if address[1].lower() in ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"):
            cure = "read it in a loop of your own with FaceTracker (docs/video.md shows one)"
        whole = f"{address[1]}://{name[address.end() :]}"  # a Path has lost one of the strokes
        raise SynergyNetError(f"{whole}: an address; nothing is fetched from a network, so {cure}")
    if name.isdecimal():
        raise SynergyNetError(f"{name}: no such video; for a camera say --camera {name}")


def _is_file(source: Path) -> bool:
    """Whether ``/dev/stdin`` or the like is a file that a shell has put there with ``<``."""
    try:
        return str(source) != "-" and source.is_file()
    except OSError:
        return False


def _is_pipe(source: Path) -> bool:
    try:
        return stat.S_ISFIFO(source.stat().st_mode)
    except (OSError, ValueError):
        return False


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.isatty():
        raise SynergyNetError("standard input is no film; pipe one into it, or name a file")
    return open(sys.stdin.fileno(), "rb", closefd=False)
