"""Landmarks of real faces in the head frame, split into identity and expression."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synergynet.face_model.fitting import similarity
from synergynet.face_model.official import load_official
from synergynet.geometry import params, pose
from synergynet.geometry.landmarks import MIRROR

from .source import Array

MAX_DISAGREEMENT_PX = 5.0
"""Labels whose mirror image was labelled differently by more than this are left out."""


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
