"""Calibrate Open Head on real faces: landmark positions, mean, identity and expression modes.

Data: 3D landmarks of real faces with a known split into pose, identity and expression (the
62 Basel Face Model parameters of each face). Only averages and covariances leave this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from synergynet.face_model.fitting import similarity
from synergynet.face_model.official import load_official
from synergynet.geometry import params, pose
from synergynet.geometry.landmarks import MIRROR

from .dictionary import (
    Dictionary,
    base_face,
    expression_units,
    identity_dictionaries,
    mirror_names,
)
from .source import Array, Source
from .topology import Head, eye_scale

Log = Callable[[str], None]
AtLandmarks = Callable[[Array], Array]

NOISE_MM = 0.5
PRIOR_WEIGHT = 0.02
"""Pull of the artists' prior on the covariance, in units of the data."""
BROW_EMPHASIS, EYE_EMPHASIS = 4.0, 15.0
"""Weight of brows and lids against the mouth when ten expression modes are chosen."""
MEAN_PRIOR = 0.6
"""The mean face may use this fraction of each slider's spread."""
MAX_DISAGREEMENT_PX = 5.0
UNIT_FLOOR = 0.015
"""Second moment added to every expression unit, for units that landmarks do not show."""


@dataclass(frozen=True, eq=False)
class Observations:
    """Landmarks of N faces in the head frame, millimetres, symmetrised by their mirrors.

    identity: (N, 68, 3) without expression, aligned to their mean in scale and position.
    expression: (N, 68, 3) displacement by the expression.
    """

    identity: Array
    expression: Array


