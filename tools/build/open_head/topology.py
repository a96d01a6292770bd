"""From the MakeHuman body to a head: cut, subdivide, close the eyes.

Every output vertex is a linear combination of base vertices, so that one sparse matrix takes
the mean and every displacement field to the head: ``head = matrix @ base + bulge``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, identity, vstack
from scipy.sparse.csgraph import connected_components

from .source import Array, Source

NAPE_Y, NAPE_Z, NAPE_SLOPE = 668.0, 50.0, 0.25
"""The nape below a plane that rises backward from (NAPE_Y, NAPE_Z) is neck (base frame, mm)."""

EYE_RINGS = (0.8, 0.55, 0.28)
"""Radii of the rings that close an eye, as fractions of the lid margin."""

EYE_DEPTH = 0.5
"""How far the closed eye surface stays behind the eyeball's front, in millimetres."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EyePatch:
    """The surface inside one eye's lid margin."""

    ring: Ints
    inner: Ints


@dataclass(frozen=True, eq=False)
class Head:
    """Topology of Open Head.

    Attributes:
        matrix: (V, n_base) sparse, output vertices from base vertices.
        bulge: (V, 3) constant offset that rounds the eyes.
        quads: (Q, 4), triangles: (T, 3), counter-clockwise from outside.
        uv: (V, 2); mirror: (V,) index of each vertex's mirror image.
        eyes: right and left patch; mouth: ordered loop of the inner lips.
    """

    matrix: csr_matrix
    bulge: Array
    triangles: Ints
    uv: Array
    mirror: Ints
    eyes: tuple[EyePatch, EyePatch]
    mouth: Ints


def _islands(quads: Ints) -> Ints:
    """Label quads by connectivity over shared indices."""
    i, j = np.repeat(quads[:, 0], 3), quads[:, 1:].ravel()
    n = int(quads.max()) + 1
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(n, n))
    return connected_components(graph, directed=False)[1][quads[:, 0]]


def boundary_loops(faces: Ints) -> list[Ints]:
    """Closed boundary loops, each ordered, sorted by length."""
    directed = {(int(f[k]), int(f[(k + 1) % len(f)])) for f in faces for k in range(len(f))}
    following = {a: b for a, b in directed if (b, a) not in directed}
    loops = []
    while following:
        start = min(following)
        loop, at = [], start
        while at in following:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop))
    return sorted(loops, key=lambda loop: (len(loop), int(loop[0])))


def skin_quads(source: Source) -> tuple[Ints, Ints]:
    """Quads of the head's outer skin (vertex and texture indices), without neck and cavities.

    The texture atlas keeps the head, the mouth cavity, the eye sockets and the neck on
    islands of their own; the head is the one that holds the tip of the nose.
    """
    body = source.groups == "body"
    quads, texture = source.quads[body], source.texture_quads[body]
    island = _islands(texture)
    centre = source.vertices[quads].mean(axis=1)
    candidates = (np.abs(centre[:, 0]) < 30) & (centre[:, 1] > 600)
    nose = np.argmax(np.where(candidates, centre[:, 2], -np.inf))
    keep = island == island[nose]
    behind = NAPE_Z - centre[:, 2]
    keep &= ~((behind > 0) & (centre[:, 1] < NAPE_Y + NAPE_SLOPE * behind))
    return quads[keep], texture[keep]


def _sparse(rows: Ints, columns: Ints, shape: tuple[int, int], value: float = 1.0) -> csr_matrix:
    """A matrix of ``value`` at these places."""
    places = (rows.ravel(), columns.ravel())
    return csr_matrix((np.full(rows.size, value), places), shape=shape)


