"""Expression coefficients -> weights of the face model's named (ARKit) expression units."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, FloatArray
from .model import FaceModel

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

_UNSEEN_MM = 1.0
"""Units that move the landmarks less than this in all cannot be read off them; weight 0."""

_TOLERANCE = 1e-12
"""Of the longest unit: smaller slopes do not free a weight from its bound."""

_MOST_STEPS = 20
"""Per unit; never reached but by rounding errors that go round in circles."""


def unit_weights(expression: ArrayLike, model: FaceModel) -> FloatArray:
    """Expression coefficients (N, 10) -> weights (N, U) in [0, 1] of the model's units.

    The mixture of units that moves the 68 landmarks as the coefficients do, at the lowest
    price: minimises ``|sum_u w_u unit_u - d|^2 / 2 + sum_u price_u w_u |unit_u|`` within the
    bounds, d being the landmarks' displacement. Solved exactly, in weights times length.
    """
    coefficients = np.asarray(expression, dtype=np.float64).reshape(-1, N_EXPRESSION)
    problem = unit_problem(model)
    weights = np.zeros((len(coefficients), len(problem.seen)))
    if problem.seen.any():
        pull = coefficients @ problem.pull - problem.price
        amounts = np.array([bounded_minimum(problem.gram, p, problem.length) for p in pull])
        weights[:, problem.seen] = (
            amounts.reshape(len(pull), -1 if len(pull) else len(problem.length)) / problem.length
        )
    return weights


def bounded_minimum(gram: FloatArray, pull: FloatArray, upper: FloatArray) -> FloatArray:
    """The x within 0 <= x <= upper that minimises ``x gram x / 2 - pull x``.

    Active sets as in bounded-variable least squares (Stark and Parker, 1995): the variable that
    gains most is freed from its bound, and those that leave the bounds on the way to the free
    variables' minimum are fixed there again. Ends after finitely many steps for a positive
    definite ``gram``; few here, as most weights stay 0.

    >>> gram = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> bounded_minimum(gram, np.array([4.0, -1.0]), np.array([1.5, 1.0]))
    array([1.5, 0. ])

    Args:
        gram: (n, n) symmetric, positive definite.
        pull: (n,).
        upper: (n,) positive.
    """
    x = np.zeros_like(pull)
    free = np.zeros(len(pull), dtype=bool)
    tolerance = _TOLERANCE * float(upper.max())
    for _ in range(_MOST_STEPS * len(pull)):
        slope = pull - gram @ x
        gain = np.where(free, 0.0, np.where(x > 0, -slope, slope))
        best = int(np.argmax(gain))
        if gain[best] <= tolerance:
            break
        free[best] = True
        while free.any():
            # From x to the minimum over the free variables, as far as the bounds let it.
            step = np.linalg.solve(gram[np.ix_(free, free)], (pull - gram @ x)[free])
            start, end = x[free], upper[free]
            with np.errstate(divide="ignore", invalid="ignore"):
                room = np.where(step > 0, (end - start) / step, -start / step)
            room[step == 0] = np.inf
            reach = min(1.0, float(room.min()))
            x[free] = np.clip(start + reach * step, 0.0, end)
            if reach == 1.0:
                break
            stopped = np.flatnonzero(free)[room <= reach]
            x[stopped] = np.where(step[room <= reach] > 0, upper[stopped], 0.0)
            free[stopped] = False
    return x


@dataclass(frozen=True, eq=False)
class UnitProblem:
    """What all faces of a model share: S units that the landmarks show.

    Attributes:
        seen: (U,) which units these are.
        length: (S,) of their displacements, millimetres.
        gram: (S, S) of their directions.
        pull: (10, S) of each expression coefficient along them.
        price: (S,).
    """

    seen: NDArray[np.bool_]
    length: FloatArray
    gram: FloatArray
    pull: FloatArray
    price: FloatArray


@lru_cache(maxsize=2)
def unit_problem(model: FaceModel) -> UnitProblem:
    units = _unit_displacements(model)
    length = np.linalg.norm(units, axis=1)
    seen = length > _UNSEEN_MM
    length = length[seen]
    directions = units[seen] / length[:, None]
    modes = model.landmark_expression.reshape(N_EXPRESSION, -1).astype(np.float64)
    price = np.array([_price(name) for name in model.unit_names])[seen]
    return UnitProblem(
        seen=seen,
        length=length,
        gram=directions @ directions.T + _RIDGE * np.eye(len(directions)),
        pull=modes @ directions.T * model.millimetres_per_unit,
        price=_SPARSITY_MM * price,
    )


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
