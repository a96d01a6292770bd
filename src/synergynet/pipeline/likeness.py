"""Whether two looks show one person, and whether a film has been cut between two frames.

Rules of thumb for one film, not recognition: the same light, about the same pose. The numbers come
from 190 pairs of 20 people, placed alike, and from one person turning (docs/video.md).
"""

import math
from collections import deque
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.crops import crop_from_landmarks
from ..geometry.params import FloatArray, split
from .face import Face

OTHER = 1.0
"""Two looks that differ more than this are two people: 19 of 20 pairs of people do, and no pair of
looks at one person who turned."""

LIKELY_SAME = 0.7
"""Two looks that differ less are one person, of whoever was seen in a place before."""

SURELY_SAME = 0.35
"""The same where the picture has changed as well: nearly the same look."""

STEADY = 0.85
"""Correlation of a face with itself a frame earlier; less is a jerk, or somebody else."""

_WEIGHTS = {"pattern": 0.4, "identity": 1.1, "colour": 0.06, "light": 0.014}
_PART = 0.72  # of the crop's side: the face without hair and ground
_CELLS, _FINE = 16, 4
_MOST_COLOUR, _MOST_LIGHT = 20.0, 60.0

_KEPT, _EVERY, _SHARE = 6, 8, 0.1

_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
) / np.array([[0.950456], [1.0], [1.088754]])
"""sRGB light, red first -> CIE XYZ, the white of D65 being 1."""

_GRID = (32, 24)
_CUT_CORRELATION = 0.75
_CUT_CHANGE = 15.0  # of 255
_CUT_AGAINST_USUAL = 3.0
_CUT_MEMORY = 9  # frames


@dataclass(frozen=True, eq=False)
class Appearance:
    """What is compared of a face.

    Attributes:
        pattern: (256,) light and dark, of length 1.
        lab: (3,) mean colour, OpenCV's Lab in 0..255.
        identity: coefficients of the face model.
    """

    pattern: FloatArray
    lab: FloatArray
    identity: FloatArray


class Looks:
    """Looks at one person, some of the last seconds: who is half hidden now was not before."""

    def __init__(self, first: Appearance) -> None:
        self.last = first
        self._kept: deque[Appearance] = deque([first], maxlen=_KEPT)
        self._since = 0
        self._identity = first.identity

    def add(self, look: Appearance, *, keep: bool = True) -> None:
        """The look of the next frame; not kept if some of the face may be hidden."""
        self.last = look
        if not keep:
            return
        self._identity = self._identity + _SHARE * (look.identity - self._identity)
        self._since += 1
        newest = replace(look, identity=self._identity)
        if self._since >= _EVERY:
            self._since = 0
            self._kept.append(newest)
        else:
            self._kept[-1] = newest

    def difference(self, look: Appearance) -> float:
        """That of ``look`` from the likest of the looks kept."""
        return min(difference(kept, look) for kept in self._kept)


def appearance(bgr: NDArray[np.uint8], face: Face) -> Appearance:
    """How a face looks in (H, W, 3) uint8 BGR; its landmarks must be finite."""
    crop = crop_from_landmarks(face.landmarks)
    size = _CELLS * _FINE
    scale = size / (_PART * crop.side)
    x, y = (c - _PART / 2 * crop.side for c in crop.center)
    affine = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    fine = cv2.warpAffine(bgr, affine, (size, size), borderMode=cv2.BORDER_REPLICATE)
    small = np.asarray(cv2.resize(fine, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA), np.uint8)
    grey = small.mean(axis=2).ravel()
    inner = small[3:-3, 3:-3]
    lab = _lab(inner.reshape(-1, 3)).mean(axis=0)
    _, identity, _ = split(np.asarray(face.params, dtype=np.float64))
    return Appearance(_unit(grey - grey.mean()), np.asarray(lab, np.float64), identity)


def _lab(bgr: NDArray[np.uint8]) -> FloatArray:
    """Pixels (N, 3) uint8 -> CIE Lab as OpenCV scales it to bytes; its tables for that take a
    tenth of a second to make."""
    value = bgr[:, ::-1].astype(np.float64) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    x, y, z = (light @ _XYZ.T).T
    fx, fy, fz = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    scaled = [2.55 * (116 * fy - 16), 500 * (fx - fy) + 128, 200 * (fy - fz) + 128]
    return np.stack(scaled, axis=1)


def difference(one: Appearance, other: Appearance) -> float:
    """0 for the same look, above ``OTHER`` for two people."""
    colour = min(math.dist(one.lab[1:], other.lab[1:]), _MOST_COLOUR)
    light = min(abs(float(one.lab[0] - other.lab[0])), _MOST_LIGHT)
    parts = {
        "pattern": 1 - correlation(one, other),
        "identity": 1 - _cosine(one.identity, other.identity),
        "colour": colour,
        "light": light,
    }
    return sum(_WEIGHTS[name] * value for name, value in parts.items())


def correlation(one: Appearance, other: Appearance) -> float:
    """Of the two patterns, in [-1, 1]; 1 where both are flat."""
    return _cosine(one.pattern, other.pattern)


class CutFinder:
    """Says of each frame whether the picture has become another one: a cut, not a pan or a flash.

    A grid of points is compared with that of the frame before. A cut changes their pattern, not
    only their brightness, and changes it more than the frames before did.
    """

    def __init__(self) -> None:
        self.pattern: FloatArray | None = None
        self._grid: FloatArray | None = None
        self._changes: deque[float] = deque([0.0], maxlen=_CUT_MEMORY)

    def __call__(self, bgr: NDArray[np.uint8]) -> bool:
        """Whether (H, W, 3) uint8 BGR is the first frame after a cut."""
        points = cv2.resize(bgr, _GRID, interpolation=cv2.INTER_NEAREST)
        grid = np.asarray(points, np.float64).mean(axis=2).ravel()
        before, self._grid = self._grid, grid
        was, self.pattern = self.pattern, _unit(grid - grid.mean())
        if before is None or was is None:
            return False
        change = float(np.abs(grid - before).mean())
        same = _cosine(self.pattern, was)
        cut = same < _CUT_CORRELATION and change > _CUT_CHANGE
        cut = cut and change > _CUT_AGAINST_USUAL * float(np.median(self._changes))
        if not cut:
            self._changes.append(change)
        return cut


def same_shot(one: FloatArray | None, other: FloatArray | None) -> bool:
    """Whether two patterns of a :class:`CutFinder` show one place from one side."""
    return one is None or other is None or _cosine(one, other) > _CUT_CORRELATION


def _unit(values: FloatArray) -> FloatArray:
    return values / max(float(np.linalg.norm(values)), 1e-9)


def _cosine(one: FloatArray, other: FloatArray) -> float:
    """1 where either is zero: nothing can be said then."""
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 1e-9 else 1.0
