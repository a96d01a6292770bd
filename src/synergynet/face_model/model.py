"""``FaceModel``: a linear 3D morphable face model.

``vertices = mean + sum_k a_k identity_basis[k] + sum_j e_j expression_basis[j]``, in the model
frame: x toward the subject's left, y up, z out of the face; unit given by the model.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SynergyNetError
from ..geometry import frames, params
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, N_SHAPE, FloatArray

NO_TRIANGLES = np.zeros((0, 3), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class FaceModel:
    """Mean, bases, topology and landmarks of one face model.

    Attributes:
        name: short name that checkpoints refer to.
        mean: (V, 3) float32 neutral mean face in model units.
        identity_basis: (40, V, 3) float32, model units per coefficient.
        expression_basis: (10, V, 3) float32, model units per coefficient.
        triangles: (T, 3) int32, 0-based, counter-clockwise seen from outside; may be (0, 3).
        landmark_vertices: (68, 3) int32; each landmark is a barycentric point of 3 vertices.
        landmark_weights: (68, 3) float32 barycentric weights, rows sum to 1.
        millimetres_per_unit: size of the model's unit.
        uv: (V, 2) float32 texture coordinates in [0, 1], v up; or None.
        unit_names: names of the expression units (ARKit), may be empty.
        unit_coefficients: (U, 10) float32: each unit in the expression modes.
        unit_shapes: (U, V, 3) float32 displacement of each unit at weight 1, in model units, or
            None; kept beside the modes because ten modes cannot hold 52 units.
        mirror_signs: (50,) of +-1: coefficients of the left-right mirrored face are the
            coefficients times these; None when the model is not symmetric.
    """

    name: str
    mean: FloatArray
    identity_basis: FloatArray
    expression_basis: FloatArray
    triangles: NDArray[np.int32]
    landmark_vertices: NDArray[np.int32]
    landmark_weights: FloatArray
    millimetres_per_unit: float = 1.0
    uv: FloatArray | None = None
    unit_names: tuple[str, ...] = ()
    unit_coefficients: FloatArray = field(
        default_factory=lambda: np.zeros((0, N_EXPRESSION), np.float32)
    )
    unit_shapes: FloatArray | None = None
    mirror_signs: FloatArray | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.mean) != 2 or np.ndim(self.triangles) != 2:
            self._refuse("mean or triangles are not two-dimensional")
        n = self.mean.shape[0]
        expected: dict[str, tuple[tuple[int, ...], type]] = {
            "mean": ((n, 3), np.float32),
            "identity_basis": ((N_SHAPE, n, 3), np.float32),
            "expression_basis": ((N_EXPRESSION, n, 3), np.float32),
            "triangles": ((len(self.triangles), 3), np.int32),
            "landmark_vertices": ((N_LANDMARKS, 3), np.int32),
            "landmark_weights": ((N_LANDMARKS, 3), np.float32),
            "unit_coefficients": ((len(self.unit_names), N_EXPRESSION), np.float32),
        }
        if self.uv is not None:
            expected["uv"] = ((n, 2), np.float32)
        if self.unit_shapes is not None:
            expected["unit_shapes"] = ((len(self.unit_names), n, 3), np.float32)
        if self.mirror_signs is not None:
            expected["mirror_signs"] = ((N_SHAPE + N_EXPRESSION,), np.float32)
        for name, (shape, dtype) in expected.items():
            value = np.asarray(getattr(self, name))
            if value.shape != shape:
                self._refuse(f"{name} has shape {value.shape}, expected {shape}")
            # Written so that NaN, which is not less than anything, fails too.
            if dtype is np.int32 and value.size and not (value.min() >= 0 and value.max() < n):
                self._refuse(f"{name} points outside its {n} vertices")
            value = np.ascontiguousarray(value, dtype=dtype)
            if dtype is np.float32 and not np.isfinite(value).all():
                self._refuse(f"{name} is not finite")
            object.__setattr__(self, name, value)
        if not np.allclose(self.landmark_weights.sum(axis=1), 1, atol=1e-3):
            self._refuse("landmark_weights do not sum to 1")
        if self.mirror_signs is not None and not (np.abs(self.mirror_signs) == 1).all():
            self._refuse("mirror_signs are not +1 or -1")
        if not 0 < self.millimetres_per_unit < np.inf:
            self._refuse("millimetres_per_unit is not a positive number")

    def load_again_by(self, function: Callable[..., "FaceModel"], *args: str) -> None:
        """From now on the model is pickled as ``function(*args, hash)``, which finds it where it
        was read, in place of its 16 MB and more. Copies with other arrays forget it."""
        self.__dict__["_again"] = (function, args)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if "_again" not in self.__dict__:
            return super().__reduce_ex__(protocol)
        function, args = self.__dict__["_again"]
        return function, (*args, self.hash)

    def _refuse(self, why: str) -> NoReturn:
        raise SynergyNetError(f"face model '{self.name}': {why}")

    @property
    def n_vertices(self) -> int:
        return int(self.mean.shape[0])

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the arrays that give the coefficients their meaning."""
        digest = hashlib.sha256()
        for array in (
            self.mean,
            self.identity_basis,
            self.expression_basis,
            self.landmark_vertices,
            self.landmark_weights,
        ):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def at_landmarks(self, values: FloatArray) -> FloatArray:
        """(..., V, 3) per-vertex vectors -> (..., 68, 3) at the landmarks."""
        picked = values[..., self.landmark_vertices, :]
        return np.einsum("...lkc,lk->...lc", picked, self.landmark_weights)

    @cached_property
    def landmark_mean(self) -> FloatArray:
        """(68, 3) landmarks of the mean face."""
        return self.at_landmarks(self.mean).astype(np.float32)

    @cached_property
    def landmark_identity(self) -> FloatArray:
        """(40, 68, 3)."""
        return self.at_landmarks(self.identity_basis).astype(np.float32)

    @cached_property
    def landmark_expression(self) -> FloatArray:
        """(10, 68, 3)."""
        return self.at_landmarks(self.expression_basis).astype(np.float32)

    def vertices(self, identity: ArrayLike, expression: ArrayLike) -> FloatArray:
        """(..., 40), (..., 10) -> (..., V, 3) in the model frame."""
        return _combine(self.mean, self.identity_basis, self.expression_basis, identity, expression)

    def landmarks(self, identity: ArrayLike, expression: ArrayLike) -> FloatArray:
        """(..., 40), (..., 10) -> (..., 68, 3) in the model frame."""
        return _combine(
            self.landmark_mean,
            self.landmark_identity,
            self.landmark_expression,
            identity,
            expression,
        )

    def decode_landmarks(self, raw: ArrayLike) -> FloatArray:
        """Raw parameters (..., 62) -> (..., 68, 3) in the crop1 frame (1-based, y down)."""
        camera, shape, expression = params.split(raw)
        return _project(camera, self.landmarks(shape, expression))

    def decode_vertices(self, raw: ArrayLike) -> FloatArray:
        """Raw parameters (..., 62) -> (..., V, 3) in the crop1 frame (1-based, y down)."""
        camera, shape, expression = params.split(raw)
        return _project(camera, self.vertices(shape, expression))


def _combine(
    mean: FloatArray,
    identity_basis: FloatArray,
    expression_basis: FloatArray,
    identity: ArrayLike,
    expression: ArrayLike,
) -> FloatArray:
    a, e = np.asarray(identity), np.asarray(expression)
    dtype = np.result_type(a.dtype, e.dtype, np.float32)
    by_identity = a.astype(dtype) @ identity_basis.reshape(N_SHAPE, -1)
    by_expression = e.astype(dtype) @ expression_basis.reshape(N_EXPRESSION, -1)
    flat = by_identity + by_expression + mean.reshape(-1)
    return flat.reshape(*flat.shape[:-1], len(mean), 3)


def _project(camera: FloatArray, points: FloatArray) -> FloatArray:
    """P (..., 3, 4) and model points (..., n, 3) -> crop1 frame (..., n, 3)."""
    moved = points @ np.swapaxes(camera[..., :3], -1, -2) + camera[..., None, :, 3]
    return frames.camera_to_crop1(moved)
