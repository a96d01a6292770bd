"""Calibrate Open Head on real faces: landmark positions, mean, identity and expression modes.

Data: 3D landmarks of real faces with a known split into pose, identity and expression (the
62 Basel Face Model parameters of each face). Only averages and covariances leave this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synergynet.face_model.fitting import similarity
from synergynet.geometry.landmarks import MIRROR

from .dictionary import base_face, expression_units, identity_dictionaries
from .landmarks import barycentric_landmarks, semantic_landmarks
from .observe import Observations
from .source import Array, Source
from .statistics import (
    Log,
    expression_modes,
    identity_modes,
    ridge_mean,
    slider_covariance,
    unit_spread,
)
from .topology import Head, eye_scale

MEAN_PRIOR = 0.6
"""The mean face may use this fraction of each slider's spread."""


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
        mean = ridge_mean(design, truth.ravel() - offset, MEAN_PRIOR * dictionaries[0].prior)
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
        covariances.append(slider_covariance(design, part.T @ part / len(part), dictionary.prior))
    symmetric, antisymmetric = identity_modes(head, dictionaries, covariances, at, s * r, log)
    mean_base = face + np.tensordot(mean, dictionaries[0].fields, axes=1)
    names, fields = expression_units(source, eye_scale(head, face, mean_base))
    units = expression_modes(names, fields, head, seen.expression, at, s * r, log)
    modes = [
        np.tensordot(symmetric.T, at(dictionaries[0].fields), axes=1)
        + np.tensordot(antisymmetric.T, at(dictionaries[1].fields), axes=1),
        np.tensordot(units.T, at(fields), axes=1),
    ]
    spread = unit_spread(modes[0], seen.identity - truth)
    symmetric, antisymmetric = symmetric * spread, antisymmetric * spread
    units = units * unit_spread(modes[1], seen.expression)
    return Calibration(transform, centres, mean, symmetric, antisymmetric, units, vertices, weights)


def _smooth_warp(at: Array, to: Array, points: Array, width: float = 60.0) -> Array:
    """Displacements (V, 3) that carry ``at`` to ``to`` and fade over ``width`` mm."""

    def kernel(a: Array, b: Array) -> Array:
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * width**2))

    solution = np.linalg.solve(kernel(at, at) + 0.05 * np.eye(len(at)), to - at)
    return kernel(points, at) @ solution
