"""Expression coefficients -> weights of the face model's named (ARKit) expression units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..face_model.model import FaceModel
from ..geometry.params import N_EXPRESSION, FloatArray

_SPARSITY = 0.05
"""Price of a unit's weight per length of the unit, in units of expression coefficients."""

_RIDGE = 1e-4
"""Relative to a unit's squared length: keeps the answer unique where units are alike."""

_ITERATIONS = 400

_UNSEEN = 1e-6
"""Units shorter than this do not move the face in these modes; their weight is 0."""


def unit_weights(expression: ArrayLike, model: FaceModel) -> FloatArray:
    """Expression coefficients (N, 10) -> weights (N, U) in [0, 1] of the model's units.

    There are more units than modes, so many mixtures give the same face. This takes the one
    that minimises ``|sum_u w_u unit_u - e|^2 / 2 + sparsity sum_u w_u |unit_u|`` (and a trace
    of ridge) within the bounds: by the triangle inequality a face that is one unit is answered
    with that unit alone. Solved by accelerated projected gradients (Beck and Teboulle, 2009) in
    weights times length: convex, deterministic, all faces at once.
    """
    target = np.asarray(expression, dtype=np.float64).reshape(-1, N_EXPRESSION)
    units = model.unit_coefficients.astype(np.float64)
    weights = np.zeros((len(target), len(units)))
    length = np.linalg.norm(units, axis=1)
    seen = length > _UNSEEN
    if not len(target) or not seen.any():
        return weights
    length = length[seen]
    directions = units[seen] / length[:, None]
    gram = directions @ directions.T + _RIDGE * np.eye(len(directions))
    pull = target @ directions.T - _SPARSITY
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    amount = np.zeros_like(pull)
    ahead, momentum = amount, 1.0
    for _ in range(_ITERATIONS):
        previous = amount
        amount = np.clip(ahead - step * (ahead @ gram - pull), 0.0, length)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = amount + (momentum - 1) / following * (amount - previous)
        momentum = following
    weights[:, seen] = amount / length
    return weights
