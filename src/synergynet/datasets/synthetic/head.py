"""The mesh that is rendered: Open Head, a mouth with teeth, a neck with shoulders.

Everything that does not change from face to face is computed once: where a vertex lies in the
skin texture, which vertices are eyeball, how much sky each one sees.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...face_model.mouth import mouth_loop
from ...geometry.landmarks import LEFT_EYE, RIGHT_EYE
from ...geometry.params import FloatArray
from .label import Label
from .light import Ball, ambient_occlusion

ATLAS_SHAPE = (320, 576)
"""Rows and columns of the skin texture: the head unrolled onto a cylinder."""

_TEXELS_PER_DEGREE, _TEXELS_PER_MM, _TOP_MM, _AXIS_Z = 2.5, 1.5, 115.0, 25.0
_EYE_RINGS = 3  # rings of vertices between the middle of an eye and its lid margin
_TOOTH_COLUMNS = 9
HEAD_CENTRE, HEAD_RADIUS = np.array([0.0, 15.0, 20.0]), 145.0
"""A ball round head and neck, millimetres, model frame."""

_SHADOW_MM2 = 1.0  # half of all triangles are smaller: ears, lids, nostrils

HEAD, MOUTH, TEETH, BODY = range(4)
"""Parts of the scene, in the order of its triangles."""


@dataclass(frozen=True, eq=False)
class HeadScene:
    """Vertices and triangles of all parts, and what is known about each vertex.

    Attributes:
        triangles: (T, 3) int64, counter-clockwise from outside.
        part: (T,) int8, which part each triangle belongs to.
        shadow_triangles: (S, 3), those large enough to cast a shadow.
        atlas: (V, 2) float32 place in the skin texture, texels; of the body: degrees round it
            and height in millimetres.
        eye: (V,) float32, 1 on the eyeballs, 0 elsewhere.
        open_sky: (V,) float32 in [0, 1], ambient occlusion.
        eye_rings: lid margins of the right and left eye, vertex indices.
        mouth_loop: inner edge of the lips, vertex indices in order.
    """

    model: FaceModel
    basis: FloatArray
    triangles: NDArray[np.int64]
    part: NDArray[np.int8]
    shadow_triangles: NDArray[np.int64]
    atlas: NDArray[np.float32]
    eye: NDArray[np.float32]
    open_sky: NDArray[np.float32]
    eye_rings: tuple[NDArray[np.intp], NDArray[np.intp]]
    mouth_loop: NDArray[np.intp]

    @property
    def n_head_triangles(self) -> int:
        return len(self.model.triangles)

    def face(self, label: Label) -> FloatArray:
        """(Vh, 3) float32 head vertices in the model frame."""
        # einsum, not BLAS: the same bits in every process, whatever its threads.
        moved = np.einsum("k,kn->n", label.params[12:], self.basis).reshape(-1, 3)
        return moved + self.model.mean

    def vertices(self, face: FloatArray, label: Label) -> FloatArray:
        """Head vertices (Vh, 3) -> (V, 3) of all parts, turned, camera axes, millimetres.

        The camera's axes, but neither its scale nor its translation.
        """
        inner = np.concatenate([face, _mouth_cavity(face, self.mouth_loop)])
        teeth = _teeth(face, self.mouth_loop)
        turned = np.concatenate([inner, teeth]) @ label.rotation.T
        return np.concatenate([turned, _body(label)]).astype(np.float32)


def atlas_of(points: FloatArray) -> NDArray[np.float32]:
    """(..., 3) points of the mean face -> (..., 2) texels (column, row) of the skin texture."""
    degrees = np.rad2deg(np.arctan2(points[..., 0], points[..., 2] - _AXIS_Z))
    rows, columns = ATLAS_SHAPE
    u = np.clip(columns / 2 + degrees * _TEXELS_PER_DEGREE, 0, columns - 1)
    v = np.clip((_TOP_MM - points[..., 1]) * _TEXELS_PER_MM, 0, rows - 1)
    return np.stack([u, v], axis=-1).astype(np.float32)


@lru_cache(maxsize=2)
def head_scene(model: FaceModel) -> HeadScene:
    """The scene of Open Head.

    Raises:
        SynergyNetError: another model: its eyes or its mouth are not made as Open Head's.
    """
    mean = model.mean.astype(np.float64)
    triangles = model.triangles.astype(np.int64)
    loop = mouth_loop(model)
    if not len(loop):
        raise SynergyNetError(
            f"face model '{model.name}' has no mouth opening to render; "
            "synthetic faces are made with 'open-head'"
        )
    eyes = [_eye_patch(model, part) for part in (RIGHT_EYE, LEFT_EYE)]
    n = len(loop)
    first = len(mean)
    around = np.arange(n)
    cavity = np.concatenate(
        [
            _strip(loop, first + around),
            first + fan_triangles(n)[:, [1, 0, 2]],
        ]
    )
    first += n + 1
    teeth = np.concatenate([grid_triangles(first, 2, 9), grid_triangles(first + 18, 2, 9)])
    first += 36
    body = grid_triangles(first, len(_RINGS), _RING_POINTS)
    rest = Label(*(np.eye(3),) * 2, 1.0, np.eye(3), np.zeros(0), np.zeros(2))
    extra = np.concatenate([_mouth_cavity(mean, loop), _teeth(mean, loop), _body(rest)])
    everything = np.concatenate([mean, extra])
    eye = np.zeros(len(everything), dtype=np.float32)
    for inside, _ in eyes:
        eye[inside] = 1
    parts = [triangles, cavity, teeth, body]
    whole = np.concatenate(parts)
    flip = np.array([1, -1, 1])
    open_sky = ambient_occlusion(everything * flip, whole, Ball(HEAD_CENTRE * flip, HEAD_RADIUS))
    # The mouth is closed in the mean face; open, it is dark only at the back.
    open_sky[len(mean) : first] = np.concatenate([np.full(n, 0.3), [0.05], np.full(36, 0.5)])
    atlas = atlas_of(everything)
    atlas[-len(_RINGS) * _RING_POINTS :] = _body_coordinates()
    return HeadScene(
        model,
        np.concatenate([model.identity_basis, model.expression_basis]).reshape(50, -1),
        whole,
        np.repeat(np.arange(4, dtype=np.int8), [len(p) for p in parts]),
        whole[_areas(everything, whole) > _SHADOW_MM2],
        atlas,
        eye,
        open_sky,
        (eyes[0][1], eyes[1][1]),
        loop,
    )


def _areas(points: FloatArray, triangles: NDArray[np.int64]) -> FloatArray:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def _eye_patch(model: FaceModel, eye: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Vertices of one eyeball and of the lid margin round it.

    The eyeball's surface is a fan with a few rings round it; its hub has the most neighbours.
    """
    middle = model.landmark_mean[eye].mean(axis=0)
    near = np.linalg.norm(model.mean - middle, axis=1) < 15
    count = np.bincount(model.triangles.ravel(), minlength=model.n_vertices)
    hub = int(np.argmax(np.where(near, count, 0)))
    inside = np.zeros(model.n_vertices, dtype=bool)
    inside[hub] = True
    before = inside
    for _ in range(_EYE_RINGS + 1):
        before = inside.copy()
        inside[model.triangles[inside[model.triangles].any(axis=1)]] = True
    return np.flatnonzero(before), np.flatnonzero(inside & ~before)


