"""One photo in, its files out, and what is to be said about it."""

import errno
import hashlib
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError
from ..files.images import read_image
from ..files.whole_file import CannotWriteError, is_open_file
from ..outputs.formats import (
    picture_suffix,
    remove_results,
    write_json,
    write_mesh,
    write_picture,
)
from ..outputs.kinds import DEFAULT_DRAWINGS, DRAWINGS, Space, resolve
from ..outputs.meshes import plain_mesh
from ..outputs.pictures import DEFAULT_STYLE, Pictures, Style, check_texture, check_triangles
from ..pipeline.analyzer import FaceAnalyzer
from ..pipeline.face import Face, meshes_of

STEPS = ("reading", "detection", "regression", "decode", "drawing", "writing")

_SETTINGS = "made_with"
_MAX_JSON_BYTES = 64 << 20
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # other photos would fare no better
_ANGLES = ("yaw", "pitch", "roll", "scale")
_HUGE = 1e300
_BRIEF = ("box", "score", "confidence", "expected_nme_percent", "pose")


@dataclass(frozen=True)
class Wanted:
    """What to write for each photo: kinds of pictures, mesh formats, and how.

    Attributes:
        plain: write the mesh as OBJ without texture, as is the default.
        files: write any at all; without, :class:`Outcome` holds all that the JSON would.
    """

    kinds: tuple[str, ...] = DEFAULT_DRAWINGS
    meshes: tuple[str, ...] = ()
    plain: bool = True
    space: Space = "image"
    style: Style = DEFAULT_STYLE
    files: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        photo: its path as given.
        base: folder and stem of its results.
        size: (width, height) in pixels; None where ``error`` is set.
        faces: per face ``box``, ``score``, ``confidence``, ``expected_nme_percent`` and
            ``pose``, as in the JSON; everything if no files were wanted.
        left_out: boxes of the detector that are no face by the network's confidence.
        names: of the files written.
        error: why there are none, a sentence.
        skipped: an earlier run had made them.
        seconds: per step of ``STEPS``; empty where ``error`` or ``skipped`` is set.
    """

    photo: Path
    base: Path
    size: tuple[int, int] | None = None
    faces: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    names: list[str] = field(default_factory=list)
    error: str | None = None
    skipped: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


def settings_of(wanted: Wanted, analyzer: FaceAnalyzer) -> dict[str, Any]:
    """All that decides what the results look like, for the JSON: equal settings, equal results."""
    from importlib.metadata import version

    model, style, networks = analyzer.face_model, wanted.style, analyzer.networks.items()
    meshes = ["plain obj"] if wanted.plain else sorted(wanted.meshes)
    return {
        "synergynet": version("synergynet"),
        "detector": analyzer.detector.name,
        "weights": " + ".join(f"{name} {_hash(file)}" for name, file in networks),
        "face_model": f"{model.name} {model.hash[:16]}",
        "mirror": analyzer.mirrored,
        "min_confidence": analyzer.min_confidence,
        "draw": ",".join(sorted(wanted.kinds)) or "none",
        "mesh": ",".join(meshes) or "none",
        "space": wanted.space,
        "focal": style.focal,
        "opacity": style.opacity,
        "view": None if style.view is None else "{:g},{:g}".format(*style.view),
        "texture_size": style.texture_size,
    }


def write_results(
    photo: Path,
    base: Path,
    analyzer: FaceAnalyzer,
    wanted: Wanted,
    settings: Mapping[str, Any],
) -> Outcome:
    """Analyse a photo and write its files; the JSON comes last: where it is, everything is.

    Args:
        base: folder and stem of the files.
        settings: of :func:`settings_of`.

    Raises:
        SynergyNetError: the photo cannot be read, or the results cannot be made or written.
    """
    marks = [time.perf_counter()]
    image = read_image(photo)
    marks.append(time.perf_counter())
    analysis = analyzer.analyze(image)
    faces = analysis.faces
    marks.append(time.perf_counter())
    if wanted.meshes or wanted.plain:
        check_triangles(faces)
        meshes_of(faces)
    per_face = [kind for kind in wanted.kinds if DRAWINGS[kind].per_face]
    if per_face:
        check_texture(faces)
    pictures = Pictures(image, faces, wanted.style)
    drawn = {kind: pictures.draw(kind) for kind in wanted.kinds if faces and kind not in per_face}
    marks.append(time.perf_counter())
    names: list[str] = []
    if wanted.files:
        remove_results(base)
        names.append(f"{base.name}.json")
        for kind, picture in drawn.items():
            path = _append(base, f"_{kind}{picture_suffix(kind, photo)}")
            names.append(write_picture(path, picture).name)
        for number, face in enumerate(faces):
            names += _write_face(_append(base, f"_face{number}"), number, face, pictures, wanted)
        more: dict[str, object] = {_SETTINGS: dict(settings), "left_out": analysis.left_out}
        for kind in drawn:
            note = DRAWINGS[kind].note
            if note is not None:
                more[kind] = resolve(note)(pictures)
        write_json(_append(base, ".json"), str(photo), image, faces, more)
    marks.append(time.perf_counter())
    reading, _, drawing, writing = (b - a for a, b in itertools.pairwise(marks))
    parts = analysis.timings
    spent = (reading, parts.detection, parts.regression, parts.decode, drawing, writing)
    return Outcome(
        photo,
        base,
        (image.shape[1], image.shape[0]),
        [_brief(face.to_dict()) if wanted.files else face.to_dict() for face in faces],
        analysis.left_out,
        names,
        seconds=dict(zip(STEPS, spent, strict=True)),
    )


def try_results(
    photo: Path,
    base: Path,
    analyzer: FaceAnalyzer,
    wanted: Wanted,
    settings: Mapping[str, Any],
) -> Outcome:
    """:func:`write_results`, but what is wrong with this one photo becomes its outcome.

    Raises:
        CannotWriteError: the disk is full or read-only.
    """
    try:
        return write_results(photo, base, analyzer, wanted, settings)
    except CannotWriteError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS:
            raise
        return Outcome(photo, base, error=str(error))
    except SynergyNetError as error:
        return Outcome(photo, base, error=str(error))
    except MemoryError:
        return Outcome(photo, base, error=f"{photo}: not enough memory; scale the photo down")
    except OSError as error:  # where results are to lie, there may be anything
        return Outcome(photo, base, error=f"{base}: cannot be written ({error.strerror or error})")


def earlier_results(photo: Path, base: Path, settings: Mapping[str, Any]) -> Outcome | None:
    """What an earlier run found, if its results are whole, newer than the photo, and made from
    this photo with these settings; else None."""
    path = _append(base, ".json")
    try:
        if is_open_file(photo):  # each time another
            return None
        made = path.stat()
        if made.st_mtime_ns < photo.stat().st_mtime_ns or made.st_size > _MAX_JSON_BYTES:
            return None
        content = json.loads(path.read_bytes())
        if content["image"] != str(photo) or content[_SETTINGS] != settings:
            return None
        faces = [_brief(face) for face in content["faces"]]
        size = content["width"], content["height"]
        left_out = content["left_out"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    whole = all(type(side) is int and 0 < side < 1 << 31 for side in size)
    counted = type(left_out) is int and 0 <= left_out < 1 << 31
    if not whole or not counted or not all(map(_is_face, faces)):
        return None  # damaged, or edited: it is made again
    return Outcome(photo, base, size, faces, left_out, skipped=True)


def _is_face(face: Mapping[str, Any]) -> bool:
    """Whether what :func:`_brief` took from a file is what summaries need."""
    pose, box = face["pose"], face["box"]
    if not isinstance(pose, dict) or not isinstance(box, list) or len(box) != 4:
        return False
    shift = pose.get("translation")
    if not isinstance(shift, list) or len(shift) != 3:
        return False
    sure = [*box, *shift, face["score"], *(pose.get(name) for name in _ANGLES)]
    perhaps = [face["confidence"], face["expected_nme_percent"]]
    return all(map(_is_number, [*sure, *(value for value in perhaps if value is not None)]))


def _is_number(value: object) -> bool:
    # Booleans are no numbers here; NaN is not less than anything.
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < _HUGE


def _write_face(
    base: Path, number: int, face: Face, pictures: Pictures, wanted: Wanted
) -> list[str]:
    """Write one face's files, ``base`` being their folder and stem; returns their names."""
    paths = []
    for kind in (kind for kind in wanted.kinds if DRAWINGS[kind].per_face):
        picture = pictures.draw(kind, number)
        paths.append(write_picture(_append(base, f"_{kind}.png"), picture))
    if wanted.plain:
        paths += write_mesh(_append(base, ".obj"), plain_mesh(face))
    if wanted.meshes:
        mesh = pictures.mesh(number, wanted.space)
        for kind in wanted.meshes:
            paths += write_mesh(_append(base, f".{kind}"), mesh)
    return list(dict.fromkeys(path.name for path in paths))


def _brief(face: Mapping[str, Any]) -> dict[str, Any]:
    return {name: face[name] for name in _BRIEF}


def _append(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]
