"""What can be drawn and written, by name.

The commands' options, errors and help, the files that a run replaces, and the tables of
docs/outputs.md follow from here. A new kind is one line and the file that it names; nothing of
that is imported before it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Drawing:
    """A kind of picture.

    Attributes:
        home: what draws it, as module:function below ``outputs``; it is handed the
            :class:`~.pictures.Pictures` (for ``per_face`` kinds also a face's number) and answers
            with (H, W, 3) uint8 BGR or (H, W) uint16.
        lines: drawn over what is there; of the others, one hides another.
        default: made without being asked for.
        exact: its numbers count, so that it is always a PNG.
        per_face: one picture for each face, not one for the photo; not in videos.
        in_video: draws it in a video, where it is another function.
        note: what the photo's JSON says of it, as module:function.
    """

    home: str
    lines: bool = False
    default: bool = False
    exact: bool = False
    per_face: bool = False
    in_video: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class MeshFormat:
    """A kind of mesh file.

    Attributes:
        home: what encodes it, as module:function below ``outputs``: a
            :class:`~.meshes.MeshData` and the files' stem -> file name -> content, the file that
            the others belong to last.
        endings: of all its files, after the stem.
        text: in the help, what it holds.
    """

    home: str
    endings: tuple[str, ...]
    text: str = ""


DRAWINGS: Mapping[str, Drawing] = {
    "landmarks": Drawing("lines:landmarks", lines=True, default=True),
    "pose": Drawing("lines:pose", lines=True, default=True),
    "box": Drawing("lines:box", lines=True),
    "mesh": Drawing("surfaces:mesh", default=True),
    "solid": Drawing("surfaces:solid"),
    "depth": Drawing(
        "maps:depth", exact=True, in_video="maps:depth_in_grey", note="maps:depth_code"
    ),
    "pncc": Drawing("maps:pncc", exact=True),
    "normals": Drawing("maps:normals", exact=True),
    "uv": Drawing("maps:uv", exact=True, per_face=True),
}
"""Written as ``<stem>_<kind>``, or ``<stem>_face<number>_<kind>`` where there is one per face."""

MESHES: Mapping[str, MeshFormat] = {
    "obj": MeshFormat("meshes.obj:encode", (".obj", ".mtl", "_uv.png"), "textured"),
    "ply": MeshFormat("meshes.ply:encode", (".ply",)),
    "glb": MeshFormat("meshes.glb:encode", (".glb",)),
}
"""Written as ``<stem>_face<number><ending>``."""

DEFAULT_DRAWINGS = tuple(name for name, kind in DRAWINGS.items() if kind.default)
LINES = tuple(name for name, kind in DRAWINGS.items() if kind.lines)
SURFACES = tuple(name for name, kind in DRAWINGS.items() if not (kind.lines or kind.per_face))

IN_VIDEOS = (*LINES, "id")
"""Kinds that lie over one another on the frames of a video; ``id`` is the number of a face."""

Space = Literal["image", "head", "camera"]
SPACES: tuple[Space, ...] = ("image", "head", "camera")
"""Frames of mesh files: pixels, or millimetres without pose or before a camera."""


def resolve(home: str) -> Any:
    """The function that a ``home`` names."""
    module, _, function = home.partition(":")
    return getattr(import_module(f".{module}", __package__), function)
