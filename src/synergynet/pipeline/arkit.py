"""Expression coefficients -> weights of the face model's named (ARKit) expression units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..face_model.model import FaceModel
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, FloatArray

_SPARSITY_MM = 1.5
"""Price of a unit's weight per length of the unit: the residual it must save, millimetres over
all 68 landmarks."""

_COMMON = ("jawOpen", "mouthSmile", "mouthFrown", "mouthPucker", "brow", "eyeBlink")
_RARE = (
    "mouthLeft", "mouthRight", "mouthFunnel", "mouthShrug", "jawLeft", "jawRight", "jawForward",
    "cheekPuff", "noseSneer", "tongueOut",
)  # fmt: skip
_PRICE_COMMON, _PRICE_RARE, _PRICE = 1.0, 4.0, 2.5
"""Everyday expressions are cheap, grimaces dear: many mixtures of units give one face."""

_RIDGE = 0.01
"""Relative to a unit's squared length: keeps the answer unique where units are alike."""

_ITERATIONS = 600

_UNSEEN_MM = 1.0
"""Units that move the landmarks less than this in all cannot be read off them; weight 0."""


def unit_weights(expression: ArrayLike, model: FaceModel) -> FloatArray:
    """Expression coefficients (N, 10) -> weights (N, U) in [0, 1] of the model's units.

    The mixture of units that moves the 68 landmarks as the coefficients do, at the lowest
    price: minimises ``|sum_u w_u unit_u - d|^2 / 2 + sum_u price_u w_u |unit_u|`` within the
    bounds, d being the landmarks' displacement. Solved by accelerated projected gradients (Beck
    and Teboulle, 2009) in weights times length: convex, deterministic, all faces at once.
    """
    coefficients = np.asarray(expression, dtype=np.float64).reshape(-1, N_EXPRESSION)
    units = _unit_displacements(model)
    weights = np.zeros((len(coefficients), len(units)))
    length = np.linalg.norm(units, axis=1)
    seen = length > _UNSEEN_MM
    if not len(coefficients) or not seen.any():
        return weights
    modes = model.landmark_expression.reshape(N_EXPRESSION, -1).astype(np.float64)
    target = coefficients @ modes * model.millimetres_per_unit
    length = length[seen]
    directions = units[seen] / length[:, None]
    price = np.array([_price(name) for name in model.unit_names])[seen]
    gram = directions @ directions.T + _RIDGE * np.eye(len(directions))
    pull = target @ directions.T - _SPARSITY_MM * price
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


def _price(name: str) -> float:
    if name.startswith(_COMMON):
        return _PRICE_COMMON
    return _PRICE_RARE if name.startswith(_RARE) else _PRICE


def _unit_displacements(model: FaceModel) -> NDArray[np.float64]:
    """(U, 204) movement of the landmarks by each unit at weight 1, millimetres."""
    if model.unit_shapes is not None:
        points = model.at_landmarks(model.unit_shapes)
    else:
        points = np.tensordot(model.unit_coefficients, model.landmark_expression, axes=1)
    flat = points.reshape(len(model.unit_names), 3 * N_LANDMARKS).astype(np.float64)
    return flat * model.millimetres_per_unit
