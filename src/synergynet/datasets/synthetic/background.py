"""What is behind a face: gradients, noise, shapes, lines, writing, blur; cloth; and cheap noise."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry.params import FloatArray

Image = NDArray[np.uint8]
_TILE = 1024  # all noise is cut out of one tile at random places
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,!?&%"


def draw_background(side: int, rng: Generator) -> Image:
    """(side, side, 3) uint8 BGR."""
    # Each picture mixes a few of the painters, over a plain or a graded wall.
    image = _gradient(side, rng)
    if rng.random() < 0.65:
        image += _octaves(side, rng)
    picture = _to_bytes(image)
    if rng.random() < 0.55:
        _shapes(picture, rng)
    if rng.random() < 0.35:
        _stripes(picture, rng)
    if rng.random() < 0.2:
        _writing(picture, rng)
    if rng.random() < 0.6:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 5)), np.uint8)
    if rng.random() < 0.5:
        speckle = grain(side, side, rng)[..., None] * np.float32(rng.uniform(2, 14))
        picture = _to_bytes(picture.astype(np.float32) + speckle)
    return picture


def random_color(rng: Generator) -> FloatArray:
    """(3,) BGR in [0, 255]: mostly dull, at times strong."""
    grey = rng.uniform(5, 250)
    color = grey + rng.normal(0, 60 if rng.random() < 0.3 else 16, 3)
    return color.clip(0, 255)


def draw_cloth(side: int, rng: Generator) -> Image:
    """(side, side, 3) uint8 BGR: plain, striped, checked or blotched."""
    color = random_color(rng)
    image = np.full((side, side, 3), color, dtype=np.float32)
    kind = rng.random()
    if kind < 0.3:
        period, other = int(rng.integers(6, 30)), random_color(rng)
        image[:, np.arange(side) % period < period // 2] = other
        if rng.random() < 0.4:
            image[np.arange(side) % period < period // 2] *= 0.7
    elif kind < 0.5:
        image += smooth(side, side, 9, 9, rng, 3) * rng.uniform(10, 50)
    image *= 1 + 0.05 * grain(side, side, rng)[..., None]
    return _to_bytes(image)


def _to_bytes(image: FloatArray) -> Image:
    return np.clip(image, 0, 255).astype(np.uint8)


def _gradient(side: int, rng: Generator) -> NDArray[np.float32]:
    corners = np.stack([random_color(rng) for _ in range(4)]).reshape(2, 2, 3)
    corners = corners.mean(axis=(0, 1)) * 0.4 + corners * 0.6 if rng.random() < 0.8 else corners
    wide = cv2.resize(corners.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, dtype=np.float32)


def _octaves(side: int, rng: Generator) -> NDArray[np.float32]:
    out = np.zeros((side, side, 3), dtype=np.float32)
    strength, fall = rng.uniform(10, 60), rng.uniform(0.4, 0.9)
    stretch = rng.integers(1, 5)
    for waves in (3, 7, 15, 31):
        rows, columns = (waves, waves * stretch) if rng.random() < 0.5 else (waves * stretch, waves)
        layer = smooth(side, side, rows, columns, rng, 1)[..., None]
        out += layer * (strength * (1 + rng.normal(0, 0.2, 3))).astype(np.float32)
        strength *= fall
    return out


def _shapes(image: Image, rng: Generator) -> None:
    side = len(image)
    for _ in range(int(rng.integers(1, 9))):
        color, size = random_color(rng).tolist(), rng.uniform(0.05, 0.6) * side
        x, y = rng.uniform(-0.1, 1.1, 2) * side
        at = int(x), int(y)
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(image, at, int(size / 2), color, cv2.FILLED, cv2.LINE_AA)
        elif kind == 1:
            box = cv2.boxPoints(((x, y), (size, rng.uniform(0.1, 1) * size), rng.uniform(0, 90)))
            cv2.fillConvexPoly(image, np.rint(box).astype(np.int32), color, cv2.LINE_AA)
        elif kind == 2:
            points = rng.normal(0, size / 2, (int(rng.integers(3, 8)), 2)) + np.array([x, y])
            cv2.fillPoly(image, [np.rint(points).astype(np.int32)], color, cv2.LINE_AA)
        else:
            axes = int(size / 2), int(size * rng.uniform(0.1, 0.5))
            width = int(rng.integers(1, 9))
            cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, color, width, cv2.LINE_AA)


def _stripes(image: Image, rng: Generator) -> None:
    """Edges of doors, shelves, fences: parallel lines."""
    side, color = len(image), random_color(rng).tolist()
    angle, gap = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), rng.uniform(5, 60)
    along = np.array([np.cos(angle), np.sin(angle)]) * 2 * side
    across = np.array([-np.sin(angle), np.cos(angle)])
    width = int(rng.integers(1, max(2, int(gap / 2))))
    for k in np.arange(-side, side, gap):
        middle = side / 2 + across * k
        ends = [tuple(int(v) for v in middle + sign * along) for sign in (-1, 1)]
        cv2.line(image, ends[0], ends[1], color, width, cv2.LINE_AA)


def _writing(image: Image, rng: Generator) -> None:
    side = len(image)
    color, scale = random_color(rng).tolist(), rng.uniform(0.25, 1.4)
    for _ in range(int(rng.integers(1, 5))):
        text = "".join(rng.choice(list(_LETTERS), int(rng.integers(2, 14))))
        at = int(rng.uniform(-0.2, 0.8) * side), int(rng.uniform(0, 1.1) * side)
        thickness = int(rng.integers(1, 3))
        cv2.putText(image, text, at, int(rng.integers(0, 8)), scale, color, thickness, cv2.LINE_AA)


@lru_cache(maxsize=1)
def _tile() -> NDArray[np.float32]:
    return np.random.default_rng(19).standard_normal((_TILE, _TILE)).astype(np.float32)


def grain(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    """(height, width) standard normal noise, read-only, sides up to 960."""
    y, x = rng.integers(0, _TILE - height + 1), rng.integers(0, _TILE - width + 1)
    return _tile()[y : y + height, x : x + width]


def smooth(
    height: int, width: int, rows: int, columns: int, rng: Generator, channels: int = 1
) -> NDArray[np.float32]:
    """(height, width[, channels]) noise of ``rows`` x ``columns`` waves, about standard normal."""
    knots = rng.standard_normal((rows, columns, channels), dtype=np.float32)
    out = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(out, dtype=np.float32)
