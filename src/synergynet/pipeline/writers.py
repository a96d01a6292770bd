"""Files from faces. Every file appears whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files import write_whole
from ..rendering import draw_axes, draw_landmarks, draw_mesh
from .face import Face

DRAWINGS = ("landmarks", "pose", "mesh")
"""Kinds of pictures, each written as ``<stem>_<kind>``."""

NO_FACE = "no face was found"

_JPEG_QUALITY = 95
_JPEG_MAX_SIDE = 65_500  # pixels; the format's limit is 65,535
_NUMBER_LIST = re.compile(r"\[\s+([^\[\]{}\"]*?)\s+\]")


def draw_faces(image: NDArray[np.uint8], faces: Sequence[Face], kind: str) -> NDArray[np.uint8]:
    """One picture of all faces.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        kind: one of ``DRAWINGS``.

    Raises:
        SynergyNetError: an unknown kind, or a mesh of a face model without triangles.
    """
    if kind not in DRAWINGS:
        raise SynergyNetError(f"unknown drawing '{kind}'; choose from {', '.join(DRAWINGS)}")
    if not faces:
        return image.copy()
    landmarks = np.stack([face.landmarks for face in faces])
    if kind == "landmarks":
        return draw_landmarks(image, landmarks)
    if kind == "pose":
        return draw_axes(image, landmarks, np.stack([face.pose.rotation for face in faces]))
    check_triangles(faces)
    return draw_mesh(image, [face.vertices for face in faces], faces[0].triangles)


def check_triangles(faces: Iterable[Face]) -> None:
    """Raise SynergyNetError if a face's model has no triangles, hence no surface."""
    for face in faces:
        if not len(face.triangles):
            raise SynergyNetError(
                f"the face model '{face.face_model.name}' has no triangles to draw a mesh with; "
                "give --face-model with a tri.mat, or --draw landmarks,pose --no-obj"
            )


def remove_results(base: Path) -> None:
    """Remove what an earlier run wrote for the photo whose results are ``base`` + ending."""
    endings = [".json", *(f"_{kind}{suffix}" for kind in DRAWINGS for suffix in (".jpg", ".png"))]
    old = [base.with_name(base.name + ending) for ending in endings]
    own = re.compile(re.escape(base.name) + r"_face\d+\.obj")
    if base.parent.is_dir():
        old += [path for path in base.parent.iterdir() if own.fullmatch(path.name)]
    for path in old:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{path}: cannot be written ({error.strerror})") from error


def write_picture(path: str | Path, image: NDArray[np.uint8]) -> Path:
    """Write (H, W, 3) uint8 BGR as JPEG or PNG, by the path's suffix.

    Pictures too large for JPEG become PNG.

    Returns:
        The path written to.
    """
    target = Path(path)
    if max(image.shape[:2]) > _JPEG_MAX_SIDE:
        target = target.with_suffix(".png")
    done, data = cv2.imencode(target.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise SynergyNetError(f"{target}: the picture could not be encoded")
    return write_whole(target, data.tobytes())


def write_json(
    path: str | Path, name: str, image: NDArray[np.uint8], faces: Sequence[Face]
) -> Path:
    """Write what is known about the faces of one photo.

    ``{"image", "width", "height", "faces": [Face.to_dict(), ...]}``, and a ``"message"`` that
    says so where no face was found.
    """
    height, width = image.shape[:2]
    content: dict[str, object] = {"image": name, "width": width, "height": height}
    if not faces:
        content["message"] = NO_FACE
    head = json.dumps(content, indent=1, ensure_ascii=False)
    body = json.dumps([face.to_dict() for face in faces], indent=1, allow_nan=False)
    # One line per list of numbers: landmarks stay readable.
    body = _NUMBER_LIST.sub(lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", body)
    text = head.removesuffix("\n}") + ',\n "faces": ' + body + "\n}"
    return write_whole(Path(path), text.encode("utf-8", "backslashreplace") + b"\n")


def write_obj(path: str | Path, face: Face, image_height: int) -> Path:
    """Write a face's mesh as Wavefront OBJ in the photo's pixels.

    x is the image frame's x, y is ``image_height - 1 - y`` (up, so that viewers show the face
    upright), z is toward the viewer; triangles are counter-clockwise seen from outside.
    """
    vertices = face.vertices * (1, -1, 1) + (0, image_height - 1, 0)
    lines = [f"# {face.face_model.name}: pixels of the photo, y up, z toward the viewer"]
    lines += ["v {:.4f} {:.4f} {:.4f}".format(*v) for v in vertices.tolist()]
    lines += ["f {} {} {}".format(*t) for t in (face.triangles + 1).tolist()]
    return write_whole(Path(path), ("\n".join(lines) + "\n").encode())
