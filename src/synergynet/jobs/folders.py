"""From folders, patterns and lists to photos, and to a place for each photo's results."""

import fnmatch
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SynergyNetError
from ..files.images import PHOTO_SUFFIXES
from ..outputs.formats import face_endings, photo_endings, without_spaces

_MAX_LIST_BYTES = 256 << 20
_STDIN = Path("/dev/stdin")
_RESULT = re.compile(
    "(?P<stem>.+)({}|_face[0-9]+({}))".format(
        *("|".join(map(re.escape, endings)) for endings in (photo_endings(), face_endings()))
    ),
    re.IGNORECASE | re.DOTALL,
)
"""What ``synergynet infer`` calls its files; a photo may have such a name too."""


@dataclass(frozen=True)
class Photo:
    """A photo to analyse.

    Attributes:
        path: as it was given or found.
        below: folder of its results below the output folder; ``.`` is that folder itself.
    """

    path: Path
    below: Path = Path()


def find_photos(
    sources: Iterable[str | Path], output: str | Path, *, recursive: bool = False
) -> list[Photo]:
    """The photos that files, folders and patterns name, each once, in order.

    Files are taken whatever they are called; ``-`` is standard input. Folders and patterns give
    the files with an ending of ``PHOTO_SUFFIXES``, sorted, without hidden ones and without those
    below ``output``; results keep the structure below the folder, or below the part of the
    pattern without wildcards. ``**`` in a pattern stands for any folders. A name that exists is
    no pattern, nor is the start of one that exists: ``"trip [2019]/*.jpg"``. Links to folders
    are followed, no folder is read twice, and one that cannot be read is given in place of its
    photos, so that it is told among those that fail.

    Args:
        recursive: search the folders below a folder too.

    Raises:
        SynergyNetError: a folder or pattern without a photo, or ``output`` is such a folder.
    """
    found: dict[str, Photo] = {}
    for source in sources:
        path = _STDIN if str(source) == "-" else Path(source)
        if os.path.isdir(path):  # noqa: PTH112  (pathlib's raises where access is denied)
            photos = _in_folder(path, Path(output), recursive)
            more = "" if recursive else "; --recursive also searches the folders below"
            nothing = f"{path}: no photos in this folder{more}"
        elif not os.path.lexists(path) and _has_wildcard(str(source)):
            photos = _matching(str(source), Path(output))
            nothing = f"{source}: no photo matches this pattern"
        else:
            photos, nothing = [Photo(path)], ""
        if not photos:
            raise SynergyNetError(nothing)
        for photo in photos:
            found.setdefault(_absolute(photo.path), photo)
    return list(found.values())


def read_list(file: str | Path) -> list[Photo]:
    """The photos of a text file with one path per line, each once; ``-`` is standard input.

    Relative paths count from the working folder. Results keep the structure below the folder
    that all photos share. Empty lines are skipped; UTF-8, or UTF-16 with its mark. A ``.jsonl``
    has an object with ``file`` per line, as ``failed.jsonl``.

    Raises:
        SynergyNetError: unreadable, too large, or empty.
    """
    name = "standard input" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_MAX_LIST_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_MAX_LIST_BYTES + 1)
    except OSError as error:
        raise SynergyNetError(f"{name}: cannot be read ({error.strerror or error})") from error
    if len(data) > _MAX_LIST_BYTES:
        raise SynergyNetError(f"{name}: lists may have {_MAX_LIST_BYTES >> 20} MiB; split it")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:  # names that are not UTF-8 stay as they are on disk
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if name.lower().endswith(".jsonl"):
        try:
            lines = [str(json.loads(line)["file"]) for line in lines]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise SynergyNetError(f'{name}: each line must be like {{"file": "a.jpg"}}') from error
    paths = [Path(line) for line in lines]
    if not paths:
        raise SynergyNetError(f"{name}: no paths in this list; give one per line")
    unique: dict[str, Path] = {}
    for path in paths:
        unique.setdefault(_absolute(path), path)
    folders = {key: os.path.dirname(key) for key in unique}  # noqa: PTH120  (fast)
    try:
        shared = os.path.commonpath(set(folders.values()))
    except ValueError:  # on several drives
        return [Photo(path) for path in unique.values()]
    return [
        Photo(path, Path(os.path.relpath(folders[key], shared))) for key, path in unique.items()
    ]


