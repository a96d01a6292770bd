"""The 62-parameter layout of a face and its whitening.

One face is a vector of 62 numbers: 12 for the camera matrix ``P`` (3x4, row-major
``[sR | t]``), 40 identity (shape) and 10 expression coefficients. Networks answer in
whitened numbers; ``raw = whitened * std + mean``. Source: SynergyNet (3DV 2021) and 3DDFA.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_POSE = 12
N_SHAPE = 40
N_EXPRESSION = 10
N_PARAMS = N_POSE + N_SHAPE + N_EXPRESSION
N_COEFFICIENTS = N_SHAPE + N_EXPRESSION
POSE = slice(0, N_POSE)
SHAPE = slice(N_POSE, N_POSE + N_SHAPE)
EXPRESSION = slice(N_POSE + N_SHAPE, N_PARAMS)
COEFFICIENTS = slice(N_POSE, N_PARAMS)

INPUT_SIZE = 120
"""Side of the square network input in pixels."""

INPUT_MEAN, INPUT_STD = 127.5, 128.0
"""Images enter the network as (x - 127.5) / 128."""

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Whitening:
    """Mean and standard deviation of the 62 raw parameters over a training set.

    Args:
        mean: (62,) float32, raw units (pose in pixels per model unit and crop pixels).
        std: (62,) float32, strictly positive.
    """

    mean: FloatArray
    std: FloatArray

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if value.shape != (N_PARAMS,):
                raise ValueError(f"whitening {name} has shape {value.shape}, expected (62,)")
            object.__setattr__(self, name, value)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise ValueError("whitening contains numbers that are not finite")
        if not (self.std > 0).all():
            raise ValueError("whitening std must be positive")

    def whiten(self, raw: ArrayLike) -> FloatArray:
        """(..., 62) raw -> (..., 62) whitened."""
        return (np.asarray(raw) - self.mean) / self.std

    def dewhiten(self, whitened: ArrayLike) -> FloatArray:
        """(..., 62) whitened -> (..., 62) raw."""
        return np.asarray(whitened) * self.std + self.mean


def split(params: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Raw (..., 62) -> camera ``P`` (..., 3, 4), shape (..., 40), expression (..., 10)."""
    p = np.asarray(params)
    if p.shape[-1] != N_PARAMS:
        raise ValueError(f"parameters have {p.shape[-1]} numbers, expected {N_PARAMS}")
    return p[..., POSE].reshape(*p.shape[:-1], 3, 4), p[..., SHAPE], p[..., EXPRESSION]


def join(camera: ArrayLike, shape: ArrayLike, expression: ArrayLike) -> FloatArray:
    """Inverse of :func:`split`: (..., 3, 4), (..., 40), (..., 10) -> (..., 62)."""
    cam = np.asarray(camera)
    flat = cam.reshape(*cam.shape[:-2], N_POSE)
    return np.concatenate([flat, np.asarray(shape), np.asarray(expression)], axis=-1)
