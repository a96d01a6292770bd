"""What the page opens with: a photo, results, a film's lines, or an evaluation's worst faces."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError
from ..files.images import PHOTO_SUFFIXES
from ..files.whole_file import read_bytes
from ..outputs.formats import picture_suffix
from ..outputs.kinds import DRAWINGS

_MAX_JSON = 64 << 20
_MAX_LINES = 512 << 20
_MOST_ITEMS = 20_000
_MOST_FACES = 8
"""Faces of a photo that the overview says something about."""

_SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".avif")
_FILMS = (".mp4", ".webm", ".mov", ".m4v", ".mkv", ".ogv")


@dataclass
class Start:
    """What to open.

    Attributes:
        content: for the page; files are numbers.
        files: what the numbers stand for. The server hands out nothing else.
    """

    content: dict[str, Any] = field(default_factory=lambda: {"kind": "page"})
    files: list[Path] = field(default_factory=list)

    def add(self, file: Path) -> int:
        """The number of a file."""
        self.files.append(file)
        return len(self.files) - 1


def start_with(source: Path, photos: Path | None = None) -> Start:
    """What the page shows of ``source``.

    Args:
        source: a photo or film; a folder that ``synergynet infer`` wrote, or one of its JSON
            files; the ``.jsonl`` of ``synergynet video``; the JSON of ``synergynet eval``.
        photos: folder of the photos or path of the film, where they are not where they were.

    Raises:
        SynergyNetError: none of these.
    """
    if source.is_dir():
        return _results(source, sorted(source.rglob("*.json")), photos)
    if not source.is_file():
        raise SynergyNetError(f"{source}: no such file or folder")
    suffix = source.suffix.lower()
    if suffix == ".jsonl":
        return _film_lines(source, photos)
    if suffix == ".json":
        content = _read(source)
        if isinstance(content, dict) and "benchmark" in content:
            return _evaluation(source, content)
        return _results(source.parent, [source], photos)
    start = Start()
    kind = "film" if suffix in _FILMS else "photo"
    if kind == "photo" and suffix not in PHOTO_SUFFIXES:
        raise SynergyNetError(
            f"{source}: give a photo, a film, a folder of results, a .jsonl of synergynet video "
            "or the .json of synergynet eval"
        )
    start.content = {"kind": kind, "name": source.name, "file": start.add(source)}
    return start


def _results(folder: Path, sheets: Sequence[Path], photos: Path | None) -> Start:
    start = Start()
    items: list[dict[str, Any]] = []
    for sheet in sheets:
        if len(items) >= _MOST_ITEMS:
            break
        try:
            content = _read(sheet)
            items.append(_item(start, folder, sheet, content, photos))
        except (SynergyNetError, ValueError, LookupError, TypeError, AttributeError):
            continue  # other JSON files may lie there
    if not items:
        raise SynergyNetError(
            f"{folder}: no results in this folder; give one that synergynet infer wrote"
        )
    start.content = {"kind": "results", "name": folder.name or str(folder), "items": items}
    return start


def _item(
    start: Start, folder: Path, sheet: Path, content: Mapping[str, Any], photos: Path | None
) -> dict[str, Any]:
    faces = [_brief(face) for face in content["faces"]]
    size = int(content["width"]), int(content["height"])
    stem = sheet.with_suffix("")
    place = Path(str(content["image"]))
    pictures = {}
    for kind, drawing in DRAWINGS.items():
        path = stem.with_name(f"{stem.name}_{kind}{picture_suffix(kind, place)}")
        if not drawing.per_face and path.is_file():
            pictures[kind] = start.add(path)
    photo = _photo(place, folder, photos)
    return {
        "name": str(sheet.relative_to(folder).with_suffix("")),
        "width": size[0],
        "height": size[1],
        "photo": None if photo is None else start.add(photo),
        "sheet": start.add(sheet),
        "pictures": pictures,
        "count": len(faces),
        "faces": faces[:_MOST_FACES],
    }


def _brief(face: Mapping[str, Any]) -> dict[str, Any]:
    pose = face["pose"]
    return {
        "confidence": face["confidence"],
        "error": face["expected_nme_percent"],
        "yaw": float(pose["yaw"]),
        "points": [round(float(v)) for x, y, _ in face["landmarks"] for v in (x, y, 0)],
    }


def _photo(place: Path, folder: Path, photos: Path | None) -> Path | None:
    """Where a photo of the results is, if a browser can show it."""
    if place.suffix.lower() not in _SHOWN_BY_BROWSERS:
        return None
    places = [place, folder / place.name, folder.parent / place]
    if photos is not None:
        places = [photos / place.name, photos / place, *places]
    return next((path for path in places if path.is_file()), None)


def _film_lines(source: Path, film: Path | None) -> Start:
    if source.stat().st_size > _MAX_LINES:
        raise SynergyNetError(f"{source}: larger than {_MAX_LINES >> 20} MiB; split it")
    try:
        with source.open(encoding="utf-8") as stream:
            first = json.loads(next(stream, ""))
        size = int(first["width"]), int(first["height"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SynergyNetError(
            f"{source}: not the lines of synergynet video --json; make them anew"
        ) from error
    start = Start()
    beside = [source.with_suffix(suffix) for suffix in _FILMS]
    places = beside if film is None else [film]
    found = next((path for path in places if path.is_file()), None)
    if film is not None and found is None:
        raise SynergyNetError(f"{film}: no such film")
    start.content = {
        "kind": "lines",
        "name": source.name,
        "width": size[0],
        "height": size[1],
        "lines": start.add(source),
        "film": None if found is None else start.add(found),
    }
    return start


def _evaluation(source: Path, content: Mapping[str, Any]) -> Start:
    worst = content.get("worst")
    if not isinstance(worst, list) or not worst:
        raise SynergyNetError(
            f"{source}: names no worst faces; write it with this version's synergynet eval --json"
        )
    start = Start()
    try:
        faces = [dict(_worst(start, face)) for face in worst]
    except (ValueError, LookupError, TypeError) as error:
        raise SynergyNetError(f"{source}: its worst faces are broken; write it anew") from error
    start.content = {
        "kind": "evaluation",
        "name": f"{content['benchmark']}: {content.get('weights', '')}",
        "faces": faces,
    }
    return start


def _worst(start: Start, face: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "name", str(face["name"])
    yield "error", float(face["nme_percent"])
    for key in ("truth", "landmarks"):
        yield key, [float(v) for x, y in face[key] for v in (x, y, 0)]
    file = Path(str(face.get("file") or ""))
    shown = file.suffix.lower() in _SHOWN_BY_BROWSERS and file.is_file()
    yield "crop", start.add(file) if shown else None


def _read(path: Path) -> Any:
    data = read_bytes(path, max_bytes=_MAX_JSON, kind="JSON file")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SynergyNetError(f"{path}: not a readable JSON file") from error
