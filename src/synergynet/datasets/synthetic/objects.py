"""Things before a face: glasses, fingers, phones, microphones, patches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...geometry.landmarks import LEFT_EYE, RIGHT_EYE
from ...geometry.params import FloatArray
from .background import random_color
from .head import fan_triangles, sheet_triangles
from .label import Label

_SIDES = 6  # of a tube


@dataclass(frozen=True, eq=False)
class Solid:
    """A coloured mesh, camera axes, millimetres (not yet scaled and shifted).

    Attributes:
        vertices: (V, 3); triangles: (T, 3), seen from both sides.
        color: (3,) BGR in [0, 255].
        opacity: 1 for solid things, less for the lenses of glasses.
        mottle: strength of the noise on it.
    """

    vertices: FloatArray
    triangles: NDArray[np.int64]
    color: FloatArray
    opacity: float = 1.0
    mottle: float = 0.04


def draw_objects(
    model: FaceModel, landmarks: FloatArray, label: Label, skin: FloatArray, rng: Generator
) -> list[Solid]:
    """Random objects about a face, mostly none.

    Args:
        landmarks: (68, 3) model frame.
    """
    solids: list[Solid] = []
    if rng.random() < 0.2:
        solids += _glasses(landmarks, label.rotation, rng)
    chance = rng.random()
    turned = landmarks @ label.rotation.T
    if chance < 0.09:
        solids += _fingers(turned, skin, rng)
    elif chance < 0.15:
        solids += _microphone(turned, rng)
    elif chance < 0.22:
        solids.append(_board(turned, rng))
    return solids


def _glasses(points: FloatArray, rotation: FloatArray, rng: Generator) -> list[Solid]:
    """Rims of any roundness, bridge, temples to the ears; clear, tinted or dark lenses."""
    half_x, half_y = rng.uniform(22, 27), rng.uniform(14, 23)
    power, ahead = rng.uniform(2.0, 4.5), rng.uniform(9, 14)
    width = rng.uniform(0.6, 2.6)
    color = random_color(rng) * (0.3 if rng.random() < 0.6 else 1.0)
    dark = rng.random() < 0.35
    opacity = rng.uniform(0.55, 1.0) if dark else rng.uniform(0.0, 0.15)
    tint = random_color(rng) * 0.25 if dark else np.array([235.0, 235.0, 235.0])
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    round_off = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    front = points[[36, 45, 27, 17, 26], 2].max() + ahead * 0.5
    out: list[Solid] = []
    rims = []
    for eye, side in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
        x, y = points[eye, :2].mean(axis=0) + np.array([side * 2.0, -3.0])
        across, down = half_x * np.cos(angle) * round_off, half_y * np.sin(angle) * round_off
        rim = np.column_stack([x + across, y + down, np.full(len(angle), front)])
        rim[:, 2] -= (np.abs(rim[:, 0]) / 60) ** 2 * 9  # the frame is bent round the face
        rims.append(rim)
        out.append(Solid(*_tube(np.concatenate([rim, rim[:1]]), width), color))
        if opacity > 0.02:
            lens = np.concatenate([rim, [rim.mean(axis=0)]])
            out.append(Solid(lens, fan_triangles(len(rim)), tint, opacity, 0.0))
    inner = [rim[np.abs(rim[:, 0]).argmin()] for rim in rims]
    middle = (inner[0] + inner[1]) / 2 + [0, 2.5, 2]
    out.append(Solid(*_tube(np.stack([inner[0], middle, inner[1]]), width), color))
    for rim, ear, side in zip(rims, points[[0, 16]], (-1, 1), strict=True):
        hinge = rim[(side * rim[:, 0]).argmax()] + [0, half_y * 0.3, 0]
        elbow = np.array([ear[0] + side * 4.5, hinge[1] + 2, ear[2] + 22])
        end = np.array([ear[0] + side * 5.5, hinge[1] + 1, ear[2] - 12])
        out.append(Solid(*_tube(np.stack([hinge, elbow, end]), max(width, 1.0)), color))
    return [Solid(s.vertices @ rotation.T, s.triangles, s.color, s.opacity, s.mottle) for s in out]


def _fingers(points: FloatArray, skin: FloatArray, rng: Generator) -> list[Solid]:
    """One to four fingers of a hand that touches the face."""
    tip = points[rng.choice([2, 5, 8, 11, 14, 31, 48, 54, 57, 45, 36])] + rng.normal(0, 10, 3)
    tip[2] = points[:, 2].max() * 0.5 + tip[2] * 0.5 + 14
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.3, 0.5)])
    across = np.array([-np.sin(angle), np.cos(angle), 0])
    radius = rng.uniform(7, 9.5)
    out = []
    count = int(rng.integers(1, 5))
    color = (skin * rng.uniform(0.85, 1.08)).clip(0, 255)
    for k in range(count):
        start = tip + across * (k - count / 2) * radius * 2.1 + along * rng.uniform(-14, 0)
        bend = across * rng.normal(0, 4) + [0, 0, rng.uniform(3, 12)]
        path = np.stack([start + along * d + bend * np.sin(d / 40) for d in (0, 24, 48, 75)])
        out.append(Solid(*_tube(path, radius, rounded=True), color, mottle=0.05))
    if rng.random() < 0.7:
        palm = np.stack([tip + along * d for d in (72, 110, 160)])
        out.append(Solid(*_tube(palm, radius * (0.8 + 0.9 * count), rounded=True), color))
    return out


def _microphone(points: FloatArray, rng: Generator) -> list[Solid]:
    """A ball on a stick near the mouth; as well a lollipop, an ice cream, a glass."""
    head = points[57] + [rng.normal(0, 14), -rng.uniform(0, 30), 0]
    head[2] = points[:, 2].max() + rng.uniform(4, 20)
    angle = rng.normal(-np.pi / 2, 0.7)
    stick = np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.2, 0.4)])
    size = rng.uniform(9, 24)
    ball = np.stack([head + stick * d for d in (-size * 0.3, 0, size * 0.3)])
    handle = np.stack([head + stick * d for d in (size * 0.5, 90, 170)])
    return [
        Solid(*_tube(ball, size, rounded=True), random_color(rng) * 0.6, mottle=0.15),
        Solid(*_tube(handle, size * rng.uniform(0.2, 0.8)), random_color(rng) * 0.6),
    ]


def _board(points: FloatArray, rng: Generator) -> Solid:
    """A flat thing before a part of the face: phone, paper, somebody's shoulder."""
    corners = int(rng.integers(4, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners > 4 else np.arange(4) * np.pi / 2
    size = rng.uniform(18, 60)
    ring = np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.5, 1.4)], axis=1) * size
    turn = rng.uniform(0, 2 * np.pi)
    ring = ring @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    # It sticks out of the face's edge rather than covering all of it.
    edge = points[rng.integers(0, 27), :2]
    middle = edge + (edge - points[:, :2].mean(axis=0)) * rng.uniform(0.0, 0.5)
    near = points[:, 2].max() + 15
    vertices = np.column_stack([middle + ring, near + 0.2 * ring[:, 0]])
    vertices = np.concatenate([vertices, [[*middle, near]]])
    color, mottle = random_color(rng), float(rng.uniform(0, 0.3))
    return Solid(vertices, fan_triangles(corners), color, mottle=mottle)


