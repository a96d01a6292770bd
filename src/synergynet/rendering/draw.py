"""Landmarks, pose axes and pose boxes over a photo; lines and dots scale with the face.

Everything is drawn as a coverage mask, finer than the picture where the face is small, and
then blended: a line may be thinner than a pixel, and positions are exact to 1/16 pixel.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.landmarks import DRAW_GROUPS, NOSE_TIP
from ..geometry.params import FloatArray

Color = tuple[int, int, int]
LINE_COLOR: Color = (110, 235, 90)
DOT_COLOR: Color = (255, 255, 255)
SHADOW_COLOR: Color = (20, 20, 20)
AXIS_COLORS: tuple[Color, Color, Color] = ((40, 40, 235), (50, 205, 40), (240, 110, 30))
"""X red, Y green, Z blue, as BGR."""
BOX_COLORS: tuple[Color, Color, Color] = ((60, 200, 255), (210, 170, 70), (170, 110, 40))
"""The pose box's face in front, its sides and its back, as BGR."""

BOX_MARGIN = 0.18
"""Of the landmarks' extent, by which the pose box is larger on every side."""

_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
_REACH = 30_000.0  # pixels; keeps wild coordinates and sizes inside OpenCV's integers
_Place = Callable[[FloatArray], NDArray[np.int32]]
_Stroke = Callable[[NDArray[np.uint8], _Place, float], None]


def face_size(landmarks: ArrayLike) -> float:
    """sqrt(w h) of the bounding box of (68, 2 or 3) landmarks, in pixels."""
    xy = np.asarray(landmarks, dtype=np.float64)[:, :2]
    return float(np.sqrt(np.prod(xy.max(axis=0) - xy.min(axis=0))))


def draw_landmarks(
    image: NDArray[np.uint8], landmarks: ArrayLike, *, opacity: float = 1.0
) -> NDArray[np.uint8]:
    """The 68 landmarks as dots, joined by the classic lines.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        landmarks: (68, 2 or 3) of one face or (N, 68, 2 or 3) of several, image frame.
        opacity: of the drawing, 0 to 1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    out = image.copy()
    for points in filter(_drawable, _faces(landmarks)):
        width = max(face_size(points) * 0.0065, 0.5)
        radius = max(face_size(points) * 0.0095, 0.55)
        margin = 3 * radius + 2
        lines = [(points[group], closed) for group, closed in DRAW_GROUPS]
        for color, part, stroke in (
            (LINE_COLOR, 0.8, _lines(lines, width)),
            (SHADOW_COLOR, 0.55, _dots(points, radius * 1.45)),
            (DOT_COLOR, 1.0, _dots(points, radius)),
        ):
            _paint(out, points, margin, width, color, part * opacity, stroke)
    return out


def draw_axes(
    image: NDArray[np.uint8],
    landmarks: ArrayLike,
    rotation: ArrayLike,
    *,
    opacity: float = 1.0,
) -> NDArray[np.uint8]:
    """The head's axes from the nose tip: X (subject's left) red, Y (up) green, Z (ahead) blue.

    Their length is half of sqrt(w h) of the landmark box, before foreshortening.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        landmarks: (68, 2 or 3) of one face or (N, 68, 2 or 3) of several, image frame.
        rotation: (3, 3) or (N, 3, 3), model frame -> camera frame (y up, z toward the viewer).
        opacity: of the drawing, 0 to 1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    out = image.copy()
    turns = np.asarray(rotation, dtype=np.float64).reshape(-1, 3, 3)
    for points, matrix in zip(_faces(landmarks), turns, strict=True):
        if not (_drawable(points) and np.isfinite(matrix).all()):
            continue
        size = face_size(points)
        width = max(size * 0.022, 0.8)
        origin = points[NOSE_TIP]
        ends = origin + 0.5 * size * matrix[:2].T * (1, -1)
        for axis in np.argsort(matrix[2], kind="stable"):  # the axis nearest to the viewer last
            line = np.stack([origin, ends[axis]])
            _outlined(out, line, width, AXIS_COLORS[axis], opacity, 1.5, 0.45)
    return out