def observe(labels: Path, bfm: Path, held_back: np.ndarray) -> Observations:
    """Head-frame landmarks from ``labels.npz``; faces in ``held_back`` (bool) are left out."""
    data = np.load(labels, allow_pickle=False)
    model, _ = load_official(bfm)
    keep = (data["mirror_disagreement_px"] < MAX_DISAGREEMENT_PX) & ~held_back
    camera, shape, expression = params.split(data["params62"][keep].astype(np.float64))
    linear = camera[..., :3]
    rotation = pose.nearest_rotation(linear)
    zero = np.zeros_like
    neutral = model.landmarks(shape, zero(expression)).astype(np.float64)
    full = model.landmarks(shape, expression).astype(np.float64)
    # The label's camera is not quite a rotation; what it adds belongs to the face.
    view = np.swapaxes(rotation, 1, 2) @ linear
    target = np.repeat(model.landmark_mean[None].astype(np.float64) * 1e-3, len(neutral), axis=0)
    eye = np.repeat(np.eye(3)[None], len(neutral), axis=0)
    base = np.einsum("nij,nlj->nli", view, neutral)
    moved = np.einsum("nij,nlj->nli", view, full - neutral)
    for _ in range(3):
        scale, _, shift = similarity(base, target, eye)
        aligned = scale[:, None, None] * base + shift[:, None]
        target = np.repeat(aligned.mean(axis=0, keepdims=True), len(base), axis=0)
    change = scale[:, None, None] * moved

    def both(points: Array) -> Array:
        return np.concatenate([points, points[:, MIRROR] * [-1, 1, 1]])

    return Observations(both(aligned), both(change))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything the build needs beside the wheel.

    Attributes:
        transform: (3, 4) similarity from the base frame to the model frame, millimetres.
        centres: (68, 3) centres of the smooth deformations, base frame.
        mean: (Ks,) coefficients of the mean face in the symmetric dictionary.
        symmetric: (Ks, 40), antisymmetric: (Ka, 40) identity modes; each column belongs to
            one of the two, the other is zero.
        units: (52, 10) expression modes as mixtures of the ARKit units.
        landmark_vertices, landmark_weights: (68, 3) barycentric landmarks on the head.
    """

    transform: Array
    centres: Array
    mean: Array
    symmetric: Array
    antisymmetric: Array
    units: Array
    landmark_vertices: np.ndarray
    landmark_weights: Array

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {k: np.asarray(v) for k, v in vars(self).items()}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        with np.load(path, allow_pickle=False) as data:
            return cls(**{k: data[k] for k in cls.__dataclass_fields__})


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


def _ridge_mean(design: Array, target: Array, prior: Array) -> Array:
    """Most probable coefficients with ``target ~ design c`` and c ~ N(0, prior^2)."""
    scaled = design * prior
    gram = scaled @ scaled.T + NOISE_MM**2 * np.eye(len(design))
    return prior * (scaled.T @ np.linalg.solve(gram, target))


def _em(design: Array, moment: Array, prior: Array, rounds: int = 30) -> Array:
    """Covariance of centred normal coefficients seen through ``data = design c + noise``.

    ``moment`` (d, d) is the second moment of the data; directions that the data do not show
    keep the prior.
    """
    covariance = start = np.diag(prior**2)
    for _ in range(rounds):
        # Posterior by the Woodbury identity: never inverts the large matrix.
        half = design @ covariance
        gain = np.linalg.solve(half @ design.T + NOISE_MM**2 * np.eye(len(design)), half).T
        posterior = covariance - gain @ half
        covariance = (gain @ moment @ gain.T + posterior + PRIOR_WEIGHT * start) / (
            1 + PRIOR_WEIGHT
        )
        covariance = (covariance + covariance.T) / 2
    return covariance


def _nonnegative(gram: Array, cross: Array, rounds: int = 400) -> Array:
    """Rows x minimising x G x / 2 - x c with 0 <= x <= 1.3, by accelerated projection."""
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    x = previous = np.zeros_like(cross)
    for k in range(rounds):
        y = x + (k / (k + 3)) * (x - previous)
        previous, x = x, np.clip(y - step * (y @ gram - cross), 0, 1.3)
    return x


def calibrate(source: Source, head: Head, seen: Observations, log: Log = print) -> Calibration:
    """Run the whole calibration; deterministic."""
    face = base_face(source)
    points = head.matrix @ face + head.bulge
    found = semantic_landmarks(head, points)
    truth = seen.identity.mean(axis=0)
    truth = (truth + truth[MIRROR] * [-1, 1, 1]) / 2

    # Base frame -> model frame from the landmarks that the mesh itself names.
    ids = np.array(sorted(found))
    where = points[[found[i] for i in ids]]
    scale, turn, shift = similarity(where[None], truth[ids][None])
    pitch = np.degrees(np.arctan2(turn[0, 1, 2], turn[0, 2, 2]))
    log(f"base to head frame: scale {scale[0]:.4f}, pitch {pitch:.2f} degrees")
    s, r, t = float(scale[0]), turn[0], shift[0]
    r[0, 1:], r[1:, 0], r[0, 0], t[0] = 0, 0, 1, 0
    transform = np.column_stack([s * r, t])

    def to_model(p: Array) -> Array:
        return p @ (s * r).T + t

    def to_base(p: Array) -> Array:
        return (p - t) @ r / s

    # First guess of the other landmarks: nearest points after a smooth warp of the known ones.
    warp = _smooth_warp(where, to_base(truth[ids]), points)
    outside = np.ones(len(points), dtype=bool)
    for eye in head.eyes:
        outside[eye.inner] = False
    vertices, weights = barycentric_landmarks(
        points + warp, head.triangles, to_base(truth), outside
    )
    for index, vertex in found.items():
        vertices[index], weights[index] = vertex, [1, 0, 0]

    def symmetrise() -> None:
        for index, twin in enumerate(MIRROR):
            if twin < index:
                vertices[index] = head.mirror[vertices[twin]]
                weights[index] = weights[twin]
            elif twin == index:
                keep = np.abs(points[vertices[index], 0]) < 1e-6
                if keep.any():
                    w = weights[index] * keep
                    weights[index] = w / w.sum() if w.sum() > 0 else keep / keep.sum()

    symmetrise()

    def at(field: Array) -> Array:
        """Base displacement fields (..., n, 3) at the landmarks (..., 68, 3), model frame."""
        shape = field.shape
        flat = np.moveaxis(field.reshape(-1, *shape[-2:]), 0, 1).reshape(shape[-2], -1)
        rows = landmark_rows()
        moved = (rows @ flat).reshape(len(rows), -1, 3) @ (s * r).T
        return np.moveaxis(moved, 1, 0).reshape(*shape[:-2], len(rows), 3)

    def landmark_rows() -> Array:
        pick = np.zeros((68, len(points)))
        np.add.at(pick, (np.repeat(np.arange(68), 3), vertices.ravel()), weights.ravel())
        return pick @ head.matrix

    region = np.asarray(abs(head.matrix).sum(axis=0)).ravel() > 0
    free = np.setdiff1d(np.arange(68), ids)
    centres = landmark_rows() @ face
    for round_ in range(4):
        dictionaries = identity_dictionaries(source, centres, region)
        offset = to_model(landmark_rows() @ face).ravel()
        design = at(dictionaries[0].fields).reshape(len(dictionaries[0].names), -1).T
        mean = _ridge_mean(design, truth.ravel() - offset, MEAN_PRIOR * dictionaries[0].prior)
        modelled = (offset + design @ mean).reshape(68, 3)
        gap = truth - modelled
        log(f"round {round_}: mean face off by {np.linalg.norm(gap, axis=1).mean():.2f} mm")
        if round_ == 3:
            break
        # Slide the free landmarks on the mean surface to where the labels have them.
        coefficients = np.tensordot(mean, dictionaries[0].fields, axes=1)
        surface = to_model(head.matrix @ (face + coefficients) + head.bulge)
        v, w = barycentric_landmarks(surface, head.triangles, truth, outside)
        vertices[free], weights[free] = v[free], w[free]
        symmetrise()

    flat = seen.identity.reshape(len(seen.identity), -1)
    swapped = (seen.identity[:, MIRROR] * [-1, 1, 1]).reshape(flat.shape)
    covariances = []
    for dictionary, part in zip(
        dictionaries, ((flat + swapped) / 2 - truth.ravel(), (flat - swapped) / 2), strict=True
    ):
        design = at(dictionary.fields).reshape(len(dictionary.names), -1).T
        covariances.append(_em(design, part.T @ part / len(part), dictionary.prior))
    symmetric, antisymmetric = _identity_modes(head, dictionaries, covariances, at, s * r, log)
    mean_base = face + np.tensordot(mean, dictionaries[0].fields, axes=1)
    names, fields = expression_units(source, eye_scale(head, face, mean_base))
    units = _expression_modes(names, fields, head, seen.expression, at, s * r, log)
    modes = [
        np.tensordot(symmetric.T, at(dictionaries[0].fields), axes=1)
        + np.tensordot(antisymmetric.T, at(dictionaries[1].fields), axes=1),
        np.tensordot(units.T, at(fields), axes=1),
    ]
    spread = _unit_spread(modes[0], seen.identity - truth)
    symmetric, antisymmetric = symmetric * spread, antisymmetric * spread
    units = units * _unit_spread(modes[1], seen.expression)
    return Calibration(transform, centres, mean, symmetric, antisymmetric, units, vertices, weights)


def _unit_spread(modes: Array, data: Array, rounds: int = 40) -> Array:
    """Factors (K,) that give real faces' coefficients a second moment of 1.

    Args:
        modes: (K, 68, 3) landmark displacements per coefficient.
        data: (N, 68, 3) displacements of real faces.
    """
    design = modes.reshape(len(modes), -1).T
    flat = data.reshape(len(data), -1)
    variance = np.ones(len(modes))
    for _ in range(rounds):
        posterior = np.linalg.inv(design.T @ design / NOISE_MM**2 + np.diag(1 / variance))
        c = flat @ (posterior @ design.T / NOISE_MM**2).T
        variance = (c**2).mean(axis=0) + np.diag(posterior)
    return np.sqrt(np.clip(variance, 0.05, 20.0))


def _smooth_warp(at: Array, to: Array, points: Array, width: float = 60.0) -> Array:
    """Displacements (V, 3) that carry ``at`` to ``to`` and fade over ``width`` mm."""

    def kernel(a: Array, b: Array) -> Array:
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * width**2))

    solution = np.linalg.solve(kernel(at, at) + 0.05 * np.eye(len(at)), to - at)
    return kernel(points, at) @ solution


def _metric(head: Head, points_weight: float = 8.0) -> tuple[Array, float]:
    """Weights of dense vertices and of each landmark coordinate for choosing modes."""
    n = head.matrix.shape[0]
    return np.full(n, 1.0 / n), points_weight / 68


def _identity_modes(
    head: Head,
    dictionaries: tuple[Dictionary, Dictionary],
    covariances: list[Array],
    at: AtLandmarks,
    linear: Array,
    log: Log,
) -> list[Array]:
    """The 40 most important directions of both dictionaries, standard normal coefficients."""
    dense, sparse = _metric(head)
    found = []
    for part, (dictionary, covariance) in enumerate(zip(dictionaries, covariances, strict=True)):
        root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)))
        fields = np.einsum("kni,kj->jni", dictionary.fields, root)
        flat = np.moveaxis(fields, 0, 1).reshape(fields.shape[1], -1)
        moved = (head.matrix @ flat).reshape(-1, len(root), 3) @ linear.T
        a = np.moveaxis(moved, 1, 0).reshape(len(root), -1) * np.sqrt(np.repeat(dense, 3))
        b = at(fields).reshape(len(root), -1) * np.sqrt(sparse)
        u, size, _ = np.linalg.svd(np.concatenate([a, b], axis=1), full_matrices=False)
        found += [(size[k], part, root @ u[:, k]) for k in range(len(size))]
    found.sort(key=lambda item: -item[0])
    total = sum(item[0] ** 2 for item in found)
    kept = sum(item[0] ** 2 for item in found[:40])
    count = sum(item[1] == 0 for item in found[:40])
    log(f"identity: 40 modes ({count} symmetric) hold {100 * kept / total:.1f} % of the variance")
    out = [np.zeros((len(d.names), 40)) for d in dictionaries]
    for k, (_, part, column) in enumerate(found[:40]):
        out[part][:, k] = column
    return out


def _expression_modes(
    names: tuple[str, ...],
    fields: Array,
    head: Head,
    change: Array,
    at: AtLandmarks,
    linear: Array,
    log: Log,
) -> Array:
    """(52, 10) mixtures of ARKit units, each mode symmetric or antisymmetric."""
    design = at(fields).reshape(len(names), -1)
    gram = design @ design.T + 1.0 * np.eye(len(names))
    weights = _nonnegative(gram, change.reshape(len(change), -1) @ design.T)
    rest = change.reshape(len(change), -1) - weights @ design
    size = np.sqrt((change**2).sum(axis=(1, 2)).mean() / 68)
    left = np.sqrt((rest**2).sum(axis=1).mean() / 68)
    log(f"expression: units explain all but {left:.2f} of {size:.2f} mm (RMS per landmark)")
    moment = weights.T @ weights / len(weights) + UNIT_FLOOR * np.eye(len(names))
    twin = mirror_names(names)
    moment = (moment + moment[np.ix_(twin, twin)]) / 2
    swap = np.eye(len(names))[twin]
    dense, sparse = _metric(head)
    flat = np.moveaxis(fields, 0, 1).reshape(fields.shape[1], -1)
    moved = (head.matrix @ flat).reshape(-1, len(names), 3) @ linear.T
    a = np.moveaxis(moved, 1, 0).reshape(len(names), -1) * np.sqrt(np.repeat(dense, 3))
    emphasis = np.ones(68)
    emphasis[17:27], emphasis[36:48] = BROW_EMPHASIS, EYE_EMPHASIS
    b = design * np.sqrt(sparse * np.repeat(emphasis, 3))
    full = np.concatenate([a, b], axis=1)
    found = []
    for sign in (1, -1):
        project = (np.eye(len(names)) + sign * swap) / 2
        part = project @ moment @ project
        value, vector = np.linalg.eigh(part)
        root = vector[:, value > 1e-9] * np.sqrt(value[value > 1e-9])
        u, size, _ = np.linalg.svd(root.T @ full, full_matrices=False)
        found += [(size[k], root @ u[:, k]) for k in range(len(size))]
    found.sort(key=lambda item: -item[0])
    total = sum(item[0] ** 2 for item in found)
    log(f"expression: 10 modes hold {100 * sum(i[0] ** 2 for i in found[:10]) / total:.1f} %")
    return np.array([column for _, column in found[:10]]).T