def _tube(
    path: FloatArray, radius: float, *, rounded: bool = False
) -> tuple[FloatArray, NDArray[np.int64]]:
    """A tube of six sides along (n, 3) points; ``rounded`` adds hemispherical ends."""
    radii = np.full(len(path), radius)
    if rounded:
        first, last = path[0] - path[1], path[-1] - path[-2]
        first, last = (v / max(np.linalg.norm(v), 1e-9) * radius for v in (first, last))
        head = [path[0] + first * f for f in (1.0, 0.87, 0.5)]
        tail = [path[-1] + last * f for f in (0.5, 0.87, 1.0)]
        path = np.concatenate([head, path, tail])
        caps = radius * np.array([0.02, 0.5, 0.87])
        radii = np.concatenate([caps, radii, caps[::-1]])
    sides = 10 if rounded else _SIDES
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # A direction that is never along the path: the axis it moves along least.
    least = np.eye(3)[np.abs(along).max(axis=0).argmin()]
    u = np.cross(along, least)
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-9)
    v = np.cross(along, u)
    angle = np.arange(sides) / sides * 2 * np.pi
    circle = u[:, None] * np.cos(angle)[:, None] + v[:, None] * np.sin(angle)[:, None]
    vertices = (path[:, None] + circle * radii[:, None, None]).reshape(-1, 3)
    index = np.arange(len(path) * sides).reshape(len(path), sides)
    return vertices, sheet_triangles(np.column_stack([index, index[:, 0]]))


def join_solids(solids: Sequence[Solid]) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.intp]]:
    """Vertices (V, 3), triangles (T, 3) and which solid each triangle belongs to (T,)."""
    starts = np.cumsum([0, *(len(s.vertices) for s in solids)])
    vertices = np.concatenate([s.vertices for s in solids])
    triangles = np.concatenate(
        [s.triangles + start for s, start in zip(solids, starts, strict=False)]
    )
    owner = np.repeat(np.arange(len(solids)), [len(s.triangles) for s in solids])
    return vertices, triangles, owner