def _catmull_clark(quads: Ints, n: int) -> tuple[csr_matrix, Ints]:
    """One Catmull-Clark step for quads over vertices 0..n-1, sharp at the boundary.

    Returns the (n + edges + quads, n) matrix and the new quads.
    """

    n_quads = len(quads)
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2))
    _, first, edge_of, uses = np.unique(
        sides, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)  # edges in the order in which the quads use them
    edge_of = np.argsort(order)[edge_of.ravel()].reshape(n_quads, 4)
    pairs, border = sides[first[order]], uses[order] == 1
    n_edges = len(pairs)
    quad_of, edge_number = np.repeat(np.arange(n_quads), 4), np.repeat(np.arange(n_edges), 2)
    face = _sparse(quad_of, quads, (n_quads, n), 0.25)
    middle = _sparse(edge_number, pairs, (n_edges, n), 0.5)
    edge_faces = _sparse(edge_of, quad_of, (n_edges, n_quads))
    centre = (n + n_edges + quad_of).reshape(n_quads, 4)
    faces = np.stack([quads, n + edge_of, centre, n + np.roll(edge_of, 1, axis=1)], axis=-1)
    smooth_edge = middle * 0.5 + (edge_faces @ face) * 0.25
    pick = coo_matrix((border.astype(float), (range(n_edges), range(n_edges)))).tocsr()
    keep = identity(n_edges, format="csr") - pick
    edge = pick @ middle + keep @ smooth_edge

    vertex_edges = _sparse(pairs, edge_number, (n, n_edges))
    vertex_faces = _sparse(quads, quad_of, (n, n_quads))
    valence = np.maximum(np.asarray(vertex_edges.sum(axis=1)).ravel(), 1)
    nf = np.maximum(np.asarray(vertex_faces.sum(axis=1)).ravel(), 1)
    on_border = np.asarray(vertex_edges @ border.astype(float)).ravel() > 0

    def scaled(weights: NDArray[Any], matrix: csr_matrix) -> csr_matrix:
        return coo_matrix((weights, (range(n), range(n)))).tocsr() @ matrix

    inside = (~on_border).astype(float)
    vertex = (
        scaled(inside / valence / nf, vertex_faces @ face)
        + scaled(inside * 2 / valence / valence, vertex_edges @ middle)
        + scaled(inside * (valence - 3) / valence, identity(n, format="csr"))
        + scaled(on_border * 0.5, identity(n, format="csr"))
        + scaled(on_border * 0.25, vertex_edges @ pick @ middle)
    )
    return vstack([vertex, edge, face]).tocsr(), faces.reshape(-1, 4)


def build(source: Source) -> Head:
    """Cut the head out of the body, subdivide it once and close the eyes."""
    quads, texture = skin_quads(source)
    used = np.unique(quads)
    local = np.full(len(source.vertices), -1)
    local[used] = np.arange(len(used))
    select = _sparse(np.arange(len(used)), used, (len(used), len(source.vertices)))
    subdivide, fine = _catmull_clark(local[quads], len(used))
    matrix = (subdivide @ select).tocsr()
    uv = _uv(source, quads, texture, local, len(used), subdivide)
    points = matrix @ source.vertices
    triangles = np.concatenate([fine[:, [0, 1, 2]], fine[:, [0, 2, 3]]])

    loops = boundary_loops(fine)
    frontal = [loop for loop in loops if points[loop, 2].min() > 125]
    mouth = next(loop for loop in frontal if points[loop, 0].min() < 0 < points[loop, 0].max())
    eye_loops = sorted(
        (loop for loop in frontal if loop is not mouth), key=lambda loop: points[loop, 0].mean()
    )
    if len(eye_loops) != 2:
        raise RuntimeError(f"expected two eyes, found {len(eye_loops)} open loops")
    bulge = np.zeros((len(points), 3))
    eyes = []
    for loop, ball in zip(eye_loops, ("helper-r-eye", "helper-l-eye"), strict=True):
        start = matrix.shape[0]
        rows, faces = _close(loop, start)
        weights = csr_matrix(rows, shape=(rows.shape[0], start))
        eyeball = source.vertices[np.unique(source.quads[source.groups == ball])]
        patch = weights @ points
        bulge = np.concatenate([bulge, _round_eye(patch, eyeball)])
        uv = np.concatenate([uv, weights @ uv])
        points = np.concatenate([points, patch])
        matrix = vstack([matrix, weights @ matrix]).tocsr()
        triangles = np.concatenate([triangles, faces])
        eyes.append(EyePatch(loop, np.arange(start, matrix.shape[0])))
    final = matrix @ source.vertices + bulge
    return Head(matrix, bulge, triangles, uv, _mirror_index(final), (eyes[0], eyes[1]), mouth)


