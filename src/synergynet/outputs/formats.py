"""Results as files. Every file appears whole or not at all."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from ..pipeline.face import Face
from .kinds import DRAWINGS, MESHES, resolve
from .meshes import MeshData

NO_FACE = "no face was found"

_PICTURES = (".jpg", ".png")
_JPEG_QUALITY = 95
_JPEG_MAX_SIDE = 65_500  # pixels; the format's limit is 65,535
_SEPARATORS = re.compile(r"[\s#]")
_NUMBER_LIST = re.compile(r"\[\s+([^\[\]{}\"]*?)\s+\]")


def photo_endings() -> list[str]:
    """What the names of a photo's results may end with after its stem, but for those of faces."""
    kinds = [kind for kind, drawing in DRAWINGS.items() if not drawing.per_face]
    return [".json", *(f"_{kind}{suffix}" for kind in kinds for suffix in _PICTURES)]


def face_endings() -> list[str]:
    """What the names of a face's results may end with after ``<stem>_face<number>``."""
    meshes = [ending for mesh in MESHES.values() for ending in mesh.endings]
    drawn = [f"_{kind}.png" for kind, drawing in DRAWINGS.items() if drawing.per_face]
    return list(dict.fromkeys(meshes + drawn))


def without_spaces(stem: str) -> str:
    """``stem`` as an OBJ may name a file: readers end names at spaces, and at ``#``."""
    return _SEPARATORS.sub("_", stem)


def remove_results(base: Path) -> None:
    """Remove what an earlier run wrote for the photo whose results are ``base`` + ending."""
    old = [base.with_name(base.name + ending) for ending in photo_endings()]
    names = dict.fromkeys((base.name, without_spaces(base.name)))
    # Faces are numbered without gaps. The last goes first: what is cut short can be repeated.
    faces: list[Path] = []
    for number in itertools.count():
        ends = [f"_face{number}{ending}" for ending in face_endings()]
        paths = [base.with_name(name + end) for name in names for end in ends]
        there = [path for path in paths if path.exists()]
        if not there:
            break
        faces = there + faces
    old += faces
    for path in old:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{path}: cannot be written ({error.strerror})") from error


def picture_suffix(kind: str, photo: Path) -> str:
    """``.png`` for pictures whose numbers count and for PNG photos, else ``.jpg``."""
    return ".png" if DRAWINGS[kind].exact or photo.suffix.lower() == ".png" else ".jpg"


def write_picture(path: str | Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Write (H, W, 3) uint8 BGR as JPEG or PNG, by the path's suffix; (H, W) uint16 as PNG.

    Pictures too large for JPEG become PNG.

    Returns:
        The path written to.
    """
    target = Path(path)
    if max(image.shape[:2]) > _JPEG_MAX_SIDE:
        target = target.with_suffix(".png")
    options = [] if target.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(target.suffix, image, options)
    if not done:
        raise SynergyNetError(f"{target}: the picture could not be encoded")
    return write_whole(target, data.tobytes())


def write_json(
    path: str | Path,
    name: str,
    image: NDArray[np.uint8],
    faces: Sequence[Face],
    more: Mapping[str, object] | None = None,
) -> Path:
    """Write what is known about the faces of one photo.

    ``{"image", "width", "height", "faces": [Face.to_dict(), ...]}``, and a ``"message"`` that
    says so where no face was found. ``more`` goes before the faces.
    """
    height, width = image.shape[:2]
    content: dict[str, object] = {"image": name, "width": width, "height": height}
    if not faces:
        content["message"] = NO_FACE
    content |= more or {}
    head = json.dumps(content, indent=1, ensure_ascii=False)
    body = json.dumps([face.to_dict() for face in faces], indent=1, allow_nan=False)
    # One line per list of numbers: landmarks stay readable.
    body = _NUMBER_LIST.sub(lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", body)
    text = head.removesuffix("\n}") + ',\n "faces": ' + body + "\n}"
    return write_whole(Path(path), text.encode("utf-8", "backslashreplace") + b"\n")


def write_mesh(path: str | Path, mesh: MeshData) -> list[Path]:
    """Write a mesh in the format of ``MESHES`` that the suffix names.

    An ``.obj`` brings ``.mtl`` and ``_uv.png`` of the same stem, :func:`without_spaces`, if the
    mesh has a texture; it is written last.

    Returns:
        What was written.

    Raises:
        SynergyNetError: another suffix, or the system refuses.
    """
    target = Path(path)
    kind = MESHES.get(target.suffix.lower().removeprefix("."))
    if kind is None:
        raise SynergyNetError(f"{target}: meshes are written as {mesh_suffixes()}")
    files: Mapping[str, bytes] = resolve(kind.home)(mesh, without_spaces(target.stem))
    names = [*list(files)[:-1], target.name]  # .PLY stays .PLY
    return [
        write_whole(target.with_name(name), data)
        for name, data in zip(names, files.values(), strict=True)
    ]


def mesh_suffixes() -> str:
    """``.obj, .ply or .glb``."""
    *most, last = (f".{name}" for name in MESHES)
    return f"{', '.join(most)} or {last}"