def place_results(photos: Sequence[Photo], output: str | Path) -> list[Path]:
    """For each photo the folder and stem of its results; no two alike.

    The photo's own stem where it is free, else ``stem-2``, ``stem-3`` and so on. It is not free
    if another photo has it, or if a result could replace one of the photos. Compared without
    case, as some file systems do, and without spaces, as textures of an OBJ are named.
    """
    reserved = {
        without_spaces(match["stem"].casefold())
        for match in (_RESULT.fullmatch(_absolute(photo.path)) for photo in photos)
        if match is not None
    }
    used: set[str] = set()
    bases = []
    for photo in photos:
        folder = Path(output) / photo.below
        start = _absolute(folder)
        own = _stem(photo.path)
        stem, number = own, 1
        while (key := _key(start, stem)) in used or key in reserved:
            number += 1
            stem = f"{own}-{number}"
        used.add(key)
        bases.append(folder / stem)
    return bases


def _key(folder: str, stem: str) -> str:
    return without_spaces(os.path.join(folder, stem).casefold())  # noqa: PTH118  (fast)


def _stem(photo: Path) -> str:
    """The stem of a photo's results. That of ``..jpg`` is a folder, ``.``, or the one above it."""
    stem = photo.stem.replace("\0", "_")
    return stem if stem.strip(".") else "_" * max(1, len(stem))


def _in_folder(folder: Path, output: Path, recursive: bool) -> list[Photo]:
    of_results = _results_inside(folder, output)
    found = []
    for place in _folders(folder) if recursive else [folder]:
        if place != folder and of_results(place):
            continue
        below = place.relative_to(folder)
        _, files = _entries(place)
        if files is None:
            found.append(Photo(place, below))
        else:
            found += [Photo(place / name, below) for name in files if _is_photo(name)]
    return found


def _matching(pattern: str, output: Path) -> list[Photo]:
    root, parts = Path(), list(Path(pattern).parts)
    while parts and (not _has_wildcard(parts[0]) or os.path.lexists(root / parts[0])):
        root /= parts.pop(0)
    of_results = _results_inside(root, output)
    paths = dict.fromkeys(_expanded(root, parts))
    return [
        Photo(path, Path() if path == root else path.parent.relative_to(root))
        for path in sorted(paths)
        if path == root or not of_results(path.parent)
    ]


def _expanded(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Photos that match below ``folder``, and folders there that cannot be read."""
    first, rest = parts[0], parts[1:]
    if first == "**":
        for place in _folders(folder):
            yield from _expanded(place, rest or ["*"])
        return
    folders, files = _entries(folder)
    if files is None:
        yield folder
        return
    names = folders if rest else files
    if not _has_wildcard(first):
        names = [first] if first in names else []
    elif not first.startswith("."):
        names = [name for name in names if not name.startswith(".")]
    for name in fnmatch.filter(names, first) if _has_wildcard(first) else names:
        if rest:
            yield from _expanded(folder / name, rest)
        elif _is_photo(name):
            yield folder / name


def _folders(root: Path) -> Iterator[Path]:
    """``root`` and all folders below, sorted, without hidden ones; each once, links followed."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        place = waiting.pop()
        try:
            about = place.stat()
        except OSError:
            continue
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        yield place
        folders, _ = _entries(place)
        waiting += [place / name for name in reversed(folders) if not name.startswith(".")]


def _entries(folder: Path) -> tuple[list[str], list[str] | None]:
    """Names of the folders and files in a folder, sorted; None for the files if it is locked."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if entry.is_dir() else files).append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError:
        return [], None
    return sorted(folders), sorted(files)


def _has_wildcard(text: str) -> bool:
    return any(character in text for character in "*?[")


def _is_photo(name: str) -> bool:
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def _results_inside(folder: Path, output: Path) -> Callable[[Path], bool]:
    """Tells which folders below ``folder`` hold results: ``output``, and those below it.

    Raises:
        SynergyNetError: the two are one, so that pictures of results would be taken for photos.
    """
    root, top = folder.resolve(), output.resolve()
    if root == top:
        raise SynergyNetError(
            f"{folder}: the results would lie among the photos; give another folder as --output"
        )
    if not top.is_relative_to(root):
        return lambda _: False
    return functools.cache(lambda path: path.resolve().is_relative_to(top))


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  (strings: a million photos take seconds)
