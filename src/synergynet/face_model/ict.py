"""Importer of a user's clone of ICT-FaceKit (MIT), the light version of the ICT face model.

What the clone holds, as far as it is needed here: ``FaceXModel/generic_neutral_mesh.obj``, one
OBJ per identity mode (``identity000.obj`` ...) and per expression (``jawOpen.obj``,
``eyeBlink_L.obj`` ...), all with the same vertices in centimetres (x toward the subject's left,
y up, z out of the face) and quads; and ``vertex_indices.json`` with the 68 landmark vertices.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.whole_file import read_bytes
from ..geometry.landmarks import N_LANDMARKS, NOSE_TIP
from ..geometry.params import N_EXPRESSION, N_SHAPE, FloatArray
from .model import FaceModel

ICT_NAME = "ict-facekit-light"
NEUTRAL = "generic_neutral_mesh.obj"
CURE = "clone https://github.com/ICT-VGL/ICT-FaceKit again"
MM_PER_UNIT = 10.0

CHIN_MARGIN_MM, THROAT_MM, THROAT_SLOPE = 8.0, 27.0, 0.6
"""The neck is what lies more than 8 mm below the chin, on a floor that rises backward."""

ACTIVE, TWINS = 0.2, 0.75
"""Prior of expressions: each unit is active in one face of five, then uniform on [0, 1];
left and right twins correlate."""

_MAX_BYTES = 32 << 20
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Where things are in the vertex list.

    Attributes:
        n_vertices: vertices of every OBJ.
        n_face: the first ones are the face with ears and throat; after them come the back of
            the head, mouth and eye sockets, gums, teeth, eyeballs and lashes, all left out.
        jaw_line: landmark -> vertex, replaces the visible contour by the jaw bone's line, as
            300W-LP and AFLW2000-3D mean it. Used where the clone has the same vertex order.
    """

    n_vertices: int
    n_face: int
    jaw_line: dict[int, int]


LIGHT = Layout(
    n_vertices=26719,
    n_face=9409,
    jaw_line={
        **dict(enumerate((1278, 1272, 12, 1834, 243, 781, 2199, 1447))),
        **dict(enumerate((3661, 4390, 3022, 2484, 4036, 2253, 3490, 3496), start=9)),
    },
)
"""The published light model."""
_SHARED_JAW = (6, 7, 9, 10)  # landmarks that contour and jaw line have in common


def is_ict(folder: Path) -> bool:
    """Whether ``folder`` is a clone of ICT-FaceKit, or the ``FaceXModel`` inside it."""
    return (folder / "FaceXModel").is_dir() or (folder / NEUTRAL).is_file()