def _strip(outer: NDArray[np.intp], inner: NDArray[np.intp]) -> NDArray[np.int64]:
    """Triangles between two closed loops of equally many vertices, beyond the edge ``outer``.

    ``outer`` runs as the edge of the surface that it ends; its neighbour's edge runs back.
    """
    outer_next, inner_next = np.roll(outer, -1), np.roll(inner, -1)
    return np.concatenate(
        [
            np.stack([outer_next, outer, inner], axis=1),
            np.stack([inner_next, outer_next, inner], axis=1),
        ]
    ).astype(np.int64)


def fan_triangles(n: int) -> NDArray[np.int64]:
    """Triangles between a closed ring of vertices 0 to ``n`` - 1 and its hub, vertex ``n``."""
    around = np.arange(n)
    return np.stack([around, (around + 1) % n, np.full(n, n)], axis=1)


def grid_triangles(first: int, rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles of a sheet of vertices: rows run down, columns to the picture's right."""
    return sheet_triangles(first + np.arange(rows * columns).reshape(rows, columns))


def sheet_triangles(index: NDArray[np.intp]) -> NDArray[np.int64]:
    """:func:`grid_triangles` of a sheet of vertex indices (rows, columns)."""
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate(
        [np.stack([a, c, b], axis=-1).reshape(-1, 3), np.stack([b, c, d], axis=-1).reshape(-1, 3)]
    ).astype(np.int64)


_THROAT = np.array([0.0, 0.0, 32.0])


def _mouth_cavity(face: FloatArray, loop: NDArray[np.intp]) -> FloatArray:
    """(n + 1, 3): a ring behind the lips and the throat, model frame."""
    lips = face[loop]
    middle = lips.mean(axis=0)
    ring = middle + (lips - middle) * [1.0, 1.15, 1.0] + [0, 0, -9.0]
    return np.concatenate([ring, [middle - _THROAT]])


def _teeth(face: FloatArray, loop: NDArray[np.intp]) -> FloatArray:
    """(36, 3): an upper and a lower sheet of 2 x 9 vertices behind the lips, model frame."""
    lips = face[loop]
    x = lips[:, 0]
    at = x.mean() + np.linspace(-0.85, 0.85, _TOOTH_COLUMNS) * np.ptp(x) / 2
    sheets = []
    for upper in (True, False):
        half = _half(lips, upper)
        y, z = (np.interp(at, half[:, 0], half[:, axis]) for axis in (1, 2))
        arch = 9.0 * np.linspace(-1, 1, _TOOTH_COLUMNS) ** 2
        z = np.minimum(z, z.max() - 0.5 * arch) - (6.0 if upper else 7.5)
        edges = (4.0, -7.0) if upper else (1.5, -5.0)
        sheets += [np.stack([at, y + edge, z], axis=1) for edge in edges]
    return np.concatenate(sheets)


def _half(lips: FloatArray, upper: bool) -> FloatArray:
    """The upper or lower part of a closed loop of points, sorted by x."""
    left, right = int(lips[:, 0].argmin()), int(lips[:, 0].argmax())
    turned = np.roll(lips, -left, axis=0)
    split = (right - left) % len(lips)
    halves = turned[: split + 1], np.concatenate([turned[split:], turned[:1]])
    first_is_upper = halves[0][:, 1].mean() > halves[1][:, 1].mean()
    half = halves[0] if first_is_upper == upper else halves[1]
    return half[np.argsort(half[:, 0], kind="stable")]


_RING_POINTS = 33
_RINGS = np.array(
    # y, centre z, half width x, half width z, share of the body's rotation
    [[-28, 2, 52, 54, 0], [-60, 2, 55, 57, 0], [-90, 0, 57, 58, 0.25], [-112, -6, 59, 56, 0.6],
     [-128, -12, 66, 57, 0.9], [-142, -16, 100, 62, 1], [-152, -18, 150, 70, 1],
     [-166, -20, 185, 78, 1], [-200, -20, 205, 88, 1], [-330, -20, 215, 100, 1]],
    dtype=np.float64,
)  # fmt: skip
_PIVOT = np.array([0.0, -60.0, -5.0])


def _body_angles() -> FloatArray:
    """(n,) radians of the points of a ring, 0 in front, from the subject's right to the left."""
    return np.linspace(-np.pi, np.pi, _RING_POINTS)


def _body(label: Label) -> FloatArray:
    """(rings x points, 3) neck and shoulders, already turned: the neck twists between them."""
    angle = _body_angles()
    y, z, half_x, half_z, follow = (_RINGS[:, k, None] for k in range(5))
    ring = np.stack(
        [half_x * np.sin(angle), np.broadcast_to(y, (len(_RINGS), len(angle))),
         z + half_z * np.cos(angle)], axis=-1,
    )  # fmt: skip
    local = ring - _PIVOT
    mixed = (1 - follow)[..., None] * (local @ label.rotation.T) + follow[..., None] * (
        local @ label.body_rotation.T
    )
    return (mixed + label.rotation @ _PIVOT).reshape(-1, 3)


def _body_coordinates() -> FloatArray:
    """(rings x points, 2) angle in degrees and height in millimetres of the body's vertices."""
    angle = _body_angles()
    return np.stack(
        [np.tile(np.rad2deg(angle), len(_RINGS)), np.repeat(_RINGS[:, 0], len(angle))], axis=1
    )