def _uv(
    source: Source, quads: Ints, texture: Ints, local: Ints, n: int, subdivide: csr_matrix
) -> Array:
    """Texture coordinates per output vertex, stretched over [0, 1].

    The seam at the back of the head is left as it is: one coordinate per vertex.
    """
    base = np.zeros((n, 2))
    base[local[quads[::-1]].ravel()] = source.texture[texture[::-1]].reshape(-1, 2)
    uv = subdivide @ base
    low, high = uv.min(axis=0), uv.max(axis=0)
    return 0.01 + 0.98 * (uv - low) / (high - low)


def _close(loop: Ints, start: int) -> tuple[Array, Ints]:
    """Rings and a centre inside a boundary loop: weights (rows, start) and triangles."""
    n = len(loop)
    # The boundary runs against the faces outside; the patch must run with it.
    rows = np.zeros((n * len(EYE_RINGS) + 1, start))
    rows[:, loop] = 1 / n
    for r, radius in enumerate(EYE_RINGS):
        block = rows[r * n : (r + 1) * n]
        block *= 1 - radius
        block[:, loop] += radius * _circular_blur(n, (1 - radius) * n / 8)
    previous, faces = loop, []
    for r in range(len(EYE_RINGS)):
        ring = start + r * n + np.arange(n)
        for k in range(n):
            a, b = previous[k], previous[(k + 1) % n]
            c, d = ring[(k + 1) % n], ring[k]
            faces += [[b, a, d], [b, d, c]]
        previous = ring
    centre = start + len(rows) - 1
    faces += [[previous[(k + 1) % n], previous[k], centre] for k in range(n)]
    return rows, np.array(faces)


def eye_opening(points: Array, eye: EyePatch) -> float:
    """Largest gap between the lids of one eye, in the mesh's unit."""
    ring = points[eye.ring]
    middle = np.abs(ring[:, 0] - (ring[:, 0].min() + ring[:, 0].max()) / 2).argsort()[:6]
    return float(np.ptp(ring[middle, 1]))


def eye_scale(head: Head, before: Array, after: Array) -> float:
    """How much smaller the eyes open on base vertices ``after`` than on ``before``."""
    right = head.eyes[0]
    return eye_opening(head.matrix @ after, right) / eye_opening(head.matrix @ before, right)


def _circular_blur(n: int, width: float) -> Array:
    """(n, n) Gaussian average along a closed loop: smooths the lid margin's ripples."""
    step = np.abs(np.arange(n)[:, None] - np.arange(n))
    weights = np.exp(-0.5 * (np.minimum(step, n - step) / max(width, 0.5)) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def _round_eye(patch: Array, eyeball: Array) -> Array:
    """Forward offsets (rows, 3): a dome over the lid margin that touches the eyeball."""
    low, high = eyeball.min(axis=0), eyeball.max(axis=0)
    centre, radius = (low + high) / 2, (high[0] - low[0]) / 2
    middle = patch[-1]
    front = centre[2] + np.sqrt(radius**2 - ((middle[:2] - centre[:2]) ** 2).sum())
    height = float(np.clip(front - EYE_DEPTH - middle[2], 0, 3))
    offset = np.zeros_like(patch)
    per_ring = (len(patch) - 1) // len(EYE_RINGS)
    radii = np.append(np.repeat(EYE_RINGS, per_ring), 0.0)
    offset[:, 2] = height * (1 - radii**2)
    return offset


def _mirror_index(points: Array) -> Ints:
    from scipy.spatial import cKDTree

    distance, index = cKDTree(points).query(points * [-1, 1, 1])
    if distance.max() > 0.01 or not (index[index] == np.arange(len(points))).all():
        raise RuntimeError(f"the head is not symmetric: {distance.max():.3f} mm")
    return index