def draw_box(
    image: NDArray[np.uint8],
    landmarks: ArrayLike,
    rotation: ArrayLike,
    *,
    opacity: float = 1.0,
) -> NDArray[np.uint8]:
    """The pose as a wireframe cuboid about the face, as weak perspective shows it.

    Its side before the face is yellow, the edges that recede light blue, its back dark blue.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        landmarks: (68, 3) of one face or (N, 68, 3) of several, image frame.
        rotation: (3, 3) or (N, 3, 3), model frame -> camera frame (y up, z toward the viewer).
        opacity: of the drawing, 0 to 1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    out = image.copy()
    points = np.asarray(landmarks, dtype=np.float64).reshape(-1, 68, 3)
    turns = np.asarray(rotation, dtype=np.float64).reshape(-1, 3, 3)
    for face, matrix in zip(points, turns, strict=True):
        if not (_drawable(face[:, :2]) and np.isfinite(face).all() and np.isfinite(matrix).all()):
            continue
        width = max(face_size(face) * 0.012, 0.7)
        corners = pose_box(face, matrix)
        edges = [(i, j) for i in range(8) for j in range(i) if bin(i ^ j).count("1") == 1]
        # Bit 2 of a corner's number is set in front of the face. From far to near.
        for i, j in sorted(edges, key=lambda e: float(corners[list(e), 2].mean())):
            part = 0 if i & j & 4 else 2 if not (i | j) & 4 else 1
            _outlined(out, corners[[i, j], :2], width, BOX_COLORS[part], opacity, 1.7, 0.4)
    return out


def pose_box(landmarks: ArrayLike, rotation: ArrayLike) -> FloatArray:
    """Corners (8, 3), image frame, of the cuboid of the head's axes about (68, 3) landmarks.

    Corner k lies at the subject's left, above, before the face where bits 0, 1, 2 of k are set.
    """
    upright = np.array([1.0, -1.0, 1.0])  # image frame <-> camera frame
    turn = np.asarray(rotation, dtype=np.float64)
    head = (np.asarray(landmarks, dtype=np.float64) * upright) @ turn  # in the head's axes
    low, high = head.min(axis=0), head.max(axis=0)
    margin = BOX_MARGIN * (high - low)
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    corners = np.where(bits, high + margin, low - margin)
    return (corners @ turn.T) * upright


def _faces(landmarks: ArrayLike) -> FloatArray:
    """One or several faces' landmarks -> (N, 68, 2) float64."""
    points = np.asarray(landmarks, dtype=np.float64)
    return (points[None] if points.ndim == 2 else points)[..., :2]


def _drawable(points: FloatArray) -> bool:
    """False for points that are not finite or absurdly far apart: such a face is left out."""
    return bool(np.isfinite(points).all() and face_size(points) < _REACH)


def _lines(lines: Sequence[tuple[FloatArray, bool]], width: float) -> _Stroke:
    """Polylines and whether they are closed."""

    def stroke(mask: NDArray[np.uint8], place: _Place, zoom: float) -> None:
        thick = max(1, round(width * zoom))
        for points, closed in lines:
            cv2.polylines(mask, [place(points)], closed, 255, thick, cv2.LINE_AA, _SHIFT)

    return stroke


def _dots(points: FloatArray, radius: float) -> _Stroke:
    def stroke(mask: NDArray[np.uint8], place: _Place, zoom: float) -> None:
        reach = max(1, round(radius * zoom * (1 << _SHIFT)))
        for x, y in place(points).tolist():
            cv2.circle(mask, (x, y), reach, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    return stroke


def _outlined(
    image: NDArray[np.uint8],
    line: FloatArray,
    width: float,
    color: Color,
    opacity: float,
    spread: float,
    shade: float,
) -> None:
    """A line over its shadow, which is ``spread`` times as wide and ``shade`` times as dense."""
    for tint, part, wide in ((SHADOW_COLOR, shade, spread), (color, 1.0, 1.0)):
        stroke = _lines([(line, False)], wide * width)
        _paint(image, line, 2 * width + 2, width, tint, part * opacity, stroke)


def _paint(
    image: NDArray[np.uint8],
    points: FloatArray,
    margin: float,
    width: float,
    color: Color,
    opacity: float,
    stroke: _Stroke,
) -> None:
    """Blend ``color`` into ``image`` where ``stroke`` draws, within ``margin`` of ``points``."""
    height, breadth = image.shape[:2]
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, [breadth, height]).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin) + 1, 0, [breadth, height]).astype(int)
    if (low >= high).any():
        return
    zoom = int(np.clip(np.ceil(4 / width), 1, 4))
    size = high - low
    mask = np.zeros((size[1] * zoom, size[0] * zoom), dtype=np.uint8)

    def place(xy: FloatArray) -> NDArray[np.int32]:
        local = (np.clip(xy - low, -_REACH, _REACH) + 0.5) * zoom - 0.5
        return np.rint(local * (1 << _SHIFT)).astype(np.int32)

    stroke(mask, place, float(zoom))
    if zoom > 1:
        mask = np.asarray(
            cv2.resize(mask, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
        )
    cover = mask[..., None].astype(np.float32) * (opacity / 255)
    region = image[low[1] : high[1], low[0] : high[0]]
    mixed = region * (1 - cover) + np.array(color, dtype=np.float32) * cover
    region[:] = np.rint(mixed).astype(np.uint8)