def load_ict(folder: str | Path, *, layout: Layout = LIGHT) -> FaceModel:
    """Read a clone of ICT-FaceKit.

    The model keeps the face with ears and closes nothing: eyes and mouth are open, the neck is
    cut off below the chin. Identity coefficients are ICT's own first 40, which its authors
    sample from a standard normal distribution. Expression modes are the ten largest principal
    components of the expressions under a made-up prior (``ACTIVE``, ``TWINS``), each symmetric
    or antisymmetric in the units; their coefficients are standard normal under that prior.
    Units carry ARKit's names; those that ICT splits (``browInnerUp``, ``cheekPuff``) are put
    together again, and ``tongueOut`` does not exist.

    Args:
        folder: the clone, or its ``FaceXModel``.
        layout: vertex counts to expect.

    Returns:
        A model in millimetres, about ICT's own origin.

    Raises:
        SynergyNetError: a file is missing, broken, too large or of another version.
    """
    root = Path(folder)
    root = root / "FaceXModel" if (root / "FaceXModel").is_dir() else root
    if not root.is_dir():
        raise SynergyNetError(f"{root}: no such folder; expected a clone of ICT-FaceKit")
    landmarks, names = _config(root / "vertex_indices.json", layout)
    text = _read(root / NEUTRAL)
    neutral = _vertices(root / NEUTRAL, text, layout) * MM_PER_UNIT
    triangles, uv = _surface(root / NEUTRAL, text, layout)
    floor = neutral[landmarks[8], 1] - CHIN_MARGIN_MM
    behind = neutral[landmarks[8], 2] - THROAT_MM - neutral[:, 2]
    above = neutral[:, 1] > floor + THROAT_SLOPE * np.maximum(behind, 0)
    triangles = triangles[above[triangles].all(axis=1)]
    keep = np.unique(triangles)
    if not np.isin(landmarks, keep).all():
        raise SynergyNetError(
            f"{root / 'vertex_indices.json'}: landmarks lie outside the face of {NEUTRAL}; "
            f"the two are from different versions: {CURE}"
        )
    new = np.full(layout.n_face, -1)
    new[keep] = np.arange(len(keep))
    triangles, landmarks, mean = new[triangles], new[landmarks], neutral[keep]

    def displacement(name: str) -> FloatArray:
        path = root / f"{name}.obj"
        return (_vertices(path, _read(path), layout) * MM_PER_UNIT - neutral)[keep]

    identity = np.stack([displacement(f"identity{k:03d}") for k in range(N_SHAPE)])
    units: dict[str, FloatArray] = {}
    for name in names:
        arkit = arkit_name(name)
        units[arkit] = units.get(arkit, 0.0) + displacement(name)
    order = tuple(sorted(units))
    shapes = np.stack([units[name] for name in order])
    modes = expression_modes(order, shapes)
    flat = modes.reshape(N_EXPRESSION, -1)
    coefficients = np.linalg.lstsq(flat.T, shapes.reshape(len(order), -1).T, rcond=None)[0].T
    return FaceModel(
        name=ICT_NAME,
        mean=mean,
        identity_basis=identity,
        expression_basis=modes,
        triangles=_outward(mean, triangles, int(landmarks[NOSE_TIP])).astype(np.int32),
        landmark_vertices=np.repeat(landmarks[:, None], 3, axis=1).astype(np.int32),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
        uv=uv[keep],
        unit_names=order,
        unit_coefficients=coefficients,
        unit_shapes=shapes,
    )


def arkit_name(name: str) -> str:
    """ICT's name of an expression -> ARKit's."""
    stem, _, side = name.partition("_")
    if stem in ("browInnerUp", "cheekPuff"):
        return stem
    return stem + {"L": "Left", "R": "Right"}.get(side, side)


def expression_modes(names: tuple[str, ...], shapes: FloatArray) -> FloatArray:
    """Ten principal components (10, V, 3) of units (U, V, 3) under the documented prior.

    Left-right twins enter as sum and difference, so that no mode mixes the two.
    """
    swap = [names.index(_twin(n)) if _twin(n) in names else i for i, n in enumerate(names)]
    moment = np.full((len(names),) * 2, ACTIVE**2 / 4)
    moment[np.arange(len(names)), swap] = TWINS * ACTIVE / 3
    np.fill_diagonal(moment, ACTIVE / 3)
    flat = shapes.reshape(len(names), -1)
    mirror = np.eye(len(names))[swap]
    found: list[tuple[float, FloatArray]] = []
    for sign in (1.0, -1.0):
        project = (np.eye(len(names)) + sign * mirror) / 2
        value, vector = np.linalg.eigh(project @ moment @ project)
        root = vector * np.sqrt(np.maximum(value, 0))
        gram = (root.T @ flat) @ (root.T @ flat).T
        size, turn = np.linalg.eigh(gram)
        found += [(size[k], root @ turn[:, k]) for k in range(len(names))]
    found.sort(key=lambda item: -item[0])
    mixtures = np.array([mixture for _, mixture in found[:N_EXPRESSION]])
    mixtures *= np.sign(mixtures[np.arange(len(mixtures)), np.abs(mixtures).argmax(axis=1)])[
        :, None
    ]
    return np.tensordot(mixtures, shapes, axes=1)


