"""Where the 68 landmarks lie on the head."""

import numpy as np
from scipy.spatial import cKDTree

from .source import Array
from .topology import Head


def barycentric_landmarks(
    points: Array, triangles: np.ndarray, targets: Array, allowed: np.ndarray
) -> tuple[np.ndarray, Array]:
    """Nearest surface points: vertex triples (68, 3) and weights (68, 3), made symmetric."""
    tri = triangles[allowed[triangles].all(axis=1)]
    corners = points[tri]
    near = cKDTree(corners.mean(axis=1)).query(targets, k=40)[1]
    vertices = np.zeros((len(targets), 3), dtype=np.int64)
    weights = np.zeros((len(targets), 3))
    for index, target in enumerate(targets):
        best = np.inf
        for t in near[index]:
            bary = _closest(corners[t], target)
            gap = float(np.linalg.norm(bary @ corners[t] - target))
            if gap < best:
                best, vertices[index], weights[index] = gap, tri[t], bary
    return vertices, weights


def _closest(corners: Array, target: Array) -> Array:
    """Barycentric weights of the point of a triangle nearest to ``target``."""
    edges = corners[1:] - corners[0]
    solution, *_ = np.linalg.lstsq(edges.T, target - corners[0], rcond=None)
    bary = np.array([1 - solution.sum(), *solution])
    if (bary >= 0).all():
        return bary
    best, out = np.inf, bary
    for a, b in ((0, 1), (1, 2), (2, 0)):
        d = corners[b] - corners[a]
        t = float(np.clip((target - corners[a]) @ d / (d @ d), 0, 1))
        gap = float(np.linalg.norm(corners[a] + t * d - target))
        if gap < best:
            best, out = gap, np.zeros(3)
            out[a], out[b] = 1 - t, t
    return out


def semantic_landmarks(head: Head, points: Array) -> dict[int, int]:
    """Landmark index -> vertex for those that the mesh's own loops define."""
    found: dict[int, int] = {}

    def at(loop: np.ndarray, fraction: float, upper: bool) -> int:
        """The vertex of a loop at a fraction of its width, on its upper or lower half."""
        x = points[loop, 0]
        turned = np.roll(loop, -int(x.argmin()))
        corner = int(points[turned, 0].argmax())
        halves = sorted(
            (turned[: corner + 1], turned[corner:]), key=lambda arc: points[arc, 1].mean()
        )
        half = halves[int(upper)]
        goal = x.min() + fraction * np.ptp(x)
        return int(half[np.abs(points[half, 0] - goal).argmin()])

    for first, patch in zip((36, 42), head.eyes, strict=True):
        loop = patch.ring
        x = points[loop, 0]
        found[first], found[first + 3] = int(loop[x.argmin()]), int(loop[x.argmax()])
        found[first + 1], found[first + 2] = at(loop, 1 / 3, True), at(loop, 2 / 3, True)
        found[first + 5], found[first + 4] = at(loop, 1 / 3, False), at(loop, 2 / 3, False)
    loop = head.mouth
    x = points[loop, 0]
    found[60], found[64] = int(loop[x.argmin()]), int(loop[x.argmax()])
    for index, fraction in zip((61, 62, 63), (0.34, 0.5, 0.66), strict=True):
        found[index] = at(loop, fraction, True)
    for index, fraction in zip((67, 66, 65), (0.34, 0.5, 0.66), strict=True):
        found[index] = at(loop, fraction, False)
    middle = np.abs(points[:, 0]) < 0.5
    found[30] = int(np.argmax(np.where(middle, points[:, 2], -np.inf)))
    return found