def _twin(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


def _read(path: Path) -> bytes:
    return read_bytes(path, max_bytes=_MAX_BYTES, cure=CURE)


def _config(path: Path, layout: Layout) -> tuple[Ints, list[str]]:
    """Landmark vertices (68,) and the names of the expressions."""
    try:
        data = json.loads(_read(path))
        landmarks = np.array(data["idx_to_landmark_verts"])
        names = [str(n) for n in data["expressions"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SynergyNetError(f"{path}: not ICT-FaceKit's list of indices; {CURE}") from error
    if landmarks.shape != (N_LANDMARKS,) or landmarks.dtype.kind != "i":
        raise SynergyNetError(f"{path}: idx_to_landmark_verts is not a list of 68 numbers; {CURE}")
    if landmarks.min() < 0 or landmarks.max() >= layout.n_face:
        raise SynergyNetError(
            f"{path}: a landmark is not among the {layout.n_face} vertices of the face; {CURE}"
        )
    plain = [n for n in names if n.replace("_", "").isalnum() and n.isascii()]
    if len(set(names)) != len(names) or plain != names or len(names) < N_EXPRESSION:
        raise SynergyNetError(f"{path}: expressions are not names of OBJ files; {CURE}")
    if all(landmarks[k] == layout.jaw_line.get(k) for k in _SHARED_JAW):
        landmarks[list(layout.jaw_line)] = list(layout.jaw_line.values())
    return landmarks.astype(np.int64), names


def _vertices(path: Path, text: bytes, layout: Layout) -> FloatArray:
    """(n_face, 3) the first vertices, in the file's unit."""
    lines = [line for line in text.splitlines() if line.startswith(b"v ")]
    if len(lines) != layout.n_vertices:
        raise SynergyNetError(
            f"{path}: {len(lines)} vertices, expected {layout.n_vertices}; it is damaged or of "
            f"another version: {CURE}"
        )
    try:
        rows = np.array([line.split()[1:4] for line in lines[: layout.n_face]], dtype=np.float64)
    except ValueError as error:
        raise SynergyNetError(f"{path}: a vertex is not three numbers; {CURE}") from error
    if rows.shape != (layout.n_face, 3) or not (np.abs(rows) < 1e3).all():
        raise SynergyNetError(f"{path}: a vertex is not three numbers of centimetres; {CURE}")
    return rows


def _surface(path: Path, text: bytes, layout: Layout) -> tuple[Ints, FloatArray]:
    """Triangles (T, 3) of the face and texture coordinates (n_face, 2).

    Polygons with a corner outside the face belong to other parts. At a texture seam a vertex
    keeps its first coordinate.
    """
    texture: list[list[float]] = []
    faces: list[list[int]] = []
    uv_of = np.full(layout.n_face, -1)
    try:
        for line in text.splitlines():
            if line.startswith(b"vt "):
                texture.append([float(x) for x in line.split()[1:3]])
            elif line.startswith(b"f "):
                corners = [[int(x or 0) for x in c.split(b"/")] for c in line.split()[1:]]
                vertex = [c[0] - 1 for c in corners]
                if min(vertex) < 0 or max(vertex) >= layout.n_vertices or len(vertex) < 3:
                    raise ValueError(line[:40])
                if max(vertex) >= layout.n_face:
                    continue
                faces += [[vertex[0], b, c] for b, c in pairwise(vertex[1:])]
                for corner in corners:
                    if len(corner) > 1 and corner[1] > 0 > uv_of[corner[0] - 1]:
                        uv_of[corner[0] - 1] = corner[1] - 1
        coordinates = np.array(texture, dtype=np.float64).reshape(len(texture), 2)
        uv = np.zeros((layout.n_face, 2))
        known = uv_of >= 0
        uv[known] = coordinates[uv_of[known]]
    except (ValueError, IndexError, OverflowError) as error:
        raise SynergyNetError(f"{path}: a broken polygon or texture line; {CURE}") from error
    if not faces:
        raise SynergyNetError(f"{path}: no polygons of the face; {CURE}")
    return np.array(faces), np.clip(uv, 0, 1)


def _outward(points: FloatArray, triangles: Ints, nose: int) -> Ints:
    """Counter-clockwise from outside: the surface looks forward at the tip of the nose."""
    at = points[triangles[(triangles == nose).any(axis=1)]]
    forward = np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0])[:, 2].sum()
    return triangles if forward > 0 else triangles[:, ::-1]
